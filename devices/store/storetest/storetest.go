package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Options are what a test needs of the store that it opens; 0 stands for the store's own.
type Options struct {
	MaxRecords int
}

// Open returns a new and empty store. What it keeps outside the process is removed by t.Cleanup, and so is the store
// closed where the test did not.
type Open func(t *testing.T, o Options) store.Store

// patience is how long a test waits for what a store that keeps the contract does at once.
const patience = 30 * time.Second

// The kinds of the suite.
const (
	kind  store.Kind = "device"
	other store.Kind = "rule"
)

// Run checks a store.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, of := range []map[string]func(*testing.T, *site){commitTests, readTests, feedTests, raceTests, closeTests} {
		for _, name := range slices.Sorted(maps.Keys(of)) {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				of[name](t, &site{ctx: ctx, open: open})
			})
		}
	}
}

// site is where a test works.
type site struct {
	ctx  context.Context //nolint:containedctx // of one test: every step has the same bound
	open Open
}

func put(id, value string) store.Op {
	return store.Op{Kind: kind, ID: id, Value: []byte(value)}
}

func remove(id string) store.Op { return store.Op{Kind: kind, ID: id} }

func (s *site) commit(t *testing.T, st store.Store, ops ...store.Op) store.Revision {
	t.Helper()
	at, err := st.Commit(s.ctx, ops)
	if err != nil {
		t.Fatalf("commit %d ops: %v", len(ops), err)
	}
	return at
}

func (s *site) get(t *testing.T, st store.Store, id string) store.Record {
	t.Helper()
	r, err := st.Get(s.ctx, kind, id)
	if err != nil {
		t.Fatalf("get %q: %v", id, err)
	}
	return r
}

func (s *site) mustHold(t *testing.T, st store.Store, id, value string, at store.Revision) {
	t.Helper()
	r := s.get(t, st, id)
	if r.Kind != kind || r.ID != id || string(r.Value) != value || r.Revision != at || r.Value == nil {
		t.Errorf("record is %+v, want %q of revision %d", r, value, at)
	}
}

func (s *site) mustMiss(t *testing.T, st store.Store, id string) {
	t.Helper()
	if r, err := st.Get(s.ctx, kind, id); !errors.Is(err, store.ErrNotFound) || devices.KindOf(err) != devices.NotFound {
		t.Errorf("get %q gives %+v and %v, want ErrNotFound", id, r, err)
	}
}

// all reads a kind in pages.
func (s *site) all(t *testing.T, st store.Store, of store.Kind, page int) []store.Record {
	t.Helper()
	var out []store.Record
	for after := ""; ; {
		records, err := st.List(s.ctx, of, after, page)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, records...)
		if len(records) < page {
			return out
		}
		after = records[len(records)-1].ID
	}
}

func mustBe(t *testing.T, what string, err error, want devices.Kind, field string) {
	t.Helper()
	told, ok := errors.AsType[*devices.Error](err)
	if !ok || told.Kind != want || !strings.Contains(told.Field, field) {
		t.Errorf("%s gives %v, want kind %v about %q", what, err, want, field)
	}
}

// view folds a feed.
type view struct {
	s         *site
	feed      store.Feed
	at        store.Revision
	held      map[string]string
	snapshots int
	updates   []store.Update // since the snapshot
}

func (s *site) watch(t *testing.T, st store.Store, kinds ...store.Kind) *view {
	t.Helper()
	feed, err := st.Watch(s.ctx, kinds...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(feed.Close)
	v := &view{s: s, feed: feed}
	v.next(t)
	if v.snapshots != 1 {
		t.Fatal("a feed does not begin with a snapshot")
	}
	return v
}

func (v *view) next(t *testing.T) {
	t.Helper()
	u, err := v.feed.Next(v.s.ctx)
	if err != nil {
		t.Fatalf("next after revision %d: %v", v.at, err)
	}
	if err := v.take(u); err != nil {
		t.Fatal(err)
	}
}

func (v *view) take(u store.Update) error {
	switch {
	case u.Snapshot:
		v.snapshots++
		v.held, v.updates = make(map[string]string), nil
	case u.Revision <= v.at:
		return fmt.Errorf("update of revision %d after %d", u.Revision, v.at)
	default:
		v.updates = append(v.updates, u)
	}
	v.at = u.Revision
	for _, r := range u.Records {
		key := string(r.Kind) + "/" + r.ID
		switch {
		case u.Snapshot && r.Value == nil:
			return fmt.Errorf("a snapshot tells that %s is gone", key)
		case r.Revision > u.Revision || !u.Snapshot && r.Revision != u.Revision:
			return fmt.Errorf("an update of revision %d has %s of %d", u.Revision, key, r.Revision)
		case r.Value == nil:
			delete(v.held, key)
		default:
			v.held[key] = string(r.Value)
		}
	}
	return nil
}

func (v *view) until(t *testing.T, at store.Revision) {
	t.Helper()
	for v.at < at {
		v.next(t)
	}
}

func (v *view) mustBe(t *testing.T, want map[string]string) {
	t.Helper()
	if !maps.Equal(v.held, want) {
		t.Errorf("at revision %d the feed's fold is %v, want %v", v.at, v.held, want)
	}
}
