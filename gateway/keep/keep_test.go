package keep

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/diskbus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
	"github.com/fleetcast/fleetcast/devices/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func device(t *testing.T, s string) devices.DeviceID {
	t.Helper()
	id, err := devices.ParseDeviceID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func fleet(t *testing.T, s string) devices.FleetID {
	t.Helper()
	id, err := devices.ParseFleetID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// filled makes a directory that has a little of everything, of several fleets.
func filled(t *testing.T) *Source {
	t.Helper()
	dir := t.TempDir()
	b, err := diskbus.Open(diskbus.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s, err := embedded.Open(embedded.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	from := &Source{Bus: b, Store: s, Version: "v1.2.3"}
	t.Cleanup(func() { _ = from.Close() })
	for n := range 40 {
		if _, err := s.Commit(t.Context(), []store.Op{{Kind: store.Kind([]string{"device", "fleet"}[n%2]), ID: fmt.Sprint("r", n), Value: fmt.Append(nil, "value ", n)}}); err != nil {
			t.Fatal(err)
		}
	}
	l, err := b.Own(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 30 {
		publish(t, b, l, n)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	return from
}

func publish(t *testing.T, b bus.Bus, l bus.Lease, n int) {
	t.Helper()
	f, d := fleet(t, fmt.Sprint("fleet", n%5)), device(t, fmt.Sprint("d", n))
	e := bus.Entry{Device: d, Fleet: f, Kind: bus.KindConnection, Connection: bus.Connection{Door: 1, Conn: uint64(n), Up: true}}
	if err := b.Append(t.Context(), bus.Append{Door: 7, Seq: uint64(n + 1), Entries: []bus.Entry{e}}); err != nil {
		t.Fatal(err)
	}
	got, err := l.Read(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	c := bus.Change{Device: d, Fleet: f, Record: fmt.Append(nil, "record ", n), Frame: fmt.Appendf(nil, `{"id":"d%d"}`, n), Lat: 1, Lon: 2, HasPosition: true}
	if n%7 == 3 {
		c.Frame, c.HasPosition = nil, false
	} else {
		c.Notes = []bus.Note{{Name: "alert", ID: fmt.Sprint("a", n), At: 5, Data: []byte(`{}`)}}
	}
	flush := bus.Flush{
		Consumed: got[len(got)-1].ID, Time: int64(n), Config: uint64(n + 1), Changes: []bus.Change{c},
		Events:   []bus.Event{{Name: "alert", Device: d, Fleet: f, Data: fmt.Appendf(nil, `{"id":%d}`, n)}},
		Commands: []bus.CommandRow{{ID: devices.CommandIDFor("", fmt.Sprint(n), d), Device: d, Fleet: f, Data: fmt.Append(nil, "row ", n)}},
	}
	if c.Frame != nil {
		for block := range n % 4 {
			flush.Trails = append(flush.Trails, bus.TrailBlock{Device: d, Fleet: f, Keep: 8, Data: fmt.Append(nil, "block ", block)})
		}
	}
	if _, err := l.Publish(t.Context(), &flush); err != nil {
		t.Fatal(err)
	}
}

func backupOf(t *testing.T, from *Source) ([]byte, Contents) {
	t.Helper()
	var to bytes.Buffer
	c, err := from.Backup(t.Context(), &to)
	if err != nil {
		t.Fatal(err)
	}
	return to.Bytes(), c
}

func TestWhatIsBackedUpIsRestored(t *testing.T) {
	t.Parallel()
	backup, has := backupOf(t, filled(t))
	m, verified, err := Verify(bytes.NewReader(backup))
	if err != nil || m.Version != "v1.2.3" || m.Partitions != 1 || verified != has {
		t.Fatalf("%+v with %+v, %v; it has %+v", m, verified, err, has)
	}
	if has.Bus.Devices != 26 || has.Bus.Tombstones != 4 || has.Bus.Commands != 30 || has.Bus.Events != 30 || has.Store.Records != 40 {
		t.Errorf("it has %+v", has)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(backup)
	_ = z.Close()
	for name, b := range map[string][]byte{"plain": backup, "gzip": packed.Bytes()} {
		dir := t.TempDir()
		if _, c, err := Restore(dir, bytes.NewReader(b)); err != nil || c.Bus != has.Bus {
			t.Fatalf("%s: %+v, %v", name, c, err)
		}
		again, err := Open(dir, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, c := backupOf(t, again); c.Bus != has.Bus || c.Store.Records != has.Store.Records {
			t.Errorf("%s: the restored directory has %+v", name, c)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Whatever byte is another, and wherever it ends: it is not restored, or what is restored is what was backed up, where
// the byte is the padding or a date of the tar file.
func TestADamagedBackupIsRefused(t *testing.T) {
	t.Parallel()
	backup, has := backupOf(t, filled(t))
	refused := 0
	for at := 100; at < len(backup); at += 1 + len(backup)/60 {
		bad := bytes.Clone(backup)
		bad[at] ^= 0x10
		_, c, err := Verify(bytes.NewReader(bad))
		if err == nil && c != has {
			t.Errorf("byte %d: %+v", at, c)
		}
		if err != nil {
			refused++
		}
		if _, _, err := Verify(bytes.NewReader(backup[:at])); err == nil && at < len(backup)-2048 { // what follows is zeros
			t.Errorf("cut at %d: it is whole", at)
		}
	}
	if refused < 20 {
		t.Errorf("%d of some 60 damaged backups were found", refused)
	}
	dir := t.TempDir()
	if _, _, err := Restore(dir, bytes.NewReader(backup[:len(backup)-4096])); !errors.Is(err, ErrDamaged) {
		t.Errorf("a cut backup is restored: %v", err)
	}
	if from, err := Open(dir, "", nil); !errors.Is(err, diskbus.ErrDamaged) {
		t.Errorf("what it left opens: %v, %v", from, err)
	}
}

func TestABackupEndsWithItsReader(t *testing.T) {
	t.Parallel()
	from := filled(t)
	if _, err := from.Backup(context.Background(), brokenWriter{}); !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
	if _, c := backupOf(t, from); c.Store.Records != 40 {
		t.Errorf("the next one has %+v", c)
	}
}

var errBroken = errors.New("broken pipe")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }
