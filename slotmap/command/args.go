package command

import "unsafe"

// Args is the arguments of one command, as strings or as bytes. The first is the name
// of the command. Args refers to the caller's slice and copies nothing: the slice and
// the bytes must not change while Args is in use.
type Args struct {
	first  unsafe.Pointer // to the header of the first argument
	stride uintptr        // the size of a header
	n      int
}

// Arg is the type of an argument.
type Arg interface{ ~string | ~[]byte }

// ArgsOf returns args as Args.
func ArgsOf[A Arg](args []A) Args {
	var header A
	return Args{unsafe.Pointer(unsafe.SliceData(args)), unsafe.Sizeof(header), len(args)}
}

// Len returns the number of arguments, the name included.
func (a Args) Len() int { return a.n }

// at returns argument i, from 0 to n-1. The header of a slice begins with that of a
// string, so one load serves both.
func (a Args) at(i int) string {
	return *(*string)(unsafe.Add(a.first, uintptr(i)*a.stride))
}

// name returns the first argument, or an empty one if there is none.
func (a Args) name() string {
	if a.n == 0 {
		return ""
	}
	return a.at(0)
}

// is reports whether s is word, which is in lower case, by the rules of strcasecmp():
// case is ignored, and a NUL byte ends s. It has many callers: inlined, it would make
// the program thousands of bytes larger.
//
//go:noinline
func is(s, word string) bool {
	if len(s) < len(word) || len(s) > len(word) && s[len(word)] != 0 {
		return false
	}
	for i := range len(word) {
		c := s[i]
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// number returns the number s, by the rules of string2ll(): decimal digits without a
// sign, a space or a leading zero. ok is false for other texts and for negative
// numbers. Numbers above 2^62 count as 2^62: no command has that many keys.
func number(s string) (n int64, ok bool) {
	if s == "" || len(s) > 19 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	u := uint64(0)
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		u = u*10 + uint64(d)
	}
	if u > 1<<63-1 {
		return 0, false
	}
	return int64(min(u, 1<<62)), true
}

// looseNumber returns the result of atoi() of the C library: it reads spaces, a sign,
// and digits up to the first other byte, saturates to 64 bits and cuts to 32. The
// servers' own code for keys uses it after the specifications have failed.
func looseNumber(s string) int {
	for len(s) > 0 && (s[0] == ' ' || s[0]-'\t' < 5) {
		s = s[1:]
	}
	negative := false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		negative = s[0] == '-'
		s = s[1:]
	}
	n, limit := uint64(0), uint64(1<<63-1)
	if negative {
		limit++
	}
	for i := 0; i < len(s) && s[i]-'0' <= 9; i++ {
		d := uint64(s[i] - '0')
		if n > (limit-d)/10 {
			n = limit
			break
		}
		n = n*10 + d
	}
	if negative {
		n = -n
	}
	return int(int32(n))
}
