package keep

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/redisbus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/redisconn/redistest"
)

func openRedis(t *testing.T, url string) *redisbus.Bus {
	t.Helper()
	b, err := redisbus.Open(t.Context(), redisbus.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestADirectoryIsCopiedIntoRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	from := filled(t)
	o := MigrateOptions{Redis: server.URL()}

	o.DryRun = true
	want := Migrated{Devices: 26, Tombstones: 4, Trails: 19, Blocks: 37, Events: 30, Commands: 30, Records: 40, Partitions: 16}
	if got, err := from.Migrate(t.Context(), o); err != nil || got != want {
		t.Fatalf("a dry run says %+v, %v", got, err)
	}
	if n, ok := server.Do(t, "DBSIZE").(int64); !ok || n > 1+16 { // the number of partitions, and what a health check writes for a minute
		t.Errorf("a dry run left %d keys", n)
	}

	o.DryRun = false
	if got, err := from.Migrate(t.Context(), o); err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	to := openRedis(t, server.URL())
	f, d := fleet(t, "fleet2"), device(t, "d7")
	trail, err := to.Trail(t.Context(), f, d)
	if err != nil || string(trail.Record) != "record 7" || len(trail.Blocks) != 3 {
		t.Errorf("a trail is %q, %v", trail, err)
	}
	// A record knows the last entry applied to it: what comes now must come after all of those.
	e := bus.Entry{Device: d, Fleet: f, Kind: bus.KindConnection, Connection: bus.Connection{Door: 2, Conn: 9, Up: true}}
	if err := to.Append(t.Context(), bus.Append{Door: 3, Seq: 1, Entries: []bus.Entry{e}}); err != nil {
		t.Fatal(err)
	}
	l, err := to.Own(t.Context(), f.Partition(16))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := l.Read(t.Context(), 10); err != nil || got[0].ID != 31 {
		t.Errorf("the first entry is %v, %v", got, err)
	}

	if _, err := from.Migrate(t.Context(), o); devices.KindOf(err) != devices.Conflict || !strings.Contains(err.Error(), "a gateway runs on it") {
		t.Errorf("over a gateway that runs: %v", err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := from.Migrate(t.Context(), o); err != nil || !got.Already {
		t.Errorf("a second time: %+v, %v", got, err)
	}
	other := filled(t)
	if _, err := other.Migrate(t.Context(), o); devices.KindOf(err) != devices.Conflict || !strings.Contains(err.Error(), "--force") {
		t.Errorf("over another state: %v", err)
	}
	o.Force = true
	if got, err := other.Migrate(t.Context(), o); err != nil || got.Already {
		t.Errorf("by force: %+v, %v", got, err)
	}
}

// A migration that was cut off leaves a store that no gateway opens, and is done by doing it again.
func TestAMigrationThatWasCutOffIsDoneAgain(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	from := filled(t)
	o := MigrateOptions{Redis: server.URL()}
	ctx, cancel := context.WithCancel(t.Context())
	half := &migration{from: from, o: &o}
	var err error
	if half.images, err = from.Bus.Images(ctx); err != nil {
		t.Fatal(err)
	}
	if err := half.open(ctx); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(half.to.BeginMigration(ctx, half.name()), half.copyStore(ctx), half.copyBus(ctx)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = errors.Join(half.store.Close(), half.to.Close())
	if _, err := redisbus.Open(t.Context(), redisbus.Options{URL: server.URL()}); devices.KindOf(err) != devices.Conflict {
		t.Fatalf("half a migration is opened: %v", err)
	}
	if _, err := filled(t).Migrate(t.Context(), o); devices.KindOf(err) != devices.Conflict {
		t.Errorf("another one is taken for it: %v", err)
	}
	if got, err := from.Migrate(t.Context(), o); err != nil || got.Devices != 26 {
		t.Fatalf("%+v, %v", got, err)
	}
	openRedis(t, server.URL())
}

func TestWhatDiffersAfterAMigrationIsFound(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	from := filled(t)
	m := &migration{from: from, o: &MigrateOptions{Redis: server.URL()}}
	var err error
	if m.images, err = from.Bus.Images(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(m.store.Close(), m.to.Close()) }()
	if err := errors.Join(m.to.BeginMigration(t.Context(), "x"), m.copyStore(t.Context()), m.copyBus(t.Context()), m.compareBus(t.Context())); err != nil {
		t.Fatal(err)
	}
	p := fleet(t, "fleet2").Partition(16)
	for _, c := range []struct { // each is looked at before the one above it
		spoil []any
		found string
	}{
		{[]any{"RPUSH", fmt.Sprintf("fleetcast:{p%d}:trail:fleet2/d7", p), "more"}, "the trail"},
		{[]any{"HSET", fmt.Sprintf("fleetcast:{p%d}:records", p), "fleet2/d7", "0another"}, "the record"},
		{[]any{"HDEL", fmt.Sprintf("fleetcast:{p%d}:commands", p), devices.CommandIDFor("", "7", device(t, "d7")).String()}, "the numbers"},
	} {
		server.Do(t, c.spoil...)
		if err := m.compareBus(t.Context()); !errors.Is(err, errOther) || !strings.Contains(err.Error(), c.found) {
			t.Errorf("%v: %v", c.spoil, err)
		}
	}
}

func TestMessagesThatNobodyAppliedAreNotLeftBehind(t *testing.T) {
	t.Parallel()
	from := filled(t)
	e := bus.Entry{Device: device(t, "d1"), Fleet: fleet(t, "fleet1"), Kind: bus.KindRemoval}
	if err := from.Bus.Append(t.Context(), bus.Append{Door: 9, Seq: 1, Entries: []bus.Entry{e}}); err != nil {
		t.Fatal(err)
	}
	if _, err := from.Migrate(t.Context(), MigrateOptions{Redis: "redis://127.0.0.1:1"}); devices.KindOf(err) != devices.Conflict {
		t.Errorf("%v", err)
	}
}
