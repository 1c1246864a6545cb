package history

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/bridge"
	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 26, 13, 45, 0, 0, time.UTC)

// heard is a reading of a device with an id.
func heard(t *testing.T, device string, id bus.EntryID) bridge.Heard {
	t.Helper()
	d, err := devices.ParseDeviceID(device)
	if err != nil {
		t.Fatal(err)
	}
	f, err := devices.ParseFleetID("north")
	if err != nil {
		t.Fatal(err)
	}
	r := &devices.Reading{At: 1795000000000}
	r.Has, r.Lat, r.Lon, r.Speed = devices.FieldPosition|devices.FieldSpeed, 48.85833, 2.29513, 16.9
	r.Metrics = []devices.Metric{{Name: "fuel", Value: devices.NumberValue(41.5)}}
	return bridge.Heard{ID: id, Time: 1795000000500 + int64(id), Device: d, Fleet: f, Reading: r}
}

// writer is one whose clock the test moves.
func writer(t *testing.T, o Options) (*Writer, *time.Time) {
	t.Helper()
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	now := start
	w.now = func() time.Time { return now }
	t.Cleanup(func() { _ = w.Close() })
	return w, &now
}

func keep(t *testing.T, w *Writer, partition int, readings ...bridge.Heard) {
	t.Helper()
	if err := w.Keep(partition, readings); err != nil {
		t.Fatal(err)
	}
}

// entries are those of all files of a directory, file by file.
func entries(t *testing.T, dir string) [][]string {
	t.Helper()
	files, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for _, f := range files {
		var in []string
		if _, _, err := Read(f.Path, 0, func(_ []byte, l *Line) error {
			in = append(in, l.Device+" "+l.Entry)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		all = append(all, in)
	}
	return all
}

func wantEntries(t *testing.T, dir string, want ...string) {
	t.Helper()
	var got []string
	for _, in := range entries(t, dir) {
		got = append(got, strings.Join(in, ", "))
	}
	if strings.Join(got, " | ") != strings.Join(want, " | ") {
		t.Errorf("the files have\n%q, want\n%q", got, want)
	}
}

func TestAReadingIsALineOfItsFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "history")
	w, _ := writer(t, Options{Dir: dir})
	if _, err := os.Stat(dir); err == nil {
		t.Error("a writer makes its directory before it writes")
	}
	keep(t, w, 3, heard(t, "truck-17", 7))
	files, err := List(dir)
	if err != nil || len(files) != 1 || !strings.HasPrefix(files[0].Name, "p3/20261126T134500.000Z-") {
		t.Fatalf("%+v, %v", files, err)
	}
	data, err := os.ReadFile(files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"device":"truck-17","fleet":"north","received":1795000000507,"entry":"p3-7","at":1795000000000,"lat":48.85833,"lon":2.29513,"speed":16.9,"metrics":{"fuel":41.5}}` + "\n"
	if string(data) != want {
		t.Errorf("it is\n%s want\n%s", data, want)
	}
	if s := w.Stats(); s != (Stats{Lines: 1, Bytes: uint64(len(want)), Files: 1}) {
		t.Errorf("%+v", s)
	}
}

func TestFilesAreClosedByTimeAndBySize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, now := writer(t, Options{Dir: dir, FileBytes: 400})
	keep(t, w, 0, heard(t, "a", 1), heard(t, "a", 2), heard(t, "a", 3)) // above 400 bytes
	*now = now.Add(time.Second)
	keep(t, w, 0, heard(t, "a", 4))
	keep(t, w, 1, heard(t, "b", 1))
	*now = now.Add(DefaultRotate)
	keep(t, w, 0, heard(t, "a", 5))
	*now = now.Add(-time.Minute) // a clock that is put back begins a file too: names say when they began
	keep(t, w, 0, heard(t, "a", 6))
	wantEntries(t, dir, "a p0-1, a p0-2, a p0-3", "a p0-4", "a p0-6", "a p0-5", "b p1-1")
}

func TestAFileIsNeverAnotherProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, _ := writer(t, Options{Dir: dir})
	two, _ := writer(t, Options{Dir: dir})
	keep(t, one, 0, heard(t, "a", 1))
	keep(t, two, 0, heard(t, "a", 2))
	if got := entries(t, dir); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

func TestOldFilesAreDeleted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, now := writer(t, Options{Dir: dir, Keep: 24 * time.Hour})
	*now = time.Now() // files have the times of the machine
	keep(t, w, 0, heard(t, "a", 1))
	*now = now.Add(23 * time.Hour)
	keep(t, w, 0, heard(t, "a", 2))
	wantEntries(t, dir, "a p0-1", "a p0-2")
	files, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(files[1].Path, *now, *now); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(2 * time.Hour)
	keep(t, w, 0, heard(t, "a", 3))
	w.sweep(t.Context(), *now)
	wantEntries(t, dir, "a p0-2", "a p0-3")
	if s := w.Stats(); s.Removed != 1 {
		t.Errorf("%+v", s)
	}
}

func TestALineWithoutItsEndIsLeftForLater(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f"+suffix)
	whole, part := `{"device":"a","entry":"p0-1"}`+"\n", `{"device":"b",`
	junk := "not a line of ours\n" + strings.Repeat("x", 2*maxLine) + "\n"
	if err := os.WriteFile(path, []byte(junk+whole+part), 0o600); err != nil {
		t.Fatal(err)
	}
	count := func(from int64) (n int, to int64, skipped int) {
		to, skipped, err := Read(path, from, func([]byte, *Line) error { n++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return n, to, skipped
	}
	n, to, skipped := count(0)
	if n != 1 || to != int64(len(junk)+len(whole)) || skipped == 0 {
		t.Errorf("%d lines, up to %d, %d skipped", n, to, skipped)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`"entry":"p0-2"}` + "\n"); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if n, _, _ := count(to); n != 1 {
		t.Errorf("%d more lines", n)
	}
	stop := errors.New("enough")
	if to, _, err := Read(path, to, func([]byte, *Line) error { return stop }); !errors.Is(err, stop) || to != int64(len(junk)+len(whole)) {
		t.Errorf("it went on to %d, %v", to, err)
	}
}

func TestWhatFailedIsNotWrittenInPart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, _ := writer(t, Options{Dir: dir})
	keep(t, w, 0, heard(t, "a", 1))
	_ = w.parts[0].file.Close() // as a disk that fails
	if err := w.Keep(0, []bridge.Heard{heard(t, "a", 2)}); err == nil {
		t.Fatal("it was written into a closed file")
	}
	w.run += "x" // the names of the test's clock would be the same
	keep(t, w, 0, heard(t, "a", 2))
	wantEntries(t, dir, "a p0-1", "a p0-2")
}

func TestADeviceIsForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, now := writer(t, Options{Dir: dir})
	*now = time.Now().Add(-2 * time.Hour)
	keep(t, w, 0, heard(t, "a", 1), heard(t, "b", 2))
	keep(t, w, 1, heard(t, "a", 1))
	*now = now.Add(2 * time.Hour)
	keep(t, w, 0, heard(t, "a", 3), heard(t, "b", 4))
	n, open, err := Forget(dir, Choice{Device: "a"}, DefaultRotate)
	if err != nil || n != 2 || open != 1 {
		t.Errorf("%d forgotten, %d open, %v", n, open, err)
	}
	wantEntries(t, dir, "b p0-2", "a p0-3, b p0-4")
	keep(t, w, 0, heard(t, "b", 5)) // the file that is open is still written to
	wantEntries(t, dir, "b p0-2", "a p0-3, b p0-4, b p0-5")
	_ = w.Close()
	if n, open, err = Forget(dir, Choice{Device: "a"}, -time.Hour); err != nil || n != 1 || open != 0 {
		t.Errorf("%d forgotten, %d open, %v", n, open, err)
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(`"a"`)) {
			t.Errorf("%s has it", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAFleetIsForgottenUpToATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, _ := writer(t, Options{Dir: dir})
	keep(t, w, 0, heard(t, "a", 1), heard(t, "a", 2))
	_ = w.Close()
	c := Choice{Fleet: "north", Before: time.UnixMilli(heard(t, "a", 2).Time)}
	if n, _, err := Forget(dir, c, -48*365*time.Hour); err != nil || n != 1 {
		t.Errorf("%d forgotten, %v", n, err)
	}
	wantEntries(t, dir, "a p0-2")
	if n, _, err := Forget(dir, Choice{Fleet: "south"}, -48*365*time.Hour); err != nil || n != 0 {
		t.Errorf("%d forgotten, %v", n, err)
	}
}

func TestCSVHasAColumnForEachMember(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c, err := NewCSV(&out)
	if err != nil {
		t.Fatal(err)
	}
	lat := 48.85833
	if err := c.Write(&Line{Device: "truck, 17", Fleet: "north", Received: 1795000000500, Entry: "p0-1", Lat: &lat, Metrics: []byte(`{"fuel":41.5}`)}); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	want := strings.Join(Header, ",") + "\n" + `"truck, 17",north,2026-11-18T11:06:40.500Z,,48.85833,,,,,,,false,p0-1,"{""fuel"":41.5}"` + "\n"
	if out.String() != want {
		t.Errorf("it is\n%s want\n%s", out.String(), want)
	}
}
