package diskbus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func TestARestartHoldsAllThatWasHeld(t *testing.T) {
	for name, end := range map[string]func(testing.TB, *Bus){
		"closed": func(tb testing.TB, b *Bus) {
			tb.Helper()
			if err := b.Close(); err != nil {
				tb.Fatal(err)
			}
		},
		"killed": kill,
	} {
		for _, logBytes := range []int64{0, 2 << 10} { // without and with snapshots
			t.Run(fmt.Sprint(name, logBytes), func(t *testing.T) {
				w, o := newWorld(), Options{Dir: t.TempDir(), LogBytes: logBytes, Memory: bus.MemoryOptions{MaxEvents: 5, MaxTombstones: 1}}
				b := openIn(t, w, o)
				fill(t, b, 60)
				want, at := contents(b.memory), b.memory.Position(0)
				end(t, b)
				for range 3 { // and a restart after a restart
					b = openIn(t, w, o)
					if got := contents(b.memory); got != want {
						t.Fatalf("held\n%s\nwas\n%s", got, want)
					}
					if b.memory.Position(0) != at {
						t.Fatalf("%v became %v", at, b.memory.Position(0))
					}
					end(t, b)
				}
				if logBytes > 0 && len(readDir(t, o.Dir)) > 6 {
					t.Errorf("old files stay: %v", names(readDir(t, o.Dir)))
				}
			})
		}
	}
}

func TestWhatWasNotConsumedIsReadAgainAndARepetitionIsKnown(t *testing.T) {
	w, o := newWorld(), Options{Dir: t.TempDir()}
	b := openIn(t, w, o)
	l := own(t, b)
	appendTo(t, b, 7, 1, entries(t, 0, 4)...)
	got := read(t, l, 4)
	publish(t, l, bus.Flush{Consumed: got[1].ID})
	kill(t, b)

	b = openIn(t, w, o)
	appendTo(t, b, 7, 1, entries(t, 0, 4)...) // its answer was lost with the process
	l = own(t, b)
	again := read(t, l, 10)
	if len(again) != 2 || again[0].ID != got[2].ID || again[0].Time != got[2].Time || again[1].Connection.Conn != 3 {
		t.Fatalf("read %+v", again)
	}
	err := b.Append(t.Context(), bus.Append{Door: 7, Seq: 0, Entries: entries(t, 0, 1)})
	if devices.KindOf(err) != devices.Conflict {
		t.Fatal(err)
	}
}

func TestTheEpochIsNewOnlyWhereHistoryMayBeLost(t *testing.T) {
	closed := func(tb testing.TB, b *Bus) { tb.Helper(); _ = b.Close() }
	for _, c := range []struct {
		name  string
		fsync Fsync
		end   func(testing.TB, *Bus)
		boot  string
		copy  bool
		fresh bool
	}{
		{"killed", EverySecond, kill, "first boot", false, false},
		{"killed never", Never, kill, "first boot", false, false},
		{"power", EverySecond, kill, "second boot", false, true},
		{"power never", Never, kill, "second boot", false, true},
		{"power always", Always, kill, "second boot", false, false},
		{"power after a close", Never, closed, "second boot", false, false},
		{"unknown boot", EverySecond, kill, "", false, true},
		{"unknown boot after a close", EverySecond, closed, "", false, false},
		{"copied", Always, closed, "first boot", true, true},
		{"copied after a kill", Always, kill, "first boot", true, true},
		{"copied to another machine", Always, closed, "second boot", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, o := newWorld(), Options{Dir: t.TempDir(), Fsync: c.fsync}
			b := openIn(t, w, o)
			fill(t, b, 9)
			want, at := contents(b.memory), b.memory.Position(0)
			c.end(t, b)
			if c.copy {
				o.Dir = copyDir(t, o.Dir)
			}
			w.set(func() { w.boot = c.boot })
			b = openIn(t, w, o)
			if got := contents(b.memory); got != want {
				t.Fatalf("held\n%s\nwas\n%s", got, want)
			}
			if fresh := b.memory.Position(0).Epoch != at.Epoch; fresh != c.fresh {
				t.Fatalf("a new epoch: %v, want %v", fresh, c.fresh)
			}
			at = b.memory.Position(0)
			kill(t, b)
			if b = openIn(t, w, o); c.boot != "" && b.memory.Position(0) != at {
				t.Fatal("the epoch does not stay")
			}
		})
	}
}

// small is a directory with one segment after a kill, and the contents after every frame of it.
func small(t *testing.T, w *world, fsync Fsync) (o Options, after map[int64]string) {
	t.Helper()
	o = Options{Dir: t.TempDir(), Fsync: fsync}
	b := openIn(t, w, o)
	after = map[int64]string{b.writer.segment.size: contents(b.memory)}
	l := own(t, b)
	for n := range 4 {
		appendTo(t, b, 7, uint64(n+1), entry(t, n))
		after[b.writer.counters.logBytes.Load()] = contents(b.memory)
		publish(t, l, bus.Flush{Time: 5, Consumed: read(t, l, 1)[0].ID, Changes: []bus.Change{change(t, "a", fmt.Sprint(n))}})
		after[b.writer.counters.logBytes.Load()] = contents(b.memory)
	}
	kill(t, b)
	return o, after
}

func TestALogThatIsCutAnywhereRecoversAPrefix(t *testing.T) {
	w := newWorld()
	o, after := small(t, w, EverySecond)
	path := segmentPath(o.Dir, 1)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	header := int64(len(whole))
	for at := range after {
		header = min(header, at)
	}
	want := ""
	for n := header; n <= int64(len(whole)); n++ {
		if text, ok := after[n]; ok {
			want = text
		}
		// The same inode, so that it is the same log and not a copy.
		if err := errors.Join(os.WriteFile(path, whole[:n], 0o600), os.RemoveAll(segmentPath(o.Dir, 2))); err != nil {
			t.Fatal(err)
		}
		b := openIn(t, w, o)
		if got := contents(b.memory); got != want {
			t.Fatalf("cut at %d of %d: held\n%s\nwant\n%s", n, len(whole), got, want)
		}
		kill(t, b)
		if b = openIn(t, w, o); contents(b.memory) != want { // the tail stays cut when it is not in the last segment
			t.Fatalf("cut at %d: another restart holds something else", n)
		}
		kill(t, b)
		if err := os.Remove(segmentPath(o.Dir, 3)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	w := newWorld()
	o, _ := small(t, w, EverySecond)
	path := segmentPath(o.Dir, 1)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		bad := append([]byte(nil), whole...)
		bad[at] ^= 1 << (at % 8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := open(o, w.environment())
		if err == nil {
			_ = b.Close()
			t.Fatalf("the bit in byte %d of %d is not noticed", at, len(whole))
		}
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "backup") {
			t.Fatalf("the error of byte %d does not say which file and what to do: %v", at, err)
		}
	}
}

func TestAFlippedBitInASnapshotIsFound(t *testing.T) {
	w, o := newWorld(), Options{Dir: t.TempDir(), LogBytes: 1 << 10}
	b := openIn(t, w, o)
	fill(t, b, 30)
	eventually(t, "a snapshot", func() bool { return b.Stats().Snapshots > 0 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	states, err := filepath.Glob(filepath.Join(o.Dir, statePrefix+"*"))
	if err != nil || len(states) != 1 {
		t.Fatal(states, err)
	}
	whole, err := os.ReadFile(states[0])
	if err != nil {
		t.Fatal(err)
	}
	for at := range len(whole) + 1 {
		bad := append([]byte(nil), whole[:min(at+1, len(whole))]...)
		switch {
		case at == len(whole):
			bad = bad[:len(bad)-1] // cut
		default:
			bad = append(bad, whole[at+1:]...)
			bad[at] ^= 0x10
		}
		if err := os.WriteFile(states[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := open(o, w.environment()); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), states[0]) {
			_ = b
			t.Fatalf("byte %d: %v", at, err)
		}
	}
}

func TestALossOfPowerCutsWhatWasNotSyncedAndNoMore(t *testing.T) {
	zero := func(b []byte) { clear(b) }
	for _, fsync := range []Fsync{Always, EverySecond} {
		for _, c := range []struct {
			name    string
			last    bool // spoil the last frame, else one in the middle
			damaged bool
		}{{"the last frame", true, false}, {"a frame in the middle", false, fsync == Always}} {
			t.Run(fsync.String()+" "+c.name, func(t *testing.T) {
				w := newWorld()
				o, after := small(t, w, fsync)
				path := segmentPath(o.Dir, 1)
				whole, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				var ends []int64
				for at := range after {
					ends = append(ends, at)
				}
				slices.Sort(ends)
				n := len(ends) - 2 // the frame that begins here is spoiled
				if !c.last {
					n = 2
				}
				zero(whole[ends[n]:ends[n+1]])
				if err := os.WriteFile(path, whole, 0o600); err != nil {
					t.Fatal(err)
				}
				w.set(func() { w.boot = "second boot" })
				b, err := open(o, w.environment())
				if c.damaged {
					if !errors.Is(err, ErrDamaged) {
						t.Fatalf("%v, want an error: what was synced is gone", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer kill(t, b)
				if got := contents(b.memory); got != after[ends[n]] {
					t.Fatalf("held\n%s\nwant\n%s", got, after[ends[n]])
				}
			})
		}
	}
}

func TestAMissingFileIsAnError(t *testing.T) {
	for _, gone := range []string{"log-0000000000000001", "log-0000000000000002"} {
		w, o := newWorld(), Options{Dir: t.TempDir()}
		for range 3 {
			b := openIn(t, w, o)
			kill(t, b)
		}
		if err := os.Remove(filepath.Join(o.Dir, gone)); err != nil {
			t.Fatal(err)
		}
		if _, err := open(o, w.environment()); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), gone) {
			t.Fatalf("without %s: %v", gone, err)
		}
	}
}

func TestFilesOfOthersStayAndWhatWasNeverFinishedGoes(t *testing.T) {
	w, o := newWorld(), Options{Dir: t.TempDir()}
	kill(t, openIn(t, w, o))
	for _, name := range []string{"secret", "secret.tmp", "log-of-yesterday", "state-0000000000000009.tmp"} {
		if err := os.WriteFile(filepath.Join(o.Dir, name), []byte("?"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kill(t, openIn(t, w, o))
	want := []string{"lock", "log-0000000000000001", "log-0000000000000002", "log-of-yesterday", "secret", "secret.tmp"}
	if got := names(readDir(t, o.Dir)); !slices.Equal(got, want) {
		t.Errorf("the directory has %v, want %v", got, want)
	}
}

func TestADirectoryHasOneProcess(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	b := openIn(t, newWorld(), o)
	if _, err := Open(o); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), o.Dir) {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	openIn(t, newWorld(), o)
}

func TestTheNumberOfPartitionsIsTheDirectorys(t *testing.T) {
	w, o := newWorld(), Options{Dir: t.TempDir(), Memory: bus.MemoryOptions{Partitions: 3}}
	_ = openIn(t, w, o).Close()
	o.Memory.Partitions = 4
	if _, err := open(o, w.environment()); devices.KindOf(err) != devices.Invalid || !strings.Contains(err.Error(), "3") {
		t.Fatal(err)
	}
	o.Memory.Partitions = 0
	if b := openIn(t, w, o); b.Partitions() != 3 {
		t.Fatal(b.Partitions())
	}
}

func TestRestartsWithoutEndLeaveFewFiles(t *testing.T) {
	w, o := newWorld(), Options{Dir: t.TempDir()}
	b := openIn(t, w, o)
	fill(t, b, 3)
	want := contents(b.memory)
	kill(t, b)
	for range 3 * maxSegments {
		b = openIn(t, w, o)
		kill(t, b)
	}
	if files := readDir(t, o.Dir); len(files) > maxSegments+3 {
		t.Errorf("%d files: %v", len(files), names(files))
	}
	if b = openIn(t, w, o); contents(b.memory) != want {
		t.Error(contents(b.memory))
	}
}

// A segment that was replaced and not synced yet may be spoiled though it is not the last.
func TestALossOfPowerWhileASnapshotIsWrittenCutsTheSegmentBefore(t *testing.T) {
	for _, fsync := range []Fsync{EverySecond, Always} {
		t.Run(fsync.String(), func(t *testing.T) {
			w, o := newWorld(), Options{Dir: t.TempDir(), Fsync: fsync, LogBytes: 1 << 10}
			env := w.environment()
			create := env.create
			env.create = func(path string) (file, error) {
				if isState(path) {
					return nil, os.ErrPermission
				}
				return create(path)
			}
			b, err := open(o, env)
			if err != nil {
				t.Fatal(err)
			}
			var held []string
			for n := range 20 {
				appendTo(t, b, 7, uint64(n+1), entries(t, 0, 2)...)
				held = append(held, contents(b.memory))
			}
			epoch := b.memory.Position(0).Epoch
			kill(t, b)
			if b.writer.segment.number < 2 {
				t.Fatal("there is one segment only")
			}
			path := segmentPath(o.Dir, 1)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			clear(whole[len(whole)-200 : len(whole)-100])
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := open(o, w.environment()); !errors.Is(err, ErrDamaged) {
				t.Fatalf("in the same boot it is damage: %v", err)
			}
			w.set(func() { w.boot = "second boot" })
			b, err = open(o, w.environment())
			if fsync == Always {
				if !errors.Is(err, ErrDamaged) {
					t.Fatalf("what was synced is gone: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := contents(b.memory)
			if !slices.Contains(held, got) {
				t.Fatalf("what is held is no prefix:\n%s", got)
			}
			if b.memory.Position(0).Epoch == epoch {
				t.Fatal("the epoch is the same though history is lost")
			}
			kill(t, b)
			for range 2 {
				b = openIn(t, w, o)
				if now := contents(b.memory); now != got {
					t.Fatalf("held\n%s\nwas\n%s", now, got)
				}
				kill(t, b)
			}
		})
	}
}
