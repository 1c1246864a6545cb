package diskbus

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// golden is a directory that the first release wrote: a snapshot, the log after it, and what it held, as text.
const golden = "testdata/format1"

const goldenContents = "contents.txt"

// Every later release reads it, and sees the same. FLEETCAST_UPDATE=1 makes it where there is none: one that is there is
// never written again, but gets a neighbour when the format has another version.
func TestADirectoryOfTheFirstFormatIsRead(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(golden); errors.Is(err, os.ErrNotExist) && os.Getenv("FLEETCAST_UPDATE") != "" {
		makeGolden(t)
	}
	dir := t.TempDir()
	files := readDir(t, golden)
	for name, b := range files {
		if name != goldenContents {
			writeGolden(t, filepath.Join(dir, name), b)
		}
	}
	if !slices.ContainsFunc(names(files), isState) {
		t.Fatalf("there is no snapshot among %v", names(files))
	}
	b := openIn(t, newWorld(), Options{Dir: dir})
	if got := contents(b.memory); got != string(files[goldenContents]) {
		t.Errorf("it is read as\n%s\nand was written as\n%s", got, files[goldenContents])
	}
}

func makeGolden(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	b := openIn(t, newWorld(), Options{Dir: dir, LogBytes: 8 << 10})
	fill(t, b, 60)
	eventually(t, "a snapshot", func() bool { return slices.ContainsFunc(slices.Collect(maps.Keys(readDir(t, dir))), isState) })
	fill2(t, b)
	text := contents(b.memory)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(golden, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range readDir(t, dir) {
		if name != lockName {
			writeGolden(t, filepath.Join(golden, name), content)
		}
	}
	writeGolden(t, filepath.Join(golden, goldenContents), []byte(text))
}

// fill2 has something in the log behind the snapshot.
func fill2(t *testing.T, b *Bus) {
	t.Helper()
	appendTo(t, b, 9, 1, entries(t, 500, 503)...)
	l := own(t, b)
	publish(t, l, bus.Flush{Time: 99, Consumed: read(t, l, 2)[1].ID, Changes: []bus.Change{change(t, "last", `{"last":true}`)}})
}

func writeGolden(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What a newer release may have written is refused and not skipped: it could be what a device was promised.
func TestRecordsOfANewerReleaseAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openIn(t, newWorld(), Options{Dir: dir})
	fill(t, b, 2)
	kill(t, b)
	name := segmentPath(dir, 1)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	writeGolden(t, name, append(good, sealFrame(appendRecord(openFrame(nil), 99, []byte("from the future")))...))
	_, err = Open(Options{Dir: dir})
	if !errors.Is(err, errNewer) || !strings.Contains(err.Error(), "newer release") {
		t.Errorf("a record of an unknown kind: %v", err)
	}
	var r snapshotReader
	if err := r.member(99, nil); !errors.Is(err, errNewer) {
		t.Errorf("in a snapshot: %v", err)
	}
}
