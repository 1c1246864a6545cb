package history

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startPostgres starts a server of the test's own, which listens at a socket only. It does not run as root, so there another user
// of the machine runs it.
func startPostgres(t *testing.T) (at string) {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // where Debian has it
	if err != nil || len(found) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("postgresql is not installed: sudo apt-get install postgresql")
		}
		t.Skip("postgresql is not installed")
	}
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("", "fleetcast-pg-") //nolint:usetesting // another user must reach it, and the path of its socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	as := &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, int(uid), -1); err != nil {
			t.Fatal(err)
		}
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	data := filepath.Join(dir, "data")
	make := exec.CommandContext(t.Context(), filepath.Join(bin, "initdb"), "-D", data, "-U", "fleetcast", "-A", "trust", "-N", "--locale=C", "-E", "UTF8")
	make.SysProcAttr, make.Dir = as, dir
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	server.SysProcAttr, server.Dir = as, dir
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // it ends at once, and with it what is connected
		_ = server.Wait()
	})
	at = (&url.URL{Scheme: "postgres", Path: "/postgres", RawQuery: url.Values{"host": {dir}, "user": {"fleetcast"}}.Encode()}).String()
	waitUntil(t, "PostgreSQL", func() bool {
		c, err := pgx.Connect(t.Context(), at)
		if err == nil {
			_ = c.Close(t.Context())
		}
		return err == nil
	})
	return at
}

func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func load(t *testing.T, dir, at string, want Loaded) {
	t.Helper()
	got, err := Load(t.Context(), dir, at, false)
	if err != nil || got != want {
		t.Errorf("loaded %+v, %v; want %+v", got, err, want)
	}
}

func TestHistoryIsInPostgreSQLOnce(t *testing.T) {
	t.Parallel()
	at := startPostgres(t)
	dir := t.TempDir()
	w, now := writer(t, Options{Dir: dir})
	first := heard(t, "truck-17", 1)
	keep(t, w, 0, first, heard(t, "truck-18", 2))
	load(t, dir, at, Loaded{Readings: 2})
	load(t, dir, at, Loaded{}) // from where it had come to
	keep(t, w, 0, heard(t, "truck-18", 3))
	*now = now.Add(2 * time.Hour)
	keep(t, w, 0, first, heard(t, "truck-18", 4)) // the first was written again, as after a crash
	load(t, dir, at, Loaded{Readings: 2, Known: 1})

	// A file that Forget has changed is read anew, and brings nothing twice.
	_ = w.Close()
	if n, _, err := Forget(dir, Choice{Device: "truck-18"}, -24*time.Hour); err != nil || n != 3 {
		t.Fatalf("%d forgotten, %v", n, err)
	}
	load(t, dir, at, Loaded{Known: 2})

	c, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	var fleet string
	var received, said time.Time
	var lat, fuel float64
	var altitude *float64
	if err := c.QueryRow(t.Context(), `SELECT fleet, received, at, lat, altitude, (metrics->>'fuel')::float8 FROM fleetcast_readings WHERE device = 'truck-17'`).
		Scan(&fleet, &received, &said, &lat, &altitude, &fuel); err != nil {
		t.Fatal(err)
	}
	if fleet != "north" || received.UnixMilli() != first.Time || said.UnixMilli() != first.At || lat != 48.85833 || altitude != nil || fuel != 41.5 {
		t.Errorf("%s %v %v %v %v %v", fleet, received, said, lat, altitude, fuel)
	}
	if _, err := c.Exec(t.Context(), "TRUNCATE fleetcast_readings, fleetcast_history_files"); err != nil {
		t.Fatal(err)
	}
	t.Run("and as long as its fleet keeps it", func(t *testing.T) { testRetentionInPostgreSQL(t, at) })
}

func TestLoadingGoesOnWithWhatIsWritten(t *testing.T) {
	t.Parallel()
	at := startPostgres(t)
	dir := t.TempDir()
	w, _ := writer(t, Options{Dir: dir})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	type result struct {
		l   Loaded
		err error
	}
	done := make(chan result, 1)
	go func() {
		l, err := Load(ctx, dir, at, true)
		done <- result{l, err}
	}()
	c, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	rows := func() (n int) {
		_ = c.QueryRow(t.Context(), "SELECT count(*) FROM fleetcast_readings").Scan(&n) // the table may not be there yet
		return n
	}
	keep(t, w, 0, heard(t, "a", 1))
	waitUntil(t, "the first reading", func() bool { return rows() == 1 })
	keep(t, w, 0, heard(t, "a", 2))
	waitUntil(t, "the second", func() bool { return rows() == 2 })
	stop()
	if r := <-done; r.err != nil || r.l.Readings != 2 {
		t.Errorf("%+v", r)
	}
}

func TestADatabaseThatIsAwayIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := Load(t.Context(), t.TempDir(), "postgres://127.0.0.1:1/x", false); err == nil {
		t.Error("it was loaded into nothing")
	}
}
