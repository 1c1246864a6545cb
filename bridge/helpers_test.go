package bridge

import (
	"iter"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is a plausible time for entries, unix ms.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC).UnixMilli()

const (
	second = int64(1000)
	hour   = 3600 * second
	day    = 24 * hour
)

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func deviceID(t fataler, s string) devices.DeviceID {
	t.Helper()
	id, err := devices.ParseDeviceID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func fleetID(t fataler, s string) devices.FleetID {
	t.Helper()
	id, err := devices.ParseFleetID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// rig is a state with a short way to feed it.
type rig struct {
	*state
	t    fataler
	id   bus.EntryID
	time int64 // of the next entry
}

// newRig does not count jumps: what moves in the tests of merging moves far.
func newRig(t fataler) *rig {
	h := devices.DefaultHygiene()
	h.Off = []string{"jump"}
	return newRigOf(t, &h)
}

// newRigOf is a rig whose fleets have settings, or the defaults where h is nil.
func newRigOf(t fataler, h *devices.HygieneSettings) *rig {
	opts := Options{Bus: newFakeBus(1), MaxDevices: 1000, Settings: &settings{all: h}}
	if err := opts.complete(); err != nil {
		t.Fatal(err)
	}
	return &rig{state: newState(&opts, &counters{}, newFleetIndex()), t: t, time: noon}
}

// load gives the state the records of the owner before.
func (r *rig) load(records iter.Seq[bus.Record]) {
	r.t.Helper()
	if err := r.state.load(records); err != nil {
		r.t.Fatal(err)
	}
}

// strict holds back jumps.
func strict() *devices.HygieneSettings {
	h := devices.DefaultHygiene()
	h.JumpFixes = 3
	return &h
}

// settings are the same for all fleets but those that are named.
type settings struct {
	all      *devices.HygieneSettings
	fleets   map[string]*devices.HygieneSettings
	revision uint64
}

func (s *settings) Hygiene(fleet devices.FleetID) *devices.HygieneSettings {
	if h, ok := s.fleets[fleet.String()]; ok {
		return h
	}
	return s.all
}

func (s *settings) Revision() uint64 { return s.revision }

// entry fills in what the inlet does, and truck-17 of north.
func (r *rig) entry(e bus.Entry) *bus.Entry {
	r.id++
	e.ID = r.id
	if e.Time == 0 {
		e.Time = r.time
	}
	if e.Device.IsZero() {
		e.Device = deviceID(r.t, "truck-17")
	}
	if e.Fleet.IsZero() {
		e.Fleet = fleetID(r.t, "north")
	}
	return &e
}

func (r *rig) put(e bus.Entry) { r.apply(r.entry(e), 0) }

func (r *rig) read(reading devices.Reading) {
	r.put(bus.Entry{Kind: bus.KindReading, Reading: &reading})
}

func (r *rig) connect(door bus.DoorID, conn uint64, up bool) {
	r.put(bus.Entry{Kind: bus.KindConnection, Connection: bus.Connection{Door: door, Conn: conn, Up: up}})
}

func (r *rig) report(s devices.Status, retained bool) {
	r.put(bus.Entry{Kind: bus.KindStatus, Status: bus.StatusReport{Status: s, Retained: retained}})
}

func (r *rig) removeTruck() { r.put(bus.Entry{Kind: bus.KindRemoval}) }

func (r *rig) truck() *device { return r.live[deviceID(r.t, "truck-17")] }

// frame is what dashboards see of truck-17; "" where there is none.
func (r *rig) frame() string {
	if d := r.truck(); d != nil {
		return string(r.appendFrame(nil, d))
	}
	return ""
}

func (r *rig) wantCounts(t *testing.T, want map[reason]uint64) {
	t.Helper()
	for c := range reasonCount {
		if c < reasonOlder {
			continue
		}
		if got := r.counters.get(c); got != want[c] {
			t.Errorf("%v is counted %d times, want %d", c, got, want[c])
		}
	}
}

func at(lat, lon float64) devices.Measures {
	return devices.Measures{Has: devices.FieldPosition, Lat: lat, Lon: lon}
}

func numbers(pairs ...any) []devices.Metric {
	var out []devices.Metric
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, devices.Metric{Name: pairs[i].(string), Value: valueOf(pairs[i+1])})
	}
	return out
}

func valueOf(v any) devices.Value {
	switch v := v.(type) {
	case float64:
		return devices.NumberValue(v)
	case int:
		return devices.NumberValue(float64(v))
	case string:
		return devices.TextValue(v)
	case bool:
		return devices.BoolValue(v)
	default:
		return devices.Value{}
	}
}
