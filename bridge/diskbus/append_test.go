package diskbus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// A door that gives up waiting does not know whether its entries are kept, and repeats.
func TestAnAppendThatIsGivenUpAndRepeatedIsKeptOnce(t *testing.T) {
	const doors, appends = 4, 200
	b := openIn(t, newWorld(), Options{Dir: t.TempDir(), LogBytes: 32 << 10})
	var wg sync.WaitGroup
	for door := range doors {
		wg.Go(func() {
			for seq := uint64(1); seq <= appends; seq++ {
				e := entry(t, int(seq))
				e.Connection.Door = bus.DoorID(door + 1)
				for err := errors.New("not yet"); err != nil; {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(200))*time.Microsecond)
					err = b.Append(ctx, bus.Append{Door: bus.DoorID(door + 1), Seq: seq, Entries: []bus.Entry{e}})
					cancel()
					if err != nil && !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	next := make(map[bus.DoorID]uint64)
	for _, e := range read(t, own(t, b), 1_000_000) {
		next[e.Connection.Door]++
		if e.Connection.Conn != next[e.Connection.Door] {
			t.Fatalf("door %d: entry %d stands where %d should", e.Connection.Door, e.Connection.Conn, next[e.Connection.Door])
		}
	}
	for door := range doors {
		if n := next[bus.DoorID(door+1)]; n != appends {
			t.Errorf("door %d: %d entries of %d", door+1, n, appends)
		}
	}
}

func TestAnAppendOfSeveralPartitionsIsKeptWholeOrNotAtAll(t *testing.T) {
	w, o := newWorld(), Options{Dir: t.TempDir(), Memory: bus.MemoryOptions{Partitions: 3}}
	b := openIn(t, w, o)
	var list []bus.Entry
	for n := range 30 {
		e := entry(t, n)
		e.Fleet = fleet(t, fmt.Sprint("fleet-", n))
		list = append(list, e)
	}
	appendTo(t, b, 1, 1, list...)
	want := contents(b.memory)
	appendTo(t, b, 1, 2, list...)
	kill(t, b)
	info, err := os.Stat(segmentPath(o.Dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(segmentPath(o.Dir, 1), info.Size()-1); err != nil {
		t.Fatal(err)
	}
	if b = openIn(t, w, o); contents(b.memory) != want {
		t.Errorf("held\n%s\nwant\n%s", contents(b.memory), want)
	}
}

func TestAnEntryOnItsWayToTheLogAllocatesNothingOfItsOwn(t *testing.T) {
	allocs := func(n int) float64 {
		b := openIn(t, newWorld(), Options{Dir: t.TempDir(), Fsync: Never})
		l, list, ctx, seq := own(t, b), entries(t, 0, n), context.Background(), uint64(0)
		return testing.AllocsPerRun(20, func() {
			seq++
			if err := b.Append(ctx, bus.Append{Door: 1, Seq: seq, Entries: list}); err != nil {
				t.Fatal(err)
			}
			got, err := l.Read(ctx, n)
			if err != nil || len(got) != n {
				t.Fatal(len(got), err)
			}
			if _, err := l.Publish(ctx, &bus.Flush{Consumed: got[n-1].ID}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if one, many := allocs(1), allocs(1000); many > one+2 || one > 25 {
		t.Errorf("a round of 1 entry allocates %v times, of 1000 entries %v times", one, many)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"no directory":        {},
		"an unknown fsync":    {Dir: t.TempDir(), Fsync: 9},
		"a negative log":      {Dir: t.TempDir(), LogBytes: -1},
		"too many partitions": {Dir: t.TempDir(), Memory: bus.MemoryOptions{Partitions: bus.MaxPartitions + 1}},
	} {
		if b, err := Open(o); devices.KindOf(err) != devices.Invalid {
			t.Errorf("%s: %v, %v", name, b, err)
		}
	}
}

func TestFsyncIsReadAsItIsWritten(t *testing.T) {
	for _, mode := range []Fsync{Always, EverySecond, Never} {
		text, err := mode.MarshalText()
		var got Fsync
		if err2 := got.UnmarshalText(text); err != nil || err2 != nil || got != mode {
			t.Errorf("%s is read as %v: %v, %v", text, got, err, err2)
		}
	}
	if new(Fsync).UnmarshalText([]byte("sometimes")) == nil {
		t.Error("sometimes is taken")
	}
}

func TestAlwaysSyncsBeforeItAnswersAndNeverDoesNot(t *testing.T) {
	for mode, want := range map[Fsync]int{Always: 5, Never: 0} {
		w := newWorld()
		b := openIn(t, w, Options{Dir: t.TempDir(), Fsync: mode})
		before := 0
		w.set(func() { before = w.syncs })
		for n := range 5 {
			appendTo(t, b, 1, uint64(n+1), entry(t, n))
		}
		w.set(func() {
			if w.syncs-before != want {
				t.Errorf("%v: %d syncs for 5 appends, one after the other", mode, w.syncs-before)
			}
		})
	}
}
