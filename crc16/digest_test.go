package crc16

import (
	"encoding"
	"hash"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hashslot/hashslot/internal/xmodem"
)

var (
	_ hash.Cloner                = (*Digest)(nil)
	_ encoding.BinaryMarshaler   = (*Digest)(nil)
	_ encoding.BinaryUnmarshaler = (*Digest)(nil)
	_ encoding.BinaryAppender    = (*Digest)(nil)
)

func sum(crc uint16) []byte { return []byte{byte(crc >> 8), byte(crc)} }

func TestDigestIsAHash(t *testing.T) {
	rng := seeded(10)
	for name, h := range map[string]hash.Hash{"zero value": new(Digest), "New": New()} {
		assert.Equal(t, 2, h.Size(), name)
		assert.Equal(t, 1, h.BlockSize(), name)
		assert.Equal(t, []byte{0, 0}, h.Sum(nil), name)
		for range 200 {
			h.Reset()
			var message []byte
			for range rng.IntN(10) {
				p := random(rng, rng.IntN(1<<rng.IntN(12)))
				before := string(p)
				n, err := h.Write(p)
				require.NoError(t, err, name)
				require.Equal(t, len(p), n, name)
				require.Equal(t, before, string(p), "%s: Write changed its argument", name)
				message = append(message, p...)
				want := sum(xmodem.Bitwise(message))
				require.Equal(t, want, h.Sum(nil), name)
				require.Equal(t, want, h.Sum(nil), "%s: Sum changed the state", name)
			}
			require.Equal(t, append([]byte("before"), sum(xmodem.Bitwise(message))...), h.Sum([]byte("before")), name)
		}
		h.Reset()
		n, err := h.Write(nil)
		assert.NoError(t, err, name)
		assert.Zero(t, n, name)
		_, err = io.WriteString(h, "123456789")
		assert.NoError(t, err, name)
		assert.Equal(t, []byte{0x31, 0xC3}, h.Sum(nil), name)
	}
}

func TestSumAppendsInPlace(t *testing.T) {
	d := New()
	d.Write([]byte("123456789"))
	room := make([]byte, 5, 8)
	room[4] = 7
	got := d.Sum(room)
	assert.Equal(t, []byte{0, 0, 0, 0, 7, 0x31, 0xC3}, got)
	assert.Same(t, &room[0], &got[0])
}

func TestDigestState(t *testing.T) {
	message := random(seeded(11), 100)
	for i := range message {
		first := New()
		first.Write(message[:i])
		state, err := first.MarshalBinary()
		require.NoError(t, err)
		appended, err := first.AppendBinary([]byte("before"))
		require.NoError(t, err)
		assert.Equal(t, "before"+string(state), string(appended))

		second := New()
		second.Write([]byte("something else"))
		require.NoError(t, second.UnmarshalBinary(state))
		assert.Equal(t, first.Sum16(), second.Sum16())
		second.Write(message[i:])
		assert.Equal(t, xmodem.Bitwise(message), second.Sum16())
		assert.Equal(t, xmodem.Bitwise(message[:i]), first.Sum16(), "the first digest is unchanged")
	}
}

func TestDigestRefusesOtherStates(t *testing.T) {
	d := New()
	d.Write([]byte("123456789"))
	state, err := d.MarshalBinary()
	require.NoError(t, err)
	assert.ErrorContains(t, d.UnmarshalBinary(state[:4]), "wrong length")
	for name, data := range map[string][]byte{
		"nothing":        nil,
		"cut":            state[:len(state)-1],
		"only the magic": state[:4],
		"longer":         append(state[:len(state):len(state)], 0),
		"another magic":  append([]byte("crd\x01"), state[4:]...),
		"a new version":  append([]byte("crc\x02"), state[4:]...),
	} {
		assert.ErrorContains(t, d.UnmarshalBinary(data), "crc16: ", name)
		assert.Equal(t, uint16(0x31C3), d.Sum16(), name)
	}
}

func TestCloneIsIndependent(t *testing.T) {
	d := New()
	d.Write([]byte("1234"))
	c, err := d.Clone()
	require.NoError(t, err)
	c.Write([]byte("56789"))
	assert.Equal(t, []byte{0x31, 0xC3}, c.Sum(nil))
	assert.Equal(t, xmodem.Bitwise([]byte("1234")), d.Sum16())
	d.Write([]byte("x"))
	assert.Equal(t, []byte{0x31, 0xC3}, c.Sum(nil))
	cc, err := c.Clone()
	require.NoError(t, err)
	assert.Equal(t, c, cc)
}
