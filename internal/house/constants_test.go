package house

import (
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestConstants derives every constant of the assembly again. Each is on a line of its
// own, followed by its definition,
//
//	#define BLOCK0L 0x1021000000000000 // (x^16 mod P) << 48
//
// where P = x^16 + x^12 + x^5 + 1, and the definition is one of
//
//	x^N mod P                  a remainder
//	floor(x^N / P)             a quotient; "mod x^M" cuts off terms
//	(definition) << N          shifted
//	P                          the polynomial itself
//	'c' in every byte          a character eight times
//	bit i of byte i            the diagonal of 8 by 8 bits
func TestConstants(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "*.s"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	define := regexp.MustCompile(`^#define\s+(\w+)\s+\$?0x([0-9a-fA-F]+)\s*(?://\s*(.*))?$`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for i, line := range strings.Split(string(text), "\n") {
			m := define.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			place := fmt.Sprintf("%s:%d: %s", filepath.Base(file), i+1, m[1])
			want, err := evaluate(m[3])
			if !assert.NoError(t, err, place) {
				continue
			}
			assert.Equal(t, fmt.Sprintf("%#x", want), "0x"+strings.TrimLeft(strings.ToLower(m[2]), "0"), "%s is not %s", place, m[3])
		}
	}
}

var (
	reRemainder = regexp.MustCompile(`^x\^(\d+) mod P$`)
	reQuotient  = regexp.MustCompile(`^floor\(x\^(\d+) ?/ ?P\)(?: mod x\^(\d+))?$`)
	reShift     = regexp.MustCompile(`^\((.+)\) << (\d+)$`)
	reBytes     = regexp.MustCompile(`^'(.)' in every byte$`)
)

// evaluate returns the value of a definition. A polynomial is a number whose
// bit i is the coefficient of x^i.
func evaluate(definition string) (*big.Int, error) {
	number := func(s string) uint {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			panic(err) // the expressions take digits only
		}
		return uint(n)
	}
	if m := reShift.FindStringSubmatch(definition); m != nil {
		v, err := evaluate(m[1])
		if err != nil {
			return nil, err
		}
		return v.Lsh(v, number(m[2])), nil
	}
	if m := reRemainder.FindStringSubmatch(definition); m != nil {
		_, remainder := divide(number(m[1]))
		return remainder, nil
	}
	if m := reQuotient.FindStringSubmatch(definition); m != nil {
		quotient, _ := divide(number(m[1]))
		if m[2] != "" {
			low := new(big.Int).Lsh(big.NewInt(1), number(m[2]))
			quotient.And(quotient, low.Sub(low, big.NewInt(1)))
		}
		return quotient, nil
	}
	if definition == "P" {
		return big.NewInt(1<<16 | 1<<12 | 1<<5 | 1), nil
	}
	if definition == "bit i of byte i" {
		return new(big.Int).SetUint64(0x8040201008040201), nil
	}
	if m := reBytes.FindStringSubmatch(definition); m != nil {
		return new(big.Int).SetBytes([]byte(strings.Repeat(m[1], 8))), nil
	}
	return nil, fmt.Errorf("no definition that can be evaluated: %q", definition)
}

// divide returns x^n divided by P, by long division.
func divide(n uint) (quotient, remainder *big.Int) {
	p := big.NewInt(1<<16 | 1<<12 | 1<<5 | 1)
	quotient, remainder = new(big.Int), new(big.Int).Lsh(big.NewInt(1), n)
	for remainder.BitLen() > 16 {
		shift := uint(remainder.BitLen() - 17)
		quotient.SetBit(quotient, int(shift), 1)
		remainder.Xor(remainder, new(big.Int).Lsh(p, shift))
	}
	return quotient, remainder
}
