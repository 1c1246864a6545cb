package app

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/fleetcast/fleetcast/gateway/history"
)

func TestWhatDevicesSayIsInTheHistory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "history")
	g := startGateway(t, func(o *Options) { o.History.Dir = dir })
	for range 3 {
		g.telemetry("north", "truck-17", `{"lat":48.85833,"lon":2.29513,"fuel":41.5}`)
	}
	lines := func() (n int) {
		files, err := history.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			_, skipped, err := history.Read(f.Path, 0, func(_ []byte, l *history.Line) error {
				if l.Device == "truck-17" && l.Fleet == "north" && l.Lat != nil {
					n++
				}
				return nil
			})
			if err != nil || skipped > 0 {
				t.Fatalf("%d lines are none, %v", skipped, err)
			}
		}
		return n
	}
	waitFor(t, "three readings", func() bool { return lines() == 3 }, func() string { return "" })
	if s := g.App.stats().History; s == nil || s.Lines != 3 {
		t.Errorf("%+v", s)
	}
	g.stop()
	if n := lines(); n != 3 {
		t.Errorf("%d readings after the end", n)
	}
}

// What was said of a device that is deleted is in no file any more when the directory was compacted.
func TestADeviceThatIsErasedLeavesWhatItSaidNowhere(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	const said = "secret-cargo-77"
	g.telemetry("north", "truck-17", `{"lat":48.85833,"lon":2.29513,"cargo":"`+said+`"}`)
	g.waitAsset("truck-17", has("fleet", "north"))
	in := func() (files []string) {
		err := filepath.WalkDir(g.opts.Store.DataDir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if bytes.Contains(data, []byte(said)) {
				files = append(files, filepath.Base(path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	if len(in()) == 0 {
		t.Fatal("it is kept nowhere: the test looks in vain")
	}
	if a := g.request(http.MethodDelete, "/api/assets/truck-17"); a.StatusCode != http.StatusNoContent && a.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	waitFor(t, "its end", func() bool {
		return g.request(http.MethodGet, "/api/assets/truck-17").StatusCode == http.StatusNotFound
	}, func() string { return "" })
	if len(in()) == 0 {
		t.Fatal("it is gone without more: this test is of no use")
	}
	if err := g.App.parts.store.disk.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := in(); len(left) > 0 {
		t.Errorf("it is still in %v", left)
	}
}

// One request does all of it: the state, the log's files and those of the history.
func TestADeviceIsErasedByOneRequest(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "history")
	g := startGateway(t, func(o *Options) { o.History.Dir = dir })
	const said = "secret-cargo-77"
	g.telemetry("north", "truck-17", `{"lat":48.85833,"lon":2.29513,"cargo":"`+said+`"}`)
	g.telemetry("north", "truck-18", `{"lat":48.85833,"lon":2.29513}`)
	g.waitAsset("truck-17", has("fleet", "north"))
	g.waitAsset("truck-18", has("fleet", "north"))
	// It registers itself by its first words, which is written a moment later.
	waitFor(t, "its registration", func() bool { return g.request(http.MethodGet, "/api/devices/truck-17").StatusCode == http.StatusOK }, func() string { return "" })
	want := func(a answer, erased ...string) {
		t.Helper()
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		for _, text := range erased {
			if !bytes.Contains(a.body, []byte(text)) {
				t.Errorf("%s has no %s", a.body, text)
			}
		}
	}
	want(g.request(http.MethodPost, "/api/devices/truck-17/erase"), `"registered":true,"live":true,"compacted":true,"readings_of_history":1`, "PostgreSQL")
	for _, at := range []string{g.opts.Store.DataDir, dir} {
		if err := filepath.WalkDir(at, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if bytes.Contains(data, []byte(said)) {
				t.Errorf("%s has it still", path)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	want(g.request(http.MethodPost, "/api/devices/truck-17/erase"), `"registered":false,"live":false`, `"readings_of_history":0`)
	if a := g.request(http.MethodGet, "/api/assets/truck-18"); a.StatusCode != http.StatusOK {
		t.Errorf("another device went along: %d", a.StatusCode)
	}
}

// With Redis the edge erases what it reaches, whoever owns the partition, and says what it does not reach.
func TestADeviceIsErasedByAnEdgeBesideRedis(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	g := startGateway(t, func(o *Options) { o.Store.Redis = "redis://" + redis.addr })
	g.telemetry("north", "truck-17", `{"lat":48.85833,"lon":2.29513}`)
	g.waitAsset("truck-17", has("fleet", "north"))
	a := g.request(http.MethodPost, "/api/devices/truck-17/erase")
	if a.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	for _, text := range []string{`"live":true,"compacted":false`, "BGREWRITEAOF", "--history-dir"} {
		if !bytes.Contains(a.body, []byte(text)) {
			t.Errorf("%s has no %s", a.body, text)
		}
	}
	if a := g.request(http.MethodGet, "/api/assets/truck-17"); a.StatusCode != http.StatusNotFound {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
