package bridge

import (
	"context"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/trail"
	"github.com/fleetcast/fleetcast/devices"
)

// onMemory is a rig that publishes on a real bus.
type onMemory struct {
	*rig
	bus    *bus.Memory
	lease  bus.Lease
	trails *Trails
	of     *settings
}

func newOnMemory(t *testing.T, h *devices.HygieneSettings) *onMemory {
	t.Helper()
	b, err := bus.NewMemory(bus.MemoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	m := &onMemory{rig: newRig(t), bus: b, of: &settings{all: h}}
	m.opts.Settings = m.of
	m.of.revision = 1
	m.refreshRules()
	if m.lease, err = b.Own(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if m.trails, err = NewTrails(b, m.of); err != nil {
		t.Fatal(err)
	}
	m.trails.now = func() time.Time { return time.UnixMilli(m.time) }
	return m
}

func (m *onMemory) publish(t *testing.T) {
	t.Helper()
	f := *m.makeFlush(m.time)
	f.Consumed = 0 // nothing went through the inlet
	if _, err := m.lease.Publish(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	m.committed()
}

// seconds are the times of the trail's fixes, after noon.
func (m *onMemory) seconds(t *testing.T, q devices.TrailQuery) []int {
	t.Helper()
	fixes, err := m.trails.Trail(t.Context(), fleetID(t, "north"), deviceID(t, "truck-17"), q)
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, f := range fixes {
		out = append(out, int((f.At-noon)/second))
	}
	return out
}

func (m *onMemory) wantSeconds(t *testing.T, q devices.TrailQuery, from, to int) {
	t.Helper()
	got := m.seconds(t, q)
	if len(got) != to-from+1 {
		t.Fatalf("the trail has %d fixes: %v, want those from %d to %d", len(got), got, from, to)
	}
	for i, s := range got {
		if s != from+i {
			t.Fatalf("the trail is %v, want all from %d to %d", got, from, to)
		}
	}
}

func (m *onMemory) at(seconds int) *devices.Reading {
	return &devices.Reading{At: noon + int64(seconds)*second, Measures: devices.Measures{
		Has: devices.FieldPosition | devices.FieldSpeed, Lat: 60 + float64(seconds)/10_000, Lon: 20, Speed: 11,
	}}
}

func TestATrailHasEveryFixInTheOrderOfItsTime(t *testing.T) {
	m := newOnMemory(t, nil)
	m.time = noon + 500*second
	for i := range 200 { // as they come, in flushes of seven
		m.read(*m.at(i))
		if i%7 == 0 {
			m.publish(t)
		}
	}
	for i := 399; i >= 200; i-- { // a burst of buffered ones, the newest first
		m.read(*m.at(i))
	}
	for _, i := range []int{3, 150, 399} { // and redelivered ones, long after
		m.read(*m.at(i))
	}
	m.publish(t)
	m.wantSeconds(t, devices.TrailQuery{}, 0, 399)
	m.wantSeconds(t, devices.TrailQuery{From: noon + 100*second, To: noon + 110*second}, 100, 110)
	m.wantSeconds(t, devices.TrailQuery{Limit: 5}, 395, 399)
	if got := m.seconds(t, devices.TrailQuery{Simplify: 1}); len(got) != 2 {
		t.Errorf("a straight line is simplified to %v", got)
	}
	if m.counters.get(countFixes) != 403 && m.counters.get(countFixes) != 400 {
		t.Errorf("%d fixes went to the trail", m.counters.get(countFixes))
	}
}

func TestATrailIsBoundedByTheFleetsFixesAndAge(t *testing.T) {
	h := devices.DefaultHygiene()
	h.TrailFixes, h.TrailSeconds = 40, 600
	m := newOnMemory(t, &h)
	for i := range 300 {
		m.time = noon + int64(i)*second
		m.read(*m.at(i))
		m.publish(t)
	}
	m.wantSeconds(t, devices.TrailQuery{}, 260, 299)
	if held := m.bus.Stats(); held.Trails != 1 || held.TrailBytes > 3*(trail.BlockFixes*14+64) {
		t.Errorf("held are %d trails of %d bytes", held.Trails, held.TrailBytes)
	}
	m.time += 590 * second
	m.wantSeconds(t, devices.TrailQuery{}, 289, 299)
	m.read(*m.at(288)) // is older than trails reach back now
	m.wantCounts(t, map[reason]uint64{reasonTrailOld: 1, reasonOlder: 1})
	m.time += 11 * second
	if got := m.seconds(t, devices.TrailQuery{}); len(got) != 0 {
		t.Errorf("an old trail is %v", got)
	}
}

func TestAFleetThatKeepsNoTrailsForgetsThem(t *testing.T) {
	m := newOnMemory(t, nil)
	m.time = noon + 100*second
	for i := range 32 {
		m.read(*m.at(i))
	}
	m.publish(t)
	none := devices.DefaultHygiene()
	none.TrailFixes = 0
	m.of.all, m.of.revision = &none, 2
	m.refreshRules()
	m.read(*m.at(32))
	m.publish(t)
	if got := m.seconds(t, devices.TrailQuery{}); got != nil {
		t.Errorf("the trail is %v", got)
	}
	if held := m.bus.Stats(); held.Trails != 0 {
		t.Errorf("%d trails are held", held.Trails)
	}
	m.of.all, m.of.revision = nil, 3
	m.refreshRules()
	m.read(*m.at(33))
	m.publish(t)
	m.wantSeconds(t, devices.TrailQuery{}, 33, 33)
}

func TestATrailEndsWithItsDevice(t *testing.T) {
	m := newOnMemory(t, nil)
	m.time = noon + 100*second
	for i := range 100 {
		m.read(*m.at(i))
		if i == 50 {
			m.publish(t)
		}
	}
	m.time = noon + 200*second
	m.removeTruck()
	m.time += second
	m.read(*m.at(201)) // comes back within the flush, so that no removal is published
	m.publish(t)
	m.wantSeconds(t, devices.TrailQuery{}, 201, 201)
	m.removeTruck()
	m.publish(t)
	_, err := m.trails.Trail(context.Background(), fleetID(t, "north"), deviceID(t, "truck-17"), devices.TrailQuery{})
	if devices.KindOf(err) != devices.NotFound {
		t.Errorf("the trail of a removed device gives %v", err)
	}
	if held := m.bus.Stats(); held.Trails != 0 || held.TrailBytes != 0 {
		t.Errorf("%d trails of %d bytes are held", held.Trails, held.TrailBytes)
	}
}

func TestWhatIsNoFixIsInNoTrail(t *testing.T) {
	h := devices.DefaultHygiene()
	h.JumpFixes, h.MinDistance = 3, 25
	m := newOnMemory(t, &h)
	m.time = noon + 100*second
	m.read(*m.at(1))
	for i, r := range []devices.Reading{
		{Measures: at(-60, 20)},                         // a jump
		{Measures: at(60.0001, 20)},                     // it stands
		{Measures: at(0, 0)},                            // null island
		{Metrics: numbers("fuel", 4)},                   // none
		{Cleared: devices.FieldPosition},                // deleted
		{Historical: true, Measures: at(60.5, 20)},      // sent late, and nobody knows how late
		{At: 1, Retained: true, Measures: at(60.5, 20)}, // kept by a broker, of 1970
		{At: noon - 2*day, Measures: at(60.5, 20)},      // older than trails reach back
	} {
		if r.At == 0 && !r.Historical {
			r.At = noon + int64(i+2)*second
		}
		m.read(r)
	}
	m.publish(t)
	m.wantSeconds(t, devices.TrailQuery{}, 1, 1)
}
