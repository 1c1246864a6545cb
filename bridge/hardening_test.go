package bridge

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// Abuse: coordinates that are none, among values that are good.
func TestImpossibleCoordinatesCostThePositionOnly(t *testing.T) {
	for _, bad := range [][2]float64{
		{91, 0},
		{-91, 0},
		{0, 181},
		{0, -181},
		{math.NaN(), 1},
		{1, math.NaN()},
		{math.Inf(1), 1},
		{1, math.Inf(-1)},
		{7.49e+247, 1},
		{math.MaxFloat64, -math.MaxFloat64},
	} {
		r := newRig(t)
		r.read(devices.Reading{Measures: at(48.85833, 2.29513)})
		r.time += second
		m := at(bad[0], bad[1])
		m.Has |= devices.FieldSpeed | devices.FieldBattery
		m.Speed, m.Battery = 16.9, 67
		r.read(devices.Reading{Measures: m, Metrics: numbers("fuel", 41.5)})
		want := `{"id":"truck-17","fleet":"north","status":"online","at":1780315200000,"received":1780315201000,` +
			`"lat":48.85833,"lon":2.29513,"speed":16.9,"battery":67,"metrics":{"fuel":41.5}}`
		if got := r.frame(); got != want {
			t.Errorf("%v gives\n%s, want\n%s", bad, got, want)
		}
		r.wantCounts(t, map[reason]uint64{reasonOutOfRange: 1})
	}
}

// Abuse: a tracker in a garage, without a fix.
func TestNullIslandLeavesTheLastGoodPosition(t *testing.T) {
	r := newRig(t)
	r.read(devices.Reading{Measures: at(54.7, 25.3)})
	r.time += second
	m := devices.Measures{Has: devices.FieldPosition | devices.FieldSatellites | devices.FieldBattery, Battery: 80}
	r.read(devices.Reading{At: r.time, Measures: m, Metrics: numbers("ignition", false)})
	want := `{"id":"truck-17","fleet":"north","status":"online","at":1780315200000,"received":1780315201000,` +
		`"lat":54.7,"lon":25.3,"battery":80,"metrics":{"ignition":false}}`
	if got := r.frame(); got != want {
		t.Errorf("frame\n%s, want\n%s", got, want)
	}
	r.wantCounts(t, map[reason]uint64{reasonNullIsland: 1})
}

// Abuse: clocks as published captures have them. One such message must never hold off the ones after it.
func TestNoClockFreezesADevice(t *testing.T) {
	date := func(y int, m time.Month, d int) int64 { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).UnixMilli() }
	for name, lie := range map[string]int64{
		"1970": 1, "2004": date(2004, 3, 1), "the GPS epoch": date(1980, 1, 6), "2036": date(2036, 2, 7), "2038": date(2038, 1, 19),
		"a GPS week that rolled over": noon - 1024*7*day, "an hour behind": noon - hour, "an hour ahead": noon + hour,
		"a zone ahead": noon + 14*hour, "nearly a day ahead": noon + day, "just over a day ahead": noon + day + second,
		"the end of time": math.MaxInt64, "the beginning": math.MinInt64,
	} {
		r := newRig(t)
		r.read(devices.Reading{At: lie, Measures: at(1, 2), Metrics: numbers("a", 1)})
		r.time += second
		r.read(devices.Reading{At: r.time, Measures: at(3, 4), Metrics: numbers("a", 2)})
		want := `{"id":"truck-17","fleet":"north","status":"online","at":1780315201000,"received":1780315201000,"lat":3,"lon":4,"metrics":{"a":2}}`
		if got := r.frame(); got != want {
			t.Errorf("after %s the device shows\n%s, want\n%s", name, got, want)
		}
		if d := r.truck(); d.assetTime() > d.asset.Received {
			t.Errorf("%s: the asset is of the future", name)
		}
	}
}

// Abuse: a device whose clock always lies moves all the same.
func TestADeviceWithAWrongClockMoves(t *testing.T) {
	for name, offset := range map[string]int64{"1970": -noon + 1, "rolled over": -1024 * 7 * day, "an hour ahead": hour, "an hour behind": -hour, "2036": 10 * 365 * day} {
		r := newRig(t)
		for i := range 10 {
			r.time += second
			r.read(devices.Reading{At: r.time + offset, Measures: at(float64(i), 1)})
		}
		if got := r.truck().asset.Lat; got != 9 {
			t.Errorf("%s: the device stands at %v, want 9", name, got)
		}
	}
}

// Abuse: everything is delivered twice, over two gateways, out of order by seconds and by hours.
func TestDuplicatesAndDisorderLeaveTheNewest(t *testing.T) {
	r := newRig(t)
	fix := func(age int64) devices.Reading {
		return devices.Reading{At: noon - age, Measures: at(float64(1+age%80), 1), Metrics: numbers("age", float64(age))}
	}
	for _, age := range []int64{5 * hour, 0, 3 * second, 0, hour, 3 * second, second, 2 * second, second} {
		r.read(fix(age))
	}
	want := `{"id":"truck-17","fleet":"north","status":"online","at":1780315200000,"received":1780315200000,"lat":1,"lon":1,"metrics":{"age":0}}`
	if got := r.frame(); got != want {
		t.Errorf("frame\n%s, want\n%s", got, want)
	}
	r.wantCounts(t, map[reason]uint64{reasonDuplicate: 3, reasonOlder: 4})
}

// Abuse: 500 fixes that were buffered in a tunnel, the newest first.
func TestABufferedUploadShowsTheNewestOnly(t *testing.T) {
	r := newRig(t)
	for i := range 500 {
		r.read(devices.Reading{At: noon - int64(i)*second, Measures: at(float64(i%90)+0.5, 1)})
	}
	if got := r.truck(); got.asset.Lat != 0.5 || got.assetTime() != noon {
		t.Errorf("the device stands at %v of %d", got.asset.Lat, got.assetTime())
	}
	if f := r.makeFlush(noon); len(f.Changes) != 1 {
		t.Errorf("%d changes are published", len(f.Changes))
	}
}

// Abuse: names and nulls without end must not grow a device.
func TestADeviceStaysBoundedWhateverItSends(t *testing.T) {
	r := newRig(t)
	hostile := strings.Repeat("<\x00\xff", devices.MaxMetricTextBytes/3)
	for i := range 3000 {
		r.time++
		r.read(devices.Reading{Measures: at(1, 2), Metrics: []devices.Metric{
			{Name: fmt.Sprintf("%d%s", i, hostile[:40]), Value: devices.TextValue(hostile)},
			{Name: fmt.Sprintf("n%d", i), Value: devices.NumberValue(-math.SmallestNonzeroFloat64)},
			{Name: fmt.Sprintf("c%d", i), Value: devices.Value{}},
			{Name: fmt.Sprintf("n%d", i/2), Value: devices.Value{}},
		}})
		r.connect(bus.DoorID(i), uint64(i), true)
	}
	d := r.truck()
	if n := len(d.metrics); n > devices.MaxMetrics+maxCleared {
		t.Errorf("%d metrics are kept", n)
	}
	c := &r.makeFlush(noon).Changes[0]
	if len(c.Frame) > devices.MaxAssetBytes {
		t.Errorf("the frame has %d bytes", len(c.Frame))
	}
	if len(c.Record) > 3*devices.MaxAssetBytes {
		t.Errorf("the record has %d bytes", len(c.Record))
	}
	if _, err := decodeDevice(c.Record); err != nil {
		t.Errorf("the record cannot be read: %v", err)
	}
}

// Abuse: an input that meets a bug of ours. It is lost and told; the partition goes on.
func TestAnEntryOnWhichOurCodeBreaksStopsNothing(t *testing.T) {
	r := newRig(t)
	r.read(devices.Reading{})
	r.index = nil // stands for a bug: who makes a new device breaks
	var logged bytes.Buffer
	o := &ownership{partition: &partition{log: slog.New(slog.NewTextHandler(&logged, nil))}, state: r.state}
	poison := otherDevice(r, "truck-18")
	poison.Reading = &devices.Reading{Metrics: numbers("secret", "payload")}
	good := bus.Entry{Kind: bus.KindReading, Reading: &devices.Reading{Measures: at(1, 2)}}
	o.apply(t.Context(), []bus.Entry{*r.entry(poison), *r.entry(poison), *r.entry(good)})
	if n := o.counters.get(reasonPanic); n != 2 {
		t.Errorf("%d panics are counted, want 2", n)
	}
	if got := r.frame(); !strings.Contains(got, `"lat":1`) {
		t.Errorf("the entry after it was not applied: %s", got)
	}
	if f := r.makeFlush(noon); f.Consumed != r.id || len(f.Changes) != 1 {
		t.Errorf("consumed %d with %d changes, want %d and 1", f.Consumed, len(f.Changes), r.id)
	}
	if got := logged.String(); strings.Count(got, "a bug") != 1 || strings.Contains(got, "secret") {
		t.Errorf("logged %s", got)
	}
}

// Abuse: a flood of bad readings must not flood the log.
func TestFaultsAreToldOnceAMinuteWithoutContent(t *testing.T) {
	var logged bytes.Buffer
	p := &partition{log: slog.New(slog.NewTextHandler(&logged, nil))}
	now := time.Unix(0, 0)
	for range 600 { // a minute of flushes
		p.counters.add(reasonOutOfRange)
		p.counters.add(reasonOlder) // no fault
		p.report(now)
		now = now.Add(beatInterval / 10)
	}
	p.report(now)
	p.report(now.Add(time.Hour)) // nothing new
	lines := strings.Split(strings.TrimSpace(logged.String()), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[0], "out_of_range=1") || !strings.HasSuffix(lines[1], "out_of_range=599") {
		t.Errorf("logged\n%s", logged.String())
	}
}
