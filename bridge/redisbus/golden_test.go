package redisbus

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// What stands in Redis and passes through it is read by releases before and after this one: its bytes never change. Entries
// and batches in it have tests of their own in package bus.
func TestBytesInRedisNeverChange(t *testing.T) {
	t.Parallel()
	f := fleetIn(0, 1)
	entries := []bus.Entry{entry(f, 1), entry(f, 2)}
	const want = "1d1102086465766963652d3107666c6565742d3001000000000000000101" + "1d1102086465766963652d3207666c6565742d3001000000000000000201"
	if got := hex.EncodeToString(appendChunks(entries)[0].bytes); got != want {
		t.Errorf("a chunk is\n%s, want\n%s", got, want)
	}
	golden, _ := hex.DecodeString(want)
	if got, err := decodeChunk(golden, 2, 9, 7); err != nil || got[1].ID != 9 || got[0].Time != 7 || got[1].Connection.Conn != 2 {
		t.Errorf("it is read as %+v, %v", got, err)
	}
	line := "1 7 20 3 4 0123456789ab\n"
	batch := bus.AppendBatch(nil, &bus.Batch{Position: bus.Position{Epoch: 5, Offset: 6}, Time: 8})
	m, err := decodeMessage(append([]byte(line), batch...))
	if err != nil || m.n != 7 || m.call != "0123456789ab" || m.batch.LagMS != 20 || m.batch.Floor != (bus.Floor{Tombstones: 3, Events: 4}) || m.batch.Position.Offset != 6 {
		t.Errorf("a message is read as %+v, %v", m, err)
	}
	for value, removed := range map[string]bool{"0record": false, "11795353543237record": true} {
		if r, err := decodeRecord("north/truck-17", value); err != nil || string(r.Data) != "record" || r.Removed != removed || r.Device.String() != "truck-17" {
			t.Errorf("%s is read as %+v, %v", value, r, err)
		}
	}
}

// What a newer release wrote is refused and not skipped.
func TestWhatANewerReleaseWroteToRedisIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := decodeMessage([]byte("2 7 20 3 4 0123456789ab\n")); !errors.Is(err, errMalformed) {
		t.Errorf("a message of version 2: %v", err)
	}
	if _, err := decodeRecord("north/truck-17", "2record"); !errors.Is(err, errMalformed) {
		t.Errorf("a record of a kind of its own: %v", err)
	}
	f := fleetIn(0, 1)
	chunk := appendChunks([]bus.Entry{entry(f, 1)})[0]
	chunk.bytes[1] = 0x1f // the version of the entry
	if _, err := decodeChunk(chunk.bytes, 1, 9, 7); !errors.Is(err, bus.ErrWireVersion) {
		t.Errorf("an entry of version 15: %v", err)
	}
	chunk.bytes[1], chunk.bytes[2] = 0x11, 99
	if _, err := decodeChunk(chunk.bytes, 1, 9, 7); !errors.Is(err, bus.ErrWireKind) {
		t.Errorf("an entry of kind 99: %v", err)
	}
}
