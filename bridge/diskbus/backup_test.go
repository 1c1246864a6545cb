package diskbus

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func backupOf(tb testing.TB, b *Bus) ([]byte, Copied) {
	tb.Helper()
	var to bytes.Buffer
	c, err := b.Backup(context.Background(), &to)
	if err != nil {
		tb.Fatal(err)
	}
	return to.Bytes(), c
}

func restoreInto(tb testing.TB, dir string, backup []byte) (Copied, error) {
	tb.Helper()
	if err := BeginRestore(dir); err != nil {
		tb.Fatal(err)
	}
	c, err := Restore(dir, bytes.NewReader(backup), 1)
	if err == nil {
		err = EndRestore(dir)
	}
	return c, err
}

func TestABackupOfARunningBusIsItsStateAndBeginsAnotherHistory(t *testing.T) {
	t.Parallel()
	b := openIn(t, newWorld(), Options{Dir: t.TempDir()})
	fill(t, b, 40)
	want, before := contents(b.memory), b.memory.Position(0)
	backup, has := backupOf(t, b)
	appendTo(t, b, 9, 1, entries(t, 1000, 1003)...) // the bus goes on, and the backup does not have it

	dir := t.TempDir()
	got, err := restoreInto(t, dir, backup)
	if err != nil || got != has || got.Devices == 0 || got.Trails == 0 || got.Commands == 0 || got.Unread == 0 || got.Config == 0 {
		t.Fatalf("restored %+v, %v; the backup said %+v", got, err, has)
	}
	restored, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = restored.Close() }()
	if contents(restored.memory) != want {
		t.Error("what was restored is not what was held")
	}
	after := restored.memory.Position(0)
	if after.Epoch == before.Epoch || after.Offset != before.Offset {
		t.Errorf("the restored bus is at %v and the other was at %v: it must be another epoch, else an id from after the backup means something else", after, before)
	}
	appendTo(t, restored, 9, 1, entry(t, 2000)) // numbers of doors and entries go on
	if got := read(t, own(t, restored), 1000); got[len(got)-1].Connection.Conn != 2000 {
		t.Error("the restored inlet does not go on")
	}
}

// A restored bus keeps its epoch over its own restarts, as any does.
func TestARestoredBusKeepsItsEpoch(t *testing.T) {
	t.Parallel()
	b := openIn(t, newWorld(), Options{Dir: t.TempDir()})
	fill(t, b, 4)
	backup, _ := backupOf(t, b)
	dir := t.TempDir()
	if _, err := restoreInto(t, dir, backup); err != nil {
		t.Fatal(err)
	}
	var epochs []bus.Epoch
	for range 2 {
		again := openIn(t, newWorld(), Options{Dir: dir})
		epochs = append(epochs, again.memory.Position(0).Epoch)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if epochs[0] != epochs[1] {
		t.Errorf("epochs %v", epochs)
	}
}

func TestADamagedBackupIsNotRestored(t *testing.T) {
	t.Parallel()
	b := openIn(t, newWorld(), Options{Dir: t.TempDir()})
	fill(t, b, 8)
	backup, _ := backupOf(t, b)
	for _, at := range []int{0, 5, 13, len(backup) / 2, len(backup) - 1} {
		bad := bytes.Clone(backup)
		bad[at] ^= 1
		dir := t.TempDir()
		if _, err := restoreInto(t, dir, bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("a flipped bit at %d: %v", at, err)
		}
		if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrDamaged) {
			t.Errorf("a directory that a restore left half filled opens: %v", err)
		}
	}
	if _, err := restoreInto(t, t.TempDir(), backup[:len(backup)-1]); !errors.Is(err, ErrDamaged) {
		t.Errorf("a cut backup: %v", err)
	}
}

func TestARestoreTakesAnEmptyDirectoryOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openIn(t, newWorld(), Options{Dir: dir})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := BeginRestore(dir); devices.KindOf(err) != devices.Conflict {
		t.Errorf("a restore over a log: %v", err)
	}
}

func TestABackupOfAClosedBusIsRefused(t *testing.T) {
	t.Parallel()
	b := openIn(t, newWorld(), Options{Dir: t.TempDir()})
	_ = b.Close()
	if _, err := b.Backup(context.Background(), new(bytes.Buffer)); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("%v", err)
	}
}
