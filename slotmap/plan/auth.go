package plan

import (
	"fmt"
	"slices"

	"github.com/hashslot/hashslot/internal/reply"
)

// An Auth is the user and password with which the source of a MIGRATE authenticates at
// the target. A [Step] does not have one: pass it to [Step.Migrate]. The password never
// appears when an Auth is printed, logged or encoded. The zero Auth means none.
type Auth struct {
	// A function, because fmt follows pointers in unexported fields.
	args func() []string
}

// NewAuth returns an Auth. With user "", it is the password of the user "default", and
// MIGRATE gets AUTH, as for servers before 6.0.
func NewAuth(user, password string) Auth {
	args := []string{"AUTH2", user, password}
	if user == "" {
		args = []string{"AUTH", password}
	}
	return Auth{func() []string { return args }}
}

// String returns "", "AUTH ***" or "AUTH2 ***".
func (a Auth) String() string {
	if a.args == nil {
		return ""
	}
	return a.args()[0] + " ***"
}

// Format writes what String returns, for any verb.
func (a Auth) Format(f fmt.State, _ rune) { fmt.Fprint(f, a.String()) }

// MarshalText returns what String returns.
func (a Auth) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Keys returns the keys that are left to move by a step of the kind [KindMoveKeys],
// from the reply to its Until.Ask. The error is an [*InputError].
func (s Step) Keys(listed any) ([]string, error) {
	list, ok := reply.List(listed)
	if !ok && listed != nil {
		return nil, &InputError{Field: "keys", Reason: "is " + reply.Kind(listed) + ", not a list"}
	}
	keys := make([]string, len(list))
	for i, v := range list {
		if keys[i], ok = reply.Text(v); !ok {
			return nil, &InputError{Field: fmt.Sprintf("keys[%d]", i), Reason: "is " + reply.Kind(v) + ", not text"}
		}
	}
	return keys, nil
}

// Migrate returns the command of a step of the kind [KindMoveKeys] for some keys. Its
// arguments contain the password of auth: do not log them.
func (s Step) Migrate(keys []string, auth Auth) []string {
	var authenticate []string
	if auth.args != nil {
		authenticate = auth.args()
	}
	return slices.Concat(s.Command, authenticate, []string{"KEYS"}, keys)
}
