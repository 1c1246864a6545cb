package bus

import (
	"crypto/rand"
	"encoding/binary"
)

// Epoch names a history of offsets. Epochs are random and compared for equality only: a new one says that positions of
// the old one mean nothing. The zero value is none.
type Epoch uint64

// NewEpoch returns a random epoch.
func NewEpoch() Epoch { return Epoch(nonZeroRandom()) }

// NewDoorID returns a random door id.
func NewDoorID() DoorID { return DoorID(nonZeroRandom()) }

func nonZeroRandom() uint64 {
	for {
		var b [8]byte
		rand.Read(b[:]) // which never returns an error
		if n := binary.LittleEndian.Uint64(b[:]); n != 0 {
			return n
		}
	}
}

// Position is a place in a partition's history. Offset counts the batches with content; within an epoch it only grows
// and never has two meanings.
type Position struct {
	Epoch  Epoch
	Offset uint64
}

// EntryID is an entry's place in its partition's inlet; it only grows. 0 is before the first.
type EntryID uint64
