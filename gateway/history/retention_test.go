package history

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fleetcast/fleetcast/bridge"
	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// of is a reading of a device with its fleet's name, received at a time.
func of(t *testing.T, fleet string, id bus.EntryID, received time.Time) bridge.Heard {
	t.Helper()
	h := heard(t, fleet, id)
	f, err := devices.ParseFleetID(fleet)
	if err != nil {
		t.Fatal(err)
	}
	h.Fleet, h.Time = f, received.UnixMilli()
	return h
}

// Each fleet's readings go at their own time: sooner or later than what holds for the rest.
func TestAFleetKeepsItsHistoryForItsOwnTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept, known := Retention{}, false
	w, now := writer(t, Options{Dir: dir, Keep: 24 * time.Hour, Fleets: func() (Retention, bool) { return kept, known }})
	*now = time.Now() // files have the times of the machine
	keep(t, w, 0, of(t, "short", 1, *now), of(t, "rest", 2, *now), of(t, "long", 3, *now))
	sweepAt := func(after time.Duration, want ...string) {
		t.Helper()
		w.sweep(t.Context(), now.Add(after))
		wantEntries(t, dir, want...)
	}
	sweepAt(25*time.Hour, "short p0-1, rest p0-2, long p0-3") // nobody knows yet that one keeps it for longer
	kept, known = Retention{"short": 2 * time.Hour, "long": 72 * time.Hour}, true
	sweepAt(90*time.Minute, "short p0-1, rest p0-2, long p0-3")
	sweepAt(3*time.Hour, "rest p0-2, long p0-3")
	if said, err := ReadRetention(dir); err != nil || len(said) != 2 || said["short"] != 2*time.Hour {
		t.Errorf("%v %v", said, err)
	}
	sweepAt(25*time.Hour, "long p0-3")
	sweepAt(71*time.Hour, "long p0-3")
	sweepAt(73 * time.Hour)
	if s := w.Stats(); s.Forgotten != 2 || s.Removed != 1 {
		t.Errorf("%+v", s)
	}
	kept = nil
	sweepAt(73 * time.Hour)
	if said, err := ReadRetention(dir); err != nil || len(said) != 0 {
		t.Errorf("%v %v", said, err)
	}
}

// A file that was looked through is not read again before more of it is due.
func TestAFileIsReadOnceForEachRetention(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, now := writer(t, Options{Dir: dir, Keep: -1, Fleets: func() (Retention, bool) { return Retention{"none": 2 * time.Hour}, true }})
	*now = time.Now()
	keep(t, w, 0, of(t, "rest", 1, *now))
	w.sweep(t.Context(), now.Add(3*time.Hour))
	files, err := List(dir)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Chmod(files[0].Path, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.sweeper.sweepFile(files[0].Path, 4*time.Hour, -1); err != nil {
		t.Errorf("it was read again: %v", err)
	}
	if got := w.sweeper.steps[files[0].Path]; got != 2*time.Hour {
		t.Errorf("%v", got)
	}
}

// The one who writes need not wait for an hour to let a device's readings go.
func TestAWriterForgetsWhatItsOwnFilesHave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, now := writer(t, Options{Dir: dir})
	other, _ := writer(t, Options{Dir: dir})
	other.now = time.Now
	*now = time.Now()
	keep(t, w, 0, heard(t, "a", 1), heard(t, "b", 2))
	keep(t, other, 1, heard(t, "a", 1))
	n, open, err := w.Forget(Choice{Device: "a"})
	if err != nil || n != 1 || open != 1 {
		t.Errorf("%d forgotten, %d open, %v", n, open, err)
	}
	*now = now.Add(time.Second)
	keep(t, w, 0, heard(t, "b", 3)) // it goes on in a new file
	wantEntries(t, dir, "b p0-2", "b p0-3", "a p1-1")
}

func TestARetentionThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, retentionFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRetention(dir); err == nil {
		t.Error("it was read")
	}
}

// wantFleets compares how many readings of each fleet the database has.
func wantFleets(t *testing.T, c *pgx.Conn, north, south int) {
	t.Helper()
	var n, s int
	if err := c.QueryRow(t.Context(), "SELECT count(*) FILTER (WHERE fleet = 'north'), count(*) FILTER (WHERE fleet = 'south') FROM fleetcast_readings").Scan(&n, &s); err != nil {
		t.Fatal(err)
	}
	if n != north || s != south {
		t.Errorf("%d of north and %d of south, want %d and %d", n, s, north, south)
	}
}

// What a fleet does not keep leaves the database too, and does not come back from a file.
func testRetentionInPostgreSQL(t *testing.T, at string) {
	dir := t.TempDir()
	w, _ := writer(t, Options{Dir: dir})
	lately, old := time.Now(), time.Now().Add(-48*time.Hour)
	keep(t, w, 0, of(t, "north", 1, lately), of(t, "north", 2, old), of(t, "south", 3, old))
	load(t, dir, at, Loaded{Readings: 3})
	c, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	if err := (Retention{"north": 24 * time.Hour}).write(dir); err != nil {
		t.Fatal(err)
	}
	load(t, dir, at, Loaded{Old: 1})
	wantFleets(t, c, 1, 1)
	if _, err := c.Exec(t.Context(), "DELETE FROM fleetcast_history_files"); err != nil {
		t.Fatal(err)
	}
	load(t, dir, at, Loaded{Known: 2, Old: 1})
	wantFleets(t, c, 1, 1)
}
