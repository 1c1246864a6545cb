package audit

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a log on a store until the test ends.
func start(t *testing.T, s store.Store, most int) *Log {
	t.Helper()
	l := New(s, most, nil)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return l
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(time.Millisecond), time.NewTimer(30*time.Second)
	defer tick.Stop()
	defer deadline.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestEveryEdgeShowsTheSameEntriesTheNewestFirst(t *testing.T) {
	s := store.NewMemory(store.MemoryOptions{})
	defer func() { _ = s.Close() }()
	here, there := start(t, s, 0), start(t, s, 0)
	device, err := devices.ParseDeviceID("truck-17")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		e := Entry{At: int64(1000 + n), By: fmt.Sprint("person ", n%2), Role: "operator", Action: "POST /x"}
		if n == 3 {
			e.Device = device
		}
		if err := here.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	var page []Entry
	var next string
	eventually(t, "the entries", func() bool { page, next = there.List(Query{Limit: 3}); return len(page) == 3 && page[0].At == 1004 })
	rest, end := there.List(Query{Limit: 3, After: next})
	var at []int64
	for _, e := range append(page, rest...) {
		at = append(at, e.At)
	}
	if !slices.Equal(at, []int64{1004, 1003, 1002, 1001, 1000}) || end != "" {
		t.Errorf("two pages have %v, then %q", at, end)
	}
	if got, _ := there.List(Query{Limit: 9, By: "person 1"}); len(got) != 2 {
		t.Errorf("%d entries are by one person", len(got))
	}
	if got, _ := there.List(Query{Limit: 9, Device: device}); len(got) != 1 {
		t.Errorf("%d entries are of one device", len(got))
	}
}

func TestTheOldestEntriesGo(t *testing.T) {
	s := store.NewMemory(store.MemoryOptions{})
	defer func() { _ = s.Close() }()
	const most = 200
	l := start(t, s, most)
	for n := range 3 * most {
		if err := l.Record(t.Context(), Entry{At: int64(n + 1), By: "x", Action: "POST /x"}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the entry", func() bool { got, _ := l.List(Query{Limit: 1}); return len(got) == 1 && got[0].At == int64(n+1) })
	}
	got, _ := l.List(Query{Limit: 10 * most})
	if len(got) > most || len(got) < most-spare-1 {
		t.Errorf("%d entries are kept, want about %d", len(got), most)
	}
}

func TestAnEntryThatCannotBeKeptIsCounted(t *testing.T) {
	s := store.NewMemory(store.MemoryOptions{})
	l := start(t, s, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Record(t.Context(), Entry{By: "x", Action: "POST /x"}); err == nil || l.Lost() != 1 {
		t.Errorf("it is said to be kept: %v, %d lost", err, l.Lost())
	}
}
