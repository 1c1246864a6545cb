package redisbus

import (
	"fmt"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

func TestChunksAreBoundedAndComeBack(t *testing.T) {
	var entries []bus.Entry
	for n := range 2*maxChunkEntries + 3 {
		entries = append(entries, entry(fleetIn(0, 1), n))
	}
	var got []bus.Entry
	last := bus.EntryID(0)
	for _, c := range appendChunks(entries) {
		if c.entries > maxChunkEntries || len(c.bytes) > maxChunkBytes {
			t.Fatalf("a chunk of %d entries, %d bytes", c.entries, len(c.bytes))
		}
		last += bus.EntryID(c.entries)
		read, err := decodeChunk(c.bytes, c.entries, last, 7)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, read...)
	}
	if len(got) != len(entries) {
		t.Fatalf("%d entries come back", len(got))
	}
	for i := range got {
		if got[i].ID != bus.EntryID(i+1) || got[i].Time != 7 || got[i].Connection != entries[i].Connection {
			t.Fatalf("entry %d comes back as %+v", i, got[i])
		}
	}
}

func FuzzDecodeChunk(f *testing.F) {
	c := appendChunks([]bus.Entry{entry(fleetIn(0, 1), 1), entry(fleetIn(0, 1), 2)})[0]
	f.Add(c.bytes, c.entries, uint64(9))
	f.Add([]byte{}, 0, uint64(0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 1, uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, n int, last uint64) {
		got, err := decodeChunk(b, n, bus.EntryID(last), 1)
		if err == nil && (len(got) != n || got[n-1].ID != bus.EntryID(last) || got[0].ID == 0) {
			t.Fatalf("%d entries of %d, ids to %d", len(got), n, last)
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	b := bus.Batch{Position: bus.Position{Epoch: 1, Offset: 2}, Changes: []bus.Change{change(fleetIn(0, 1), 1, "a")}}
	f.Add(fmt.Appendf(nil, "1 5 6 0 0 abc\n%s", bus.AppendBatch(nil, &b)))
	f.Add([]byte("1 5 6 0 0 abc\n"))
	f.Add([]byte("1 -5 6 0 0 abc\n"))
	f.Add([]byte("2 5 6 0 0 abc\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMessage(b)
		if err == nil && (m.batch.LagMS < 0 || m.call == "") {
			t.Fatalf("read as %+v", m)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add("fleet/device", "0record")
	f.Add("fleet/device", "11795353543237record")
	f.Add("fleet", "1")
	f.Fuzz(func(t *testing.T, field, value string) {
		r, err := decodeRecord(field, value)
		if err == nil && fieldOf(r.Fleet, r.Device) != field {
			t.Fatalf("%q is read as %+v", field, r)
		}
	})
}
