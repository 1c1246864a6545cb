package bridge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// step is one reading: received at noon+at seconds, with a device time of noon+claims seconds (none: no device time).
type step struct {
	at      int64
	claims  int64
	metrics []devices.Metric
	m       devices.Measures
	cleared devices.Fields
}

const none = int64(-1 << 40)

func speed(v float64) devices.Measures { return devices.Measures{Has: devices.FieldSpeed, Speed: v} }

func (r *rig) play(steps []step) {
	for _, st := range steps {
		r.time = noon + st.at*second
		reading := devices.Reading{Measures: st.m, Metrics: st.metrics, Cleared: st.cleared}
		if st.claims != none {
			reading.At = noon + st.claims*second
		}
		r.read(reading)
	}
}

func TestTheNewestValueOfEveryFieldWins(t *testing.T) {
	const head = `{"id":"truck-17","fleet":"north","status":"online",`
	for _, c := range []struct {
		name   string
		steps  []step
		want   string
		counts map[reason]uint64
	}{
		{
			"in order",
			[]step{{at: 0, claims: 0, m: at(1, 2)}, {at: 1, claims: 1, m: at(3, 4)}},
			`"at":1780315201000,"received":1780315201000,"lat":3,"lon":4}`, nil,
		},
		{
			"out of order moves nothing but is heard",
			[]step{{at: 1, claims: 1, m: at(3, 4)}, {at: 2, claims: 0, m: at(1, 2)}},
			`"at":1780315201000,"received":1780315202000,"lat":3,"lon":4}`,
			map[reason]uint64{reasonOlder: 1},
		},
		{
			"an older message brings what is not held yet",
			[]step{{at: 1, claims: 1, m: at(3, 4)}, {at: 2, claims: 0, m: speed(9), metrics: numbers("fuel", 41.5)}},
			`"at":1780315201000,"received":1780315202000,"lat":3,"lon":4,"speed":9,"metrics":{"fuel":41.5}}`, nil,
		},
		{
			"at equal times they merge, and the later arrival wins",
			[]step{{at: 5, claims: 3, m: at(1, 2)}, {at: 6, claims: 3, m: speed(9)}, {at: 7, claims: 3, m: at(3, 4)}},
			`"at":1780315203000,"received":1780315207000,"lat":3,"lon":4,"speed":9}`, nil,
		},
		{
			"a clock an hour ahead neither freezes the device nor is shown",
			[]step{{at: 0, claims: 3600, m: at(1, 2)}, {at: 1, claims: 3601, m: at(3, 4)}, {at: 2, claims: 2, m: at(5, 6)}},
			`"at":1780315202000,"received":1780315202000,"lat":5,"lon":6}`,
			map[reason]uint64{reasonZone: 2},
		},
		{
			"1970 is the time of the message",
			[]step{{at: 0, claims: 0, m: at(1, 2)}, {at: 1, claims: -noon/second + 5, m: at(3, 4)}},
			`"at":1780315201000,"received":1780315201000,"lat":3,"lon":4}`,
			map[reason]uint64{reasonClock: 1},
		},
		{
			"a reading without a time has that of its entry",
			[]step{{at: 1, claims: none, m: at(1, 2)}, {at: 2, claims: none, m: at(3, 4)}, {at: 3, claims: 1, m: at(5, 6)}},
			`"at":1780315202000,"received":1780315203000,"lat":3,"lon":4}`,
			map[reason]uint64{reasonOlder: 1},
		},
		{
			"two doors feed different fields, one of them late",
			[]step{
				{at: 0, claims: 0, m: at(1, 2)},
				{at: 1, claims: -9, metrics: numbers("temperature", 20)},
				{at: 2, claims: 2, m: at(3, 4)},
				{at: 3, claims: -8, metrics: numbers("temperature", 21)},
			},
			`"at":1780315202000,"received":1780315203000,"lat":3,"lon":4,"metrics":{"temperature":21}}`, nil,
		},
		{
			"a null deletes, and an older value does not come back",
			[]step{
				{at: 0, claims: 0, m: speed(5), metrics: numbers("door", "open", "fuel", 3)},
				{at: 5, claims: 5, cleared: devices.FieldSpeed, metrics: numbers("door", nil)},
				{at: 6, claims: 4, m: speed(6), metrics: numbers("door", "shut")},
			},
			`"at":1780315200000,"received":1780315206000,"metrics":{"fuel":3}}`,
			map[reason]uint64{reasonOlder: 1},
		},
		{
			"a null that comes first holds off the older value",
			[]step{{at: 5, claims: 5, metrics: numbers("door", nil)}, {at: 6, claims: 4, metrics: numbers("door", "shut")}},
			`"received":1780315206000}`,
			map[reason]uint64{reasonOlder: 1},
		},
		{
			"a newer value comes after a null",
			[]step{{at: 5, claims: 5, metrics: numbers("door", nil)}, {at: 6, claims: 6, metrics: numbers("door", "shut")}},
			`"at":1780315206000,"received":1780315206000,"metrics":{"door":"shut"}}`, nil,
		},
		{
			"an older null deletes nothing",
			[]step{{at: 5, claims: 5, m: at(1, 2), metrics: numbers("a", 1)}, {at: 6, claims: 4, cleared: devices.FieldPosition, metrics: numbers("a", nil)}},
			`"at":1780315205000,"received":1780315206000,"lat":1,"lon":2,"metrics":{"a":1}}`,
			map[reason]uint64{reasonOlder: 1},
		},
		{
			"a position that is cleared leaves the time of the newest field",
			[]step{{at: 1, claims: 1, m: at(1, 2)}, {at: 2, claims: 2, m: speed(3)}, {at: 3, claims: 3, cleared: devices.FieldPosition}},
			`"at":1780315202000,"received":1780315203000,"speed":3}`, nil,
		},
		{
			"a metric changes its type",
			[]step{{at: 0, claims: 0, metrics: numbers("a", 1)}, {at: 1, claims: 1, metrics: numbers("a", true)}},
			`"at":1780315201000,"received":1780315201000,"metrics":{"a":true}}`, nil,
		},
		{
			"metrics are in the order of their names",
			[]step{{at: 0, claims: 0, metrics: numbers("c", 1, "a", "x", "b", false)}},
			`"at":1780315200000,"received":1780315200000,"metrics":{"a":"x","b":false,"c":1}}`, nil,
		},
		{
			"an empty reading is heard", []step{{at: 0, claims: 0}}, `"received":1780315200000}`, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.play(c.steps)
			if got := r.frame(); got != head+c.want {
				t.Errorf("frame\n%s, want\n%s", got, head+c.want)
			}
			r.wantCounts(t, c.counts)
		})
	}
}

func TestADuplicateIsHeardAndChangesNothing(t *testing.T) {
	r := newRig(t)
	first := devices.Reading{At: noon, Measures: at(1, 2), Metrics: numbers("fuel", 4, "door", "open")}
	r.read(first)
	r.read(devices.Reading{At: noon, Measures: at(3, 4)}) // another of the same time, which wins
	r.time += second
	r.read(first)
	want := `{"id":"truck-17","fleet":"north","status":"online","at":1780315200000,"received":1780315201000,"lat":3,"lon":4,` +
		`"metrics":{"door":"open","fuel":4}}`
	if got := r.frame(); got != want {
		t.Errorf("frame\n%s, want\n%s", got, want)
	}
	r.wantCounts(t, map[reason]uint64{reasonDuplicate: 1})
}

// A device whose clock runs ahead has the time of each delivery; only its own time tells the second delivery.
func TestARedeliveryOfADeviceWithAFastClockIsADuplicate(t *testing.T) {
	r := newRig(t)
	first := devices.Reading{At: noon + hour, Measures: at(1, 2)}
	r.read(first)
	r.time += second
	r.read(devices.Reading{At: noon + hour + second, Measures: at(3, 4)})
	r.time += second
	r.read(first)
	if got := r.frame(); !strings.Contains(got, `"lat":3,"lon":4`) {
		t.Errorf("the redelivered position came back: %s", got)
	}
	r.wantCounts(t, map[reason]uint64{reasonDuplicate: 1, reasonZone: 3})
}

func TestReadingsThatDifferInAnythingAreNoDuplicates(t *testing.T) {
	variants := []devices.Reading{
		{At: noon},
		{At: noon - 1},
		{At: noon, Measures: at(1, 2)},
		{At: noon, Measures: at(2, 1)},
		{At: noon, Measures: speed(1)},
		{At: noon, Measures: devices.Measures{Has: devices.FieldBattery, Battery: 1}},
		{At: noon, Cleared: devices.FieldSpeed},
		{At: noon, Cleared: devices.FieldBattery},
		{At: noon, Metrics: numbers("a", 1)},
		{At: noon, Metrics: numbers("a", 2)},
		{At: noon, Metrics: numbers("b", 1)},
		{At: noon, Metrics: numbers("a", "1")},
		{At: noon, Metrics: numbers("a", true)},
		{At: noon, Metrics: numbers("a", nil)},
		{At: noon, Metrics: numbers("a", false)},
		{At: noon, Metrics: numbers("a", 1, "b", 1)},
		{At: noon, Metrics: numbers("a", "b")},
		{At: noon, Metrics: numbers("ab", "")},
		{At: noon, Metrics: numbers("a", strings.Repeat("x", 17))},
		{At: noon, Metrics: numbers("a", strings.Repeat("x", 16))},
		{At: noon, Measures: devices.Measures{Has: devices.FieldSatellites}},
		{At: noon, Measures: devices.Measures{Has: devices.FieldSatellites}, Satellites: 3},
	}
	seen := make(map[uint64]int)
	for i := range variants {
		h := hashReading(&variants[i], variants[i].At)
		if other, ok := seen[h]; ok {
			t.Errorf("readings %d and %d have one hash", other, i)
		}
		seen[h] = i
	}
}

// The hash stands in records that exist.
func TestTheHashOfAReadingNeverChanges(t *testing.T) {
	r := devices.Reading{Measures: at(48.85833, 2.29513), Metrics: numbers("fuel", 41.5, "door", "open", "ok", true)}
	if got := hashReading(&r, noon); got != 0x49179ce4b4e503a0 {
		t.Errorf("hash %#x", got)
	}
}

func TestOldNamesStayWhereNewOnesExceedTheLimitOfMetrics(t *testing.T) {
	r := newRig(t)
	for i := range devices.MaxMetrics {
		r.read(devices.Reading{Metrics: numbers(fmt.Sprintf("m%03d", i), i)})
	}
	r.time += second
	r.read(devices.Reading{Metrics: numbers("extra", 1, "m000", 7, "another", 2)})
	if got := r.truck().countMetrics(); got != devices.MaxMetrics {
		t.Errorf("%d metrics are held, want %d", got, devices.MaxMetrics)
	}
	if got := r.frame(); !strings.Contains(got, `"m000":7`) || strings.Contains(got, "extra") {
		t.Errorf("frame %s", got)
	}
	r.wantCounts(t, map[reason]uint64{reasonMetricLimit: 2})
	r.time += second
	r.read(devices.Reading{Metrics: numbers("m001", nil, "extra", 1)}) // one went, one may come
	if got := r.frame(); !strings.Contains(got, `"extra":1`) {
		t.Errorf("frame %s", got)
	}
}

func TestMetricsThatDoNotFitTheAssetAreDropped(t *testing.T) {
	r := newRig(t)
	text := strings.Repeat("x", devices.MaxMetricTextBytes)
	for i := range 20 {
		r.read(devices.Reading{Metrics: numbers(fmt.Sprintf("m%02d", i), text)})
	}
	r.read(devices.Reading{Measures: at(1, 2), Metrics: numbers("small", 1)})
	got := r.frame()
	if len(got) > devices.MaxAssetBytes || len(got) < devices.MaxAssetBytes-fixedBytes-devices.MaxMetricTextBytes {
		t.Errorf("the frame has %d bytes", len(got))
	}
	if !strings.Contains(got, `"m00":`) || strings.Contains(got, `"m19":`) || !strings.Contains(got, `"small":1`) {
		t.Errorf("not the newest were dropped: %s", got)
	}
	if r.counters.get(reasonAssetBytes) == 0 {
		t.Error("nothing was counted")
	}
}

func TestAMetricThatGrowsTooLargeGoesRatherThanStayOld(t *testing.T) {
	r := newRig(t)
	text := strings.Repeat("<", devices.MaxMetricTextBytes) // six bytes each in JSON
	r.read(devices.Reading{Metrics: numbers("a", text, "b", text, "c", "short")})
	r.time += second
	r.read(devices.Reading{Metrics: numbers("c", text)})
	if got := r.frame(); strings.Contains(got, `"c":`) || !strings.Contains(got, `"b":`) {
		t.Errorf("frame %s", got)
	}
	r.wantCounts(t, map[reason]uint64{reasonAssetBytes: 1})
}

func TestNumbersAreMeasuredExactlyWhereItIsTight(t *testing.T) {
	r := newRig(t)
	var metrics []devices.Metric
	for i := range devices.MaxMetrics { // by the quick bound 64 × 80 bytes, in truth 64 × 56
		metrics = append(metrics, devices.Metric{Name: fmt.Sprintf("%s%02d", strings.Repeat("n", 49), i), Value: devices.NumberValue(1)})
	}
	r.read(devices.Reading{Metrics: metrics})
	if got := r.truck().countMetrics(); got != devices.MaxMetrics {
		t.Errorf("%d of %d metrics are held", got, devices.MaxMetrics)
	}
	r.wantCounts(t, nil)
}

func TestTheFixedPartOfAFrameIsWithinItsBound(t *testing.T) {
	r := newRig(t)
	d := &device{}
	r.keep(d, deviceID(t, "d"), fleetID(t, "f"))
	d.asset.Measures = devices.Measures{
		Has: allFields, Lat: -89.1234567, Lon: -179.1234567, Altitude: -11999.99, Speed: 999.99, Heading: 359.99, Accuracy: 999999.99, Battery: 99.99,
	}
	d.asset.Received, d.times[0] = -1<<63, -1<<63
	if n := len(r.appendFrame(nil, d)); n > fixedBytes {
		t.Errorf("a frame without metrics has %d bytes", n)
	}
}

func TestClearedMetricsAreForgottenOldestFirst(t *testing.T) {
	r := newRig(t)
	for i := range 3 * maxCleared {
		r.time += second
		r.read(devices.Reading{Metrics: numbers(fmt.Sprintf("m%02d", 99-i), nil)})
	}
	d := r.truck()
	if len(d.metrics) != maxCleared {
		t.Fatalf("%d cleared metrics are held, want %d", len(d.metrics), maxCleared)
	}
	for _, m := range d.metrics {
		if m.at <= r.time-maxCleared*second {
			t.Errorf("%s, cleared long ago, is held", m.name)
		}
	}
}

func TestAppendingToAFrameDoesNotReachTheRecord(t *testing.T) {
	r := newRig(t)
	r.read(devices.Reading{Metrics: numbers("door", "open")})
	if c := &r.makeFlush(noon).Changes[0]; cap(c.Frame) != len(c.Frame) {
		t.Errorf("the frame has %d bytes and room for %d", len(c.Frame), cap(c.Frame))
	}
}

func TestApplyingAReadingAllocatesNothing(t *testing.T) {
	r := newRig(t)
	e := r.entry(bus.Entry{Kind: bus.KindReading, Reading: &devices.Reading{Measures: at(1, 2), Metrics: numbers("fuel", 4, "door", "open")}})
	r.apply(e, 0)
	n := testing.AllocsPerRun(200, func() {
		e.ID++
		e.Time += second
		e.Reading.Lat += 0.001
		e.Reading.Metrics[0].Value.Num++
		r.apply(e, 0)
	})
	if n != 0 {
		t.Errorf("a reading costs %v allocations", n)
	}
}
