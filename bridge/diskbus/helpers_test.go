package diskbus

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// patience ends a wait for something that never comes.
const patience = 20 * time.Second

func device(tb testing.TB, s string) devices.DeviceID {
	tb.Helper()
	id, err := devices.ParseDeviceID(s)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func fleet(tb testing.TB, s string) devices.FleetID {
	tb.Helper()
	id, err := devices.ParseFleetID(s)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func entry(tb testing.TB, n int) bus.Entry {
	tb.Helper()
	return bus.Entry{
		Device: device(tb, fmt.Sprint("d", n%9)), Fleet: fleet(tb, "north"), Kind: bus.KindConnection,
		Connection: bus.Connection{Door: 1, Conn: uint64(n), Up: true},
	}
}

func entries(tb testing.TB, from, to int) []bus.Entry {
	tb.Helper()
	var out []bus.Entry
	for n := from; n < to; n++ {
		out = append(out, entry(tb, n))
	}
	return out
}

func change(tb testing.TB, name, content string) bus.Change {
	tb.Helper()
	c := bus.Change{Device: device(tb, name), Fleet: fleet(tb, "north"), Record: []byte("record of " + content)}
	if content != "" {
		c.Frame = []byte(content)
	}
	return c
}

func event(tb testing.TB, content string) bus.Event {
	tb.Helper()
	return bus.Event{Name: "alert", Device: device(tb, "a"), Fleet: fleet(tb, "north"), Data: []byte(content)}
}

// world is an environment whose boots and faults the test decides.
type world struct {
	mu    sync.Mutex
	boot  string
	room  int64 // bytes that may still be written; -1: no end of them
	sync  error // what every Sync answers
	cuts  error // what every Truncate answers
	syncs int
}

func newWorld() *world { return &world{boot: "first boot", room: -1} }

func (w *world) environment() environment {
	return environment{
		bootID: func() string { w.mu.Lock(); defer w.mu.Unlock(); return w.boot },
		create: func(path string) (file, error) {
			f, err := realEnvironment().create(path)
			return &worldFile{file: f, w: w}, err
		},
	}
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// worldFile writes what there is room for, as a full disk does.
type worldFile struct {
	file
	w *world
}

func (f *worldFile) WriteAt(b []byte, at int64) (int, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if f.w.room < 0 {
		return f.file.WriteAt(b, at)
	}
	n := min(int64(len(b)), f.w.room)
	f.w.room -= n
	if _, err := f.file.WriteAt(b[:n], at); err != nil {
		return 0, err
	}
	if n < int64(len(b)) {
		return int(n), &os.PathError{Op: "write", Path: "log", Err: syscall.ENOSPC}
	}
	return len(b), nil
}

func (f *worldFile) Sync() error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.syncs++
	if f.w.sync != nil {
		return f.w.sync
	}
	return f.file.Sync()
}

func (f *worldFile) Truncate(n int64) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if f.w.cuts != nil {
		return f.w.cuts
	}
	return f.file.Truncate(n)
}

func openIn(tb testing.TB, w *world, o Options) *Bus {
	tb.Helper()
	b, err := open(o, w.environment())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = b.Close() })
	return b
}

// kill leaves the directory as a kill -9 would: nothing is written any more, and the lock is free.
func kill(tb testing.TB, b *Bus) {
	tb.Helper()
	b.once.Do(func() {
		b.writer.killed.Store(true)
		close(b.closing)
		_ = b.writer.wait()
		_ = b.memory.Close()
		_ = unlockDir(b.lock)
	})
}

func own(tb testing.TB, b bus.Bus) bus.Lease {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	l, err := b.Own(ctx, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func publish(tb testing.TB, l bus.Lease, f bus.Flush) bus.Position {
	tb.Helper()
	at, err := l.Publish(context.Background(), &f)
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

func read(tb testing.TB, l bus.Lease, limit int) []bus.Entry {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := l.Read(ctx, limit)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func appendTo(tb testing.TB, b bus.Bus, door bus.DoorID, seq uint64, e ...bus.Entry) {
	tb.Helper()
	if err := b.Append(context.Background(), bus.Append{Door: door, Seq: seq, Entries: e}); err != nil {
		tb.Fatal(err)
	}
}

// contents is all that a partition holds, as text that can be compared. Without the epoch.
func contents(m *bus.Memory) string {
	var b bytes.Buffer
	for p := range m.Partitions() {
		i := m.Image(p)
		fmt.Fprintln(&b, i.Position.Offset, i.Time, i.Floor, i.Consumed, i.Last, i.LastTime, i.Doors, i.Config)
		slices.SortFunc(i.Devices, func(a, b bus.HeldDevice) int {
			return cmp.Or(cmp.Compare(a.Fleet.String(), b.Fleet.String()), cmp.Compare(a.Device.String(), b.Device.String()))
		})
		for _, d := range i.Devices {
			fmt.Fprintf(&b, "%s %s %q %q %d %d %v\n", d.Fleet, d.Device, d.Frame, d.Record, d.Offset, d.RemovedAt, d.Lat)
		}
		for _, e := range i.Events {
			fmt.Fprintf(&b, "%s %q %d\n", e.Name, e.Data, e.Offset)
		}
		for _, t := range i.Trails {
			fmt.Fprintf(&b, "%s %s %d %q\n", t.Fleet, t.Device, t.At, t.Blocks)
		}
		slices.SortFunc(i.Commands, func(a, b bus.CommandRow) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
		for _, c := range i.Commands {
			fmt.Fprintf(&b, "%s %s %s %q\n", c.ID, c.Fleet, c.Device, c.Data)
		}
		for _, e := range i.Inlet {
			fmt.Fprintf(&b, "%d %d %s %d\n", e.ID, e.Time, e.Device, e.Connection.Conn)
		}
	}
	return b.String()
}

// command is a row of the table of commands; one without content forgets it.
func command(tb testing.TB, n int, content string) bus.CommandRow {
	tb.Helper()
	d := device(tb, fmt.Sprint("d", n%4+4))
	r := bus.CommandRow{ID: devices.CommandIDFor("", fmt.Sprint(n), devices.DeviceID{}), Device: d, Fleet: fleet(tb, "north")}
	if content != "" {
		r.Data = []byte(content)
	}
	return r
}

// fill puts a little of everything into a bus.
func fill(tb testing.TB, b *Bus, rounds int) {
	tb.Helper()
	l := own(tb, b)
	for n := range rounds {
		appendTo(tb, b, 7, uint64(n+1), entries(tb, 3*n, 3*n+3)...)
		got := read(tb, l, 2)
		f := bus.Flush{Time: int64(n), Consumed: got[len(got)-1].ID, Changes: []bus.Change{
			change(tb, fmt.Sprint("d", n%4), fmt.Sprintf(`{"n":%d}`, n)),
		}}
		if n%3 == 2 {
			f.Changes = append(f.Changes, change(tb, fmt.Sprint("d", (n+1)%4), ""))
			f.Events = []bus.Event{event(tb, fmt.Sprintf(`{"id":%d}`, n))}
			f.Trails = []bus.TrailBlock{
				{Device: device(tb, fmt.Sprint("d", n%4)), Fleet: fleet(tb, "north"), Keep: 3, Data: fmt.Append(nil, "block ", n)},
				{Device: device(tb, fmt.Sprint("d", n%5)), Fleet: fleet(tb, "north")},
				{Device: device(tb, "long"), Fleet: fleet(tb, "north"), Keep: 8, Data: fmt.Append(nil, "block ", n)},
			}
		}
		if n%8 == 1 {
			f.Commands = []bus.CommandRow{command(tb, n%3, fmt.Sprint("state ", n)), command(tb, n, "another"), command(tb, n-8, "")}
		}
		if n%7 == 3 {
			f.Config = uint64(n)
		}
		publish(tb, l, f)
		if n%5 == 4 {
			publish(tb, l, bus.Flush{Time: int64(n), Config: uint64(n) + 1<<52}) // a beat
		}
	}
	if err := l.Release(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

func copyDir(tb testing.TB, from string) string {
	tb.Helper()
	to := tb.TempDir()
	for name, b := range readDir(tb, from) {
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return to
}

func readDir(tb testing.TB, dir string) map[string][]byte {
	tb.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	out := make(map[string][]byte)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			tb.Fatal(err)
		}
		out[f.Name()] = b
	}
	return out
}

func names(files map[string][]byte) []string { return slices.Sorted(maps.Keys(files)) }

// eventually polls, since the thing waited for is the disk's.
func eventually(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}

func wantUnavailable(tb testing.TB, err error) {
	tb.Helper()
	if devices.KindOf(err) != devices.Unavailable || errors.Is(err, bus.ErrInletFull) {
		tb.Fatalf("%v is not what a log that cannot be written says", err)
	}
}

func isState(path string) bool { return strings.HasPrefix(filepath.Base(path), statePrefix) }

// memoryFile is a file that no disk slows down.
type memoryFile struct{ bytes.Buffer }

func (f *memoryFile) WriteAt(b []byte, _ int64) (int, error) { return f.Write(b) }
func (f *memoryFile) Truncate(int64) error                   { return nil }
func (f *memoryFile) Sync() error                            { return nil }
func (f *memoryFile) Close() error                           { return nil }

func newMemory(tb testing.TB) *bus.Memory {
	tb.Helper()
	m, err := bus.NewMemory(bus.MemoryOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// throughASnapshot writes what a memory holds and reads it into another.
func throughASnapshot(tb testing.TB, m *bus.Memory) *bus.Memory {
	tb.Helper()
	var f memoryFile
	size, err := writeImages(&f, []*bus.Image{m.Image(0)})
	if err != nil {
		tb.Fatal(err)
	}
	again := newMemory(tb)
	if err := readImages(newFrameReader(&f, size), again); err != nil {
		tb.Fatalf("what is held cannot be written and read again: %v", err)
	}
	return again
}
