package redis

import (
	"bytes"
	"testing"

	"github.com/fleetcast/fleetcast/devices/redisconn/redistest"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Who reads on has all after the log was shortened, and who comes later too; what was deleted is in no key any more.
func TestAShortenedLogHoldsTheLastCommitOnly(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL())
	other := open(t, server.URL(), sameStore(s))
	if err := s.Shorten(testContext(t)); err != nil { // nothing is there yet
		t.Fatal(err)
	}
	m := mirror(t, other)
	commit(t, s, op("a", "a secret"), op("b", "stays"))
	waitFor(t, m, commit(t, s, store.Op{Kind: kind, ID: "a"}))
	if err := s.Shorten(testContext(t)); err != nil {
		t.Fatal(err)
	}
	stream, err := s.client.XRange(testContext(t), s.keys.log, "-", "+").Result()
	if err != nil || len(stream) != 1 {
		t.Fatalf("the log has %d commits, %v", len(stream), err)
	}
	raw, err := s.client.Dump(testContext(t), s.keys.log).Bytes()
	if err != nil || bytes.Contains(raw, []byte("secret")) {
		t.Errorf("the log has it still: %q, %v", raw, err)
	}
	late := mirror(t, s)
	last := commit(t, s, op("c", "new"))
	for _, one := range []*store.Mirror{m, late} {
		waitFor(t, one, last)
		becomes(t, one, "b", "stays")
		becomes(t, one, "c", "new")
		if _, held := one.Get(kind, "a"); held {
			t.Error("what was deleted is there")
		}
	}
}
