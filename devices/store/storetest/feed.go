package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/fleetcast/fleetcast/devices/store"
)

var feedTests = map[string]func(*testing.T, *site){
	"a feed begins with what is there and has every commit after it": feedHasAll,
	"a feed tells what is gone":                                      feedTellsGone,
	"a feed has its kinds only, and the revisions of all":            feedOfKinds,
	"a feed that was not read for long is right all the same":        slowFeed,
	"a feed waits":                            feedWaits,
	"a follower reads its own writes":         followerReadsOwnWrites,
	"a mirror is the store":                   mirrorIsStore,
	"a follower waits for what is not there":  followerWaits,
	"a follower that is run again begins new": followerAgain,
}

func feedHasAll(t *testing.T, s *site) {
	st := s.open(t, Options{})
	empty := s.watch(t, st, kind)
	s.commit(t, st, put("a", "1"))
	at := s.commit(t, st, put("b", "1"))
	v := s.watch(t, st, kind)
	if v.at != at {
		t.Errorf("the snapshot is of revision %d, want %d", v.at, at)
	}
	v.mustBe(t, map[string]string{"device/a": "1", "device/b": "1"})
	var revisions []store.Revision
	for n := range 10 {
		revisions = append(revisions, s.commit(t, st, put("a", fmt.Sprint("v", n)), put(fmt.Sprint("new", n), "")))
	}
	v.until(t, revisions[9])
	if len(v.updates) != 10 || v.snapshots != 1 {
		t.Fatalf("%d updates and %d snapshots for 10 commits", len(v.updates), v.snapshots)
	}
	for n, u := range v.updates {
		if u.Revision != revisions[n] || len(u.Records) != 2 {
			t.Errorf("update %d is %+v, want revision %d", n, u, revisions[n])
		}
	}
	empty.until(t, revisions[9])
	if empty.held["device/a"] != "v9" || len(empty.held) != 12 {
		t.Errorf("the feed from the beginning has %v", empty.held)
	}
}

func feedTellsGone(t *testing.T, s *site) {
	st := s.open(t, Options{})
	s.commit(t, st, put("a", "1"), put("b", "1"))
	v := s.watch(t, st, kind)
	v.until(t, s.commit(t, st, remove("a")))
	v.mustBe(t, map[string]string{"device/b": "1"})
	s.watch(t, st, kind).mustBe(t, map[string]string{"device/b": "1"})
	v.until(t, s.commit(t, st, put("a", "2"), remove("b")))
	v.mustBe(t, map[string]string{"device/a": "2"})
}

func feedOfKinds(t *testing.T, s *site) {
	st := s.open(t, Options{})
	rule := func(id, value string) store.Op { return store.Op{Kind: other, ID: id, Value: []byte(value)} }
	s.commit(t, st, put("a", "1"), rule("r", "1"), store.Op{Kind: "user", ID: "u", Value: []byte("1")})
	one, two := s.watch(t, st, kind), s.watch(t, st, kind, other)
	one.mustBe(t, map[string]string{"device/a": "1"})
	two.mustBe(t, map[string]string{"device/a": "1", "rule/r": "1"})
	s.commit(t, st, rule("r", "2"))
	s.commit(t, st, put("a", "3"), rule("q", "3"))
	last := s.commit(t, st, rule("r", "4"))
	one.until(t, last)
	one.mustBe(t, map[string]string{"device/a": "3"})
	two.until(t, last)
	two.mustBe(t, map[string]string{"device/a": "3", "rule/r": "4", "rule/q": "3"})
}

func slowFeed(t *testing.T, s *site) {
	st := s.open(t, Options{})
	slow, fast := s.watch(t, st, kind), s.watch(t, st, kind)
	var at store.Revision
	want := make(map[string]string)
	for n := range 300 {
		id := fmt.Sprint("d", n%17)
		if n%5 == 0 {
			at = s.commit(t, st, remove(id))
			delete(want, "device/"+id)
		} else {
			at = s.commit(t, st, put(id, fmt.Sprint(n)))
			want["device/"+id] = fmt.Sprint(n)
		}
		fast.until(t, at)
	}
	fast.mustBe(t, want)
	if fast.snapshots != 1 || len(fast.updates) != 300 {
		t.Errorf("the feed that kept up has %d snapshots and %d updates", fast.snapshots, len(fast.updates))
	}
	slow.until(t, at)
	slow.mustBe(t, want)
}

func feedWaits(t *testing.T, s *site) {
	st := s.open(t, Options{})
	v := s.watch(t, st, kind)
	ctx, cancel := context.WithCancel(s.ctx)
	got := make(chan error, 1)
	go func() {
		_, err := v.feed.Next(ctx)
		got <- err
	}()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that was ended gives %v", err)
	}
	v.until(t, s.commit(t, st, put("a", "1"))) // the feed goes on
	v.mustBe(t, map[string]string{"device/a": "1"})
	if v.snapshots != 1 {
		t.Error("a wait that was ended costs a snapshot")
	}
}

// run runs a follower or a mirror for the rest of the test.
func (s *site) run(t *testing.T, run func(context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

func followerReadsOwnWrites(t *testing.T, s *site) {
	st := s.open(t, Options{})
	m := store.NewMirror(st, kind)
	if m.Ready() {
		t.Error("a mirror is ready before it runs")
	}
	s.run(t, m.Run)
	for n := range 50 {
		at := s.commit(t, st, put("a", fmt.Sprint(n)))
		if err := m.Wait(s.ctx, at); err != nil {
			t.Fatal(err)
		}
		if r, held := m.Get(kind, "a"); !held || string(r.Value) != fmt.Sprint(n) || r.Revision != at {
			t.Fatalf("after its own write %d the mirror has %+v", n, r)
		}
	}
	at := s.commit(t, st, store.Op{Kind: other, ID: "r", Value: []byte("1")})
	if err := m.Wait(s.ctx, at); err != nil { // a revision that touched none of its kinds
		t.Fatal(err)
	}
	if got, ready := m.Revision(); got < at || !ready {
		t.Errorf("the mirror is at %d", got)
	}
}

func mirrorIsStore(t *testing.T, s *site) {
	st := s.open(t, Options{})
	s.commit(t, st, put("a", "1"), put("b", "1"), store.Op{Kind: "user", ID: "u", Value: []byte("secret")})
	m := store.NewMirror(st, kind, other)
	s.run(t, m.Run)
	at := s.commit(t, st, put("a", "2"), remove("b"), put("c", "1"), store.Op{Kind: other, ID: "r", Value: []byte("1")})
	if err := m.Wait(s.ctx, at); err != nil {
		t.Fatal(err)
	}
	if _, held := m.Get(kind, "b"); held || m.Len(kind) != 2 || m.Len(other) != 1 || m.Len("user") != 0 || len(m.All(kind)) != 2 {
		t.Errorf("the mirror has %v and %v", m.All(kind), m.All(other))
	}
}

func followerWaits(t *testing.T, s *site) {
	st := s.open(t, Options{})
	at := s.commit(t, st, put("a", "1"))
	m := store.NewMirror(st, kind)
	s.run(t, m.Run)
	if err := m.Wait(s.ctx, 0); err != nil || !m.Ready() {
		t.Fatalf("the first snapshot: %v", err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	got := make(chan error, 1)
	go func() { got <- m.Wait(ctx, at+1_000_000_000) }()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("a wait for what never comes gives %v", err)
	}
}

func followerAgain(t *testing.T, s *site) {
	st := s.open(t, Options{})
	s.commit(t, st, put("a", "1"), put("b", "1"))
	m := store.NewMirror(st, kind)
	stop := s.run(t, m.Run)
	if err := m.Wait(s.ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	at := s.commit(t, st, remove("a"))
	if _, held := m.Get(kind, "a"); !held {
		t.Error("a mirror that does not run follows")
	}
	s.run(t, m.Run)
	if err := m.Wait(s.ctx, at); err != nil {
		t.Fatal(err)
	}
	if _, held := m.Get(kind, "a"); held {
		t.Error("what was deleted meanwhile is still there")
	}
}
