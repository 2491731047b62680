package crc16

import (
	"encoding/binary"
	"errors"
	"hash"
)

// Digest computes the checksum of data that is written to it in pieces. The zero
// value is ready to use. A Digest must not be used by several goroutines at once.
// Copying it copies the state.
type Digest struct{ crc uint16 }

var _ hash.Hash = (*Digest)(nil)

// New returns a Digest of the empty message. It is the same as new(Digest),
// for callers that want a [hash.Hash].
func New() *Digest { return new(Digest) }

// Write adds p to the message. It never returns an error.
func (d *Digest) Write(p []byte) (int, error) {
	d.crc = Update(d.crc, p)
	return len(p), nil
}

// Sum16 returns the checksum of the message so far.
func (d *Digest) Sum16() uint16 { return d.crc }

// Sum appends the checksum, the high byte first, to b.
func (d *Digest) Sum(b []byte) []byte { return binary.BigEndian.AppendUint16(b, d.crc) }

// Reset starts a new, empty message.
func (d *Digest) Reset() { d.crc = 0 }

// Size returns 2, the number of bytes that Sum appends.
func (d *Digest) Size() int { return Size }

// BlockSize returns 1: pieces of any length are written equally well.
func (d *Digest) BlockSize() int { return 1 }

// The state is "crc" and a version, then the checksum, the high byte first.
const stateMagic = "crc\x01"

// AppendBinary appends the state of d, six bytes, to b. Its error is always nil.
func (d *Digest) AppendBinary(b []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint16(append(b, stateMagic...), d.crc), nil
}

// MarshalBinary returns the state of d, for UnmarshalBinary. Its error is always nil.
func (d *Digest) MarshalBinary() ([]byte, error) { return d.AppendBinary(nil) }

// UnmarshalBinary sets d to a state from MarshalBinary or AppendBinary. If data is
// anything else, it returns an error and leaves d unchanged.
func (d *Digest) UnmarshalBinary(data []byte) error {
	if len(data) < len(stateMagic) || string(data[:len(stateMagic)]) != stateMagic {
		return errors.New("crc16: not the state of a Digest")
	}
	if len(data) != len(stateMagic)+Size {
		return errors.New("crc16: the state of a Digest has a wrong length")
	}
	d.crc = binary.BigEndian.Uint16(data[len(stateMagic):])
	return nil
}

// Clone returns an independent copy of d. Its error is always nil.
func (d *Digest) Clone() (hash.Cloner, error) {
	c := *d
	return &c, nil
}
