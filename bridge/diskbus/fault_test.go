package diskbus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

func tryAppend(b *Bus, seq uint64, e ...bus.Entry) error {
	return b.Append(context.Background(), bus.Append{Door: 7, Seq: seq, Entries: e})
}

func TestAFullDiskRefusesAndNothingIsTorn(t *testing.T) {
	for _, fsync := range []Fsync{EverySecond, Always, Never} {
		t.Run(fsync.String(), func(t *testing.T) {
			w, o := newWorld(), Options{Dir: t.TempDir(), Fsync: fsync}
			b := openIn(t, w, o)
			l := own(t, b)
			appendTo(t, b, 7, 1, entries(t, 0, 2)...)
			got := read(t, l, 2)
			publish(t, l, bus.Flush{Consumed: got[0].ID, Changes: []bus.Change{change(t, "a", "1")}})
			want := contents(b.memory)
			for room := range int64(60) { // wherever in the frame the disk ends
				w.set(func() { w.room = room })
				wantUnavailable(t, tryAppend(b, 2, entries(t, 2, 9)...))
				wantUnavailable(t, b.Healthy())
				f := bus.Flush{Consumed: got[1].ID, Changes: []bus.Change{change(t, "a", fmt.Sprint("never seen ", room))}}
				w.set(func() { w.room = room })
				_, err := l.Publish(t.Context(), &f)
				wantUnavailable(t, err)
				if now := contents(b.memory); now != want {
					t.Fatalf("what was refused is held:\n%s\nwas\n%s", now, want)
				}
			}
			publish(t, l, bus.Flush{Time: 1}) // a beat needs no room
			w.set(func() { w.room = -1 })
			appendTo(t, b, 7, 2, entries(t, 2, 9)...)
			publish(t, l, bus.Flush{Consumed: got[1].ID, Changes: []bus.Change{change(t, "a", "2")}})
			if err := b.Healthy(); err != nil {
				t.Fatal(err)
			}
			want = contents(b.memory)
			kill(t, b)
			if b = openIn(t, w, o); contents(b.memory) != want {
				t.Fatalf("held\n%s\nwant\n%s", contents(b.memory), want)
			}
		})
	}
}

func TestADiskWithRoomAgainIsFoundWithoutAnybodySending(t *testing.T) {
	w, o := newWorld(), Options{Dir: t.TempDir()}
	b := openIn(t, w, o)
	w.set(func() { w.room = 3 })
	wantUnavailable(t, tryAppend(b, 1, entries(t, 0, 3)...))
	w.set(func() { w.room = -1 })
	eventually(t, "the bus is healthy", func() bool { return b.Healthy() == nil })
	kill(t, b)
	b = openIn(t, w, o)
	if s := b.Stats(); s.InletEntries != 0 || s.LogBytes > 1000 {
		t.Errorf("the trial left something: %+v", s)
	}
}

// A write of which half came through and that cannot be taken back, and a sync that failed: the segment is given up.
func TestASegmentInDoubtIsReplacedByASnapshot(t *testing.T) {
	for name, fault := range map[string]func(w *world){
		"half a write stays": func(w *world) { w.room, w.cuts = 20, syscall.EIO },
		"a sync fails":       func(w *world) { w.sync = syscall.EIO },
		"a sync fails for want of room, and what was written stays": func(w *world) { w.sync, w.cuts = syscall.ENOSPC, syscall.EIO },
	} {
		t.Run(name, func(t *testing.T) {
			w, o := newWorld(), Options{Dir: t.TempDir(), Fsync: Always}
			b := openIn(t, w, o)
			appendTo(t, b, 7, 1, entries(t, 0, 3)...)
			w.set(func() { fault(w) })
			wantUnavailable(t, tryAppend(b, 2, entries(t, 3, 5)...))
			wantUnavailable(t, tryAppend(b, 2, entries(t, 3, 5)...)) // there is no sync that may be tried again
			w.set(func() { w.room, w.sync, w.cuts = -1, nil, nil })
			appendTo(t, b, 7, 2, entries(t, 3, 5)...)
			appendTo(t, b, 7, 3, entries(t, 5, 6)...)
			if s := b.Stats(); s.Snapshots != 1 || s.InletEntries != 6 {
				t.Errorf("%+v", s)
			}
			want := contents(b.memory)
			kill(t, b)
			if b = openIn(t, w, o); contents(b.memory) != want {
				t.Fatalf("held\n%s\nwant\n%s", contents(b.memory), want)
			}
		})
	}
}

func TestAKillBetweenADoubtAndItsEndLosesNothing(t *testing.T) {
	w, o := newWorld(), Options{Dir: t.TempDir(), Fsync: Always}
	b := openIn(t, w, o)
	appendTo(t, b, 7, 1, entries(t, 0, 3)...)
	want := contents(b.memory)
	w.set(func() { w.room, w.cuts = 20, syscall.EIO })
	wantUnavailable(t, tryAppend(b, 2, entries(t, 3, 5)...))
	kill(t, b)
	w.set(func() { w.room, w.cuts = -1, nil })
	if b = openIn(t, w, o); contents(b.memory) != want {
		t.Fatalf("held\n%s\nwant\n%s", contents(b.memory), want)
	}
}

func TestAFailedSyncOfTheSecondIsNoticed(t *testing.T) {
	w, o := newWorld(), Options{Dir: t.TempDir(), Fsync: EverySecond}
	b := openIn(t, w, o)
	appendTo(t, b, 7, 1, entries(t, 0, 3)...)
	w.set(func() { w.sync = syscall.EIO })
	eventually(t, "the bus is not healthy", func() bool { return b.Healthy() != nil })
	w.set(func() { w.sync = nil })
	eventually(t, "the bus is healthy", func() bool { return b.Healthy() == nil })
	if s := b.Stats(); s.Snapshots != 1 || s.SyncsFailed == 0 {
		t.Errorf("%+v", s)
	}
}

func TestALogWithoutSnapshotsIsBounded(t *testing.T) {
	w, o := newWorld(), Options{Dir: t.TempDir(), LogBytes: 4 << 10}
	b := openIn(t, w, o)
	real := w.environment().create
	var broken bool
	b.writer.env.create = func(path string) (file, error) { // only snapshots fail
		w.mu.Lock()
		bad := broken
		w.mu.Unlock()
		if bad && isState(path) {
			return nil, &os.PathError{Op: "open", Path: path, Err: syscall.ENOSPC}
		}
		return real(path)
	}
	w.set(func() { broken = true })
	var seq uint64
	var err error
	for seq = 1; err == nil; seq++ {
		err = tryAppend(b, seq, entries(t, 0, 3)...)
		if b.Stats().LogBytes > (maxLogSteps+1)*o.LogBytes {
			t.Fatal("the log grows")
		}
	}
	wantUnavailable(t, err)
	if !errors.Is(err, errLogFull) {
		t.Fatal(err)
	}
	if n := len(readDir(t, o.Dir)); n > 4*maxLogSteps+3 {
		t.Errorf("failed snapshots left %d files", n)
	}
	w.set(func() { broken = false })
	eventually(t, "the bus is healthy", func() bool { return b.Healthy() == nil })
	appendTo(t, b, 7, seq, entries(t, 0, 3)...)
}

func TestTheDirectoryStaysBounded(t *testing.T) {
	w, o := newWorld(), Options{Dir: t.TempDir(), LogBytes: 64 << 10}
	b := openIn(t, w, o)
	l := own(t, b)
	var largest int64
	for n := range 2000 {
		appendTo(t, b, 7, uint64(n+1), entries(t, 0, 10)...)
		got := read(t, l, 10)
		publish(t, l, bus.Flush{Consumed: got[len(got)-1].ID, Changes: []bus.Change{change(t, fmt.Sprint("d", n%50), fmt.Sprintf("%0300d", n))}})
		if n%100 == 0 {
			largest = max(largest, dirSize(t, o.Dir))
		}
	}
	s := b.Stats()
	if bound := (maxLogSteps+1)*o.LogBytes + 3*s.SnapshotBytes; largest > bound {
		t.Errorf("the directory held %d bytes, more than %d", largest, bound)
	}
	if s.Snapshots < 3 || int64(s.BytesWritten) < 10*o.LogBytes {
		t.Errorf("too little was written to tell: %+v", s)
	}
}

func dirSize(tb testing.TB, dir string) int64 {
	tb.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	var sum int64
	for _, f := range files {
		if info, err := f.Info(); err == nil { // one may go meanwhile
			sum += info.Size()
		}
	}
	return sum
}

// The same on a real file system of 4 MB.
func TestARealFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := mountSmall(dir); err != nil {
		t.Skipf("a small file system cannot be mounted here (it takes root on Linux): %v", err)
	}
	t.Cleanup(func() { _ = unmount(dir) })
	o := Options{Dir: dir + "/data", Fsync: Always, Memory: bus.MemoryOptions{MaxInletEntries: 1 << 20}}
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	seq := uint64(1)
	for ; ; seq++ {
		if err = tryAppend(b, seq, entries(t, 0, 1000)...); err != nil {
			break
		}
	}
	wantUnavailable(t, err)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	wantUnavailable(t, b.Healthy())
	want := contents(b.memory)
	kill(t, b)

	// Begun again on the full disk: it says so, or it holds everything. Both are told by the file system's last block.
	b, err = Open(o)
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err == nil {
		kill(t, b)
	}
	if err := growSmall(dir); err != nil {
		t.Fatal(err)
	}
	if b, err = Open(o); err != nil {
		t.Fatal(err)
	}
	if contents(b.memory) != want {
		t.Fatal("what was acknowledged is not held")
	}
	if err := tryAppend(b, seq, entries(t, 0, 1000)...); err != nil {
		t.Fatal(err)
	}
}
