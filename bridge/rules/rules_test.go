package rules

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fleetcast/fleetcast/devices"
)

func mustRule(t testing.TB, text string) Rule {
	t.Helper()
	r, err := ParseRule([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

func mustFence(t testing.TB, text string) Fence {
	t.Helper()
	f, err := ParseFence([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

// depot is a square of about 200 m.
const depot = `{"id":"depot","geometry":{"type":"polygon","coordinates":[[[2.0,48.0],[2.003,48.0],[2.003,48.002],[2.0,48.002],[2.0,48.0]]]}}`

// world asks one device.
type world struct {
	t     testing.TB
	e     *Evaluator
	track Track
	asset devices.Asset
	entry uint64
}

func newWorld(t testing.TB, fences []Fence, rules ...Rule) *world {
	t.Helper()
	w := &world{t: t, e: NewEvaluator()}
	w.asset.ID, _ = devices.ParseDeviceID("truck-17")
	w.asset.Fleet, _ = devices.ParseFleetID("north")
	w.use(fences, rules...)
	return w
}

func (w *world) use(fences []Fence, rules ...Rule) {
	w.t.Helper()
	s, faults := Compile(rules, fences)
	if len(faults) > 0 {
		w.t.Fatal(faults)
	}
	w.e.Use(s)
}

// ask applies a change at a second and returns what happened: "raised r1, cleared r2".
func (w *world) ask(cause Cause, second float64, change func(*devices.Asset)) string {
	w.t.Helper()
	w.entry++
	if change != nil {
		change(&w.asset)
	}
	// What is remembered goes through a record each time, as it does when an owner takes over.
	track, err := ParseTrack(w.track.Append(nil))
	if err != nil {
		w.t.Fatal(err)
	}
	set, due := w.track.set, w.track.Due(0)
	w.e.Resume(&track)
	if track.Due(0) != due && set == w.e.set {
		w.t.Errorf("due %d comes back as %d", due, track.Due(0))
	}
	track.set = set
	w.track = track
	var steps []string
	for _, a := range w.e.Evaluate(&w.track, &Input{Asset: &w.asset, Cause: cause, At: int64(second * 1000), Entry: w.entry}, nil) {
		steps = append(steps, string(a.State)+" "+a.Rule)
	}
	return strings.Join(steps, ", ")
}

func speed(v float64) func(*devices.Asset) {
	return func(a *devices.Asset) { a.Has |= devices.FieldSpeed; a.Speed = v }
}

func place(lat, lon float64) func(*devices.Asset) {
	return func(a *devices.Asset) { a.Has |= devices.FieldPosition; a.Lat, a.Lon = lat, lon }
}

func metric(name string, v devices.Value) func(*devices.Asset) {
	return func(a *devices.Asset) { a.Metrics = []devices.Metric{{Name: name, Value: v}} }
}

func status(s devices.Status) func(*devices.Asset) {
	return func(a *devices.Asset) { a.Status = s }
}

type moment struct {
	second float64
	change func(*devices.Asset)
	want   string
}

func (w *world) follow(moments []moment) {
	w.t.Helper()
	for _, m := range moments {
		if got := w.ask(ByReading, m.second, m.change); got != m.want {
			w.t.Errorf("at %v s: %q, want %q", m.second, got, m.want)
		}
	}
}

func TestAThresholdRaisesOnceAndClearsPastItsHysteresis(t *testing.T) {
	w := newWorld(t, nil, mustRule(t, `{"id":"fast","when":{"type":"threshold","field":"speed","above":27,"hysteresis":2}}`))
	w.follow([]moment{
		{0, nil, ""}, // nothing is known of its speed
		{1, speed(27), ""},
		{2, speed(27.1), "raised fast"},
		{3, speed(40), ""},
		{4, speed(25.5), ""},
		{5, speed(25), "cleared fast"},
		{6, speed(26), ""},
		{7, speed(30), "raised fast"},
	})
}

func TestACommittedTimeMustPassBeforeAnAlert(t *testing.T) {
	w := newWorld(t, nil, mustRule(t, `{"id":"low","severity":"critical","for_s":60,"when":{"type":"threshold","field":"metrics.fuel","below":10}}`))
	fuel := func(v float64) func(*devices.Asset) { return metric("fuel", devices.NumberValue(v)) }
	w.follow([]moment{
		{0, fuel(9), ""},
		{30, fuel(11), ""},
		{40, fuel(9), ""},
		{99, fuel(8), ""},
		{100, fuel(8), "raised low"},
		{101, fuel(12), "cleared low"},
	})
	if w.track.Due(0) != 0 {
		t.Error("a value that was too low once is taken to be so still")
	}
	w.follow([]moment{
		{110, fuel(1), ""},
		{200, metric("fuel", devices.TextValue("?")), ""}, // no number is neither
		{201, fuel(1), "raised low"},
	})
}

func TestFencesAreEnteredAndLeft(t *testing.T) {
	fences := []Fence{mustFence(t, depot)}
	on := func(on string, more string) Rule {
		return mustRule(t, fmt.Sprintf(`{"id":%q,"when":{"type":"fence","fence":"depot","on":%q,"hysteresis":20}%s}`, on, on, more))
	}
	inside, near, outside := place(48.001, 2.001), place(48.0021, 2.001), place(48.01, 2.001)
	w := newWorld(t, fences, on("enter", ""), on("exit", ""), on("inside", ""), on("outside", ""), on("dwell", `,"for_s":60`))
	w.follow([]moment{
		{0, nil, ""}, // no place is known
		{1, inside, "raised inside"},
		{2, near, ""}, // 11 m outside
		{3, outside, "raised exit, cleared inside, raised outside"},
		{4, near, ""},
		{5, inside, "raised enter, cleared exit, raised inside, cleared outside"},
		{64, near, ""},
		{65, inside, "raised dwell"},
		{66, outside, "cleared dwell, cleared enter, raised exit, cleared inside, raised outside"},
	})
}

func TestTimeAloneRaisesWhatSilenceAndPlacesMean(t *testing.T) {
	w := newWorld(t, []Fence{mustFence(t, depot)},
		mustRule(t, `{"id":"gone","for_s":600,"when":{"type":"offline"}}`),
		mustRule(t, `{"id":"parked","for_s":900,"when":{"type":"fence","fence":"depot","on":"dwell"}}`))
	if got := w.ask(ByReading, 0, place(48.001, 2.001)); got != "" || w.track.Due(0) != 900_000 {
		t.Fatalf("%q, due %d", got, w.track.Due(0))
	}
	if got := w.ask(ByStatus, 100, status(devices.Offline)); got != "" || w.track.Due(0) != 700_000 {
		t.Fatalf("%q, due %d", got, w.track.Due(0))
	}
	if got := w.ask(ByTime, 700, nil); got != "raised gone" || w.track.Due(0) != 900_000 {
		t.Fatalf("%q, due %d", got, w.track.Due(0))
	}
	if got := w.ask(ByTime, 900, nil); got != "raised parked" || w.track.Due(0) != 0 {
		t.Fatalf("%q, due %d", got, w.track.Due(0))
	}
	if got := w.ask(ByStatus, 1000, status(devices.Online)); got != "cleared gone" {
		t.Fatalf("%q", got)
	}
}

func TestExpressionsSayNothingOfWhatIsUnknown(t *testing.T) {
	w := newWorld(t, nil, mustRule(t, `{"id":"open","when":{"type":"expression","expression":"speed > 5 and metrics.door == \"open\" and fleet == \"north\""}}`))
	w.follow([]moment{
		{0, nil, ""},
		{1, speed(10), ""},
		{2, metric("door", devices.TextValue("open")), "raised open"},
		{3, metric("other", devices.TextValue("open")), "cleared open"}, // the door is not open, as far as is known
		{4, metric("door", devices.TextValue("open")), "raised open"},
		{5, speed(1), "cleared open"},
	})
}

func TestARuleThatChangesClearsWhatItRaised(t *testing.T) {
	fast := mustRule(t, `{"id":"fast","when":{"type":"threshold","field":"speed","above":27}}`)
	w := newWorld(t, nil, fast)
	w.follow([]moment{{1, speed(30), "raised fast"}})
	renamed := fast
	renamed.Name = "Too fast"
	w.use(nil, renamed)
	w.follow([]moment{{2, speed(31), ""}})
	faster := mustRule(t, `{"id":"fast","when":{"type":"threshold","field":"speed","above":29}}`)
	w.use(nil, faster)
	w.follow([]moment{{3, speed(31), "cleared fast, raised fast"}})
	elsewhere := faster
	elsewhere.Devices = []devices.DeviceID{{}}
	w.use(nil, elsewhere)
	w.follow([]moment{{4, speed(31), "cleared fast"}, {5, speed(31), ""}})
	w.use(nil, faster)
	w.follow([]moment{{6, speed(31), "raised fast"}})
	disabled := faster
	disabled.Disabled = true
	w.use(nil, disabled)
	w.follow([]moment{{7, speed(31), "cleared fast"}})
	if !w.track.IsEmpty() {
		t.Errorf("%+v", w.track)
	}
}

func TestAnAlertIsAcknowledgedOnceAndClosedWithItsDevice(t *testing.T) {
	w := newWorld(t, nil, mustRule(t, `{"id":"fast","name":"Too fast","severity":"info","when":{"type":"threshold","field":"speed","above":27}}`))
	w.follow([]moment{{1, speed(30), "raised fast"}})
	open := w.track.Open()
	if len(open) != 1 {
		t.Fatal(open)
	}
	if _, ok := w.track.Acknowledge("another", "ann", 2000, &w.asset); ok {
		t.Error("an alert that is not there is acknowledged")
	}
	step, ok := w.track.Acknowledge(open[0], "ann", 2000, &w.asset)
	if !ok || step.State != Acknowledged || step.By != "ann" || step.Name != "Too fast" || step.Raised != 1000 || step.At != 2000 {
		t.Errorf("%+v, %v", step, ok)
	}
	if _, ok := w.track.Acknowledge(open[0], "bob", 3000, &w.asset); ok {
		t.Error("an alert is acknowledged twice")
	}
	track, err := ParseTrack(w.track.Append(nil))
	if err != nil || !track.memories[0].acked {
		t.Errorf("%+v, %v", track, err)
	}
	closed := track.Close(&w.asset, 4000, "the device was removed", nil)
	if len(closed) != 1 || closed[0].ID != open[0] || closed[0].State != Cleared || !track.IsEmpty() {
		t.Errorf("%+v", closed)
	}
}

func TestTwoOwnersOfOneEntryMakeTheSameAlert(t *testing.T) {
	rule := mustRule(t, `{"id":"fast","when":{"type":"threshold","field":"speed","above":27}}`)
	ids := map[string]bool{}
	for range 2 {
		w := newWorld(t, nil, rule)
		w.ask(ByReading, 1, speed(30))
		ids[w.track.Open()[0]] = true
	}
	w := newWorld(t, nil, rule)
	w.entry = 7
	w.ask(ByReading, 1, speed(30))
	ids[w.track.Open()[0]] = true
	if len(ids) != 2 {
		t.Errorf("%v", ids)
	}
}

func TestRulesAreOfTheirFleetsAndDevicesOnly(t *testing.T) {
	north := mustRule(t, `{"id":"north","fleets":["north"],"when":{"type":"threshold","field":"speed","above":1}}`)
	south := mustRule(t, `{"id":"south","fleets":["south"],"when":{"type":"threshold","field":"speed","above":1}}`)
	all := mustRule(t, `{"id":"all","when":{"type":"threshold","field":"speed","above":1}}`)
	one := mustRule(t, `{"id":"one","devices":["truck-17"],"when":{"type":"threshold","field":"speed","above":1}}`)
	other := mustRule(t, `{"id":"other","devices":["truck-18"],"when":{"type":"threshold","field":"speed","above":1}}`)
	w := newWorld(t, nil, north, south, all, one, other)
	w.follow([]moment{{1, speed(2), "raised all, raised north, raised one"}})
	w.asset.Fleet, _ = devices.ParseFleetID("west")
	w.use(nil, north, south, all, one, other) // a device that moves is closed and begins anew; a new set finds it too
	w.follow([]moment{{2, speed(2), "cleared north"}})
}

func TestWhatIsWrongWithARuleIsNamed(t *testing.T) {
	for text, field := range map[string]string{
		`{"id":"","when":{"type":"offline"}}`:                                                                  "id",
		`{"id":"a/b","when":{"type":"offline"}}`:                                                               "id",
		`{"id":"a","name":"x\n","when":{"type":"offline"}}`:                                                    "name",
		`{"id":"a","severity":"huge","when":{"type":"offline"}}`:                                               "severity",
		`{"id":"a","for_s":-1,"when":{"type":"offline"}}`:                                                      "for_s",
		`{"id":"a","when":{"type":"sometimes"}}`:                                                               "when.type",
		`{"id":"a","when":{"type":"offline","above":1}}`:                                                       "when.above",
		`{"id":"a","when":{"type":"threshold","field":"colour","above":1}}`:                                    "when.field",
		`{"id":"a","when":{"type":"threshold","field":"metrics.","above":1}}`:                                  "when.field",
		`{"id":"a","when":{"type":"threshold","field":"speed"}}`:                                               "when",
		`{"id":"a","when":{"type":"threshold","field":"speed","above":1,"below":2}}`:                           "when",
		`{"id":"a","when":{"type":"threshold","field":"speed","above":1,"hysteresis":-1}}`:                     "when.hysteresis",
		`{"id":"a","when":{"type":"fence","on":"enter"}}`:                                                      "when.fence",
		`{"id":"a","when":{"type":"fence","fence":"f","on":"near"}}`:                                           "when.on",
		`{"id":"a","when":{"type":"fence","fence":"f","on":"dwell"}}`:                                          "for_s",
		`{"id":"a","when":{"type":"fence","fence":"f","on":"exit","hysteresis":1001}}`:                         "when.hysteresis",
		`{"id":"a","when":{"type":"expression"}}`:                                                              "when.expression",
		`{"id":"a","when":{"type":"expression","expression":"speed +"}}`:                                       "when.expression",
		`{"id":"a","when":{"type":"expression","expression":"spede > 1"}}`:                                     "when.expression",
		`{"id":"a","when":{"type":"expression","expression":"len(1..1000000000) > 1"}}`:                        "when.expression",
		`{"id":"a","when":{"type":"expression","expression":"(1..1000000000)[0] > 1"}}`:                        "when.expression",
		`{"id":"a","when":{"type":"expression","expression":"all([1,2], # > 0)"}}`:                             "when.expression",
		`{"id":"a","when":{"type":"expression","expression":"id matches \"(a+)+$\""}}`:                         "when.expression",
		`{"id":"a","when":{"type":"expression","expression":"` + strings.Repeat("speed>1 or ", 60) + `true"}}`: "when.expression",
		`{"id":"a","when":{"type":"offline"},"wen":1}`:                                                         "rule",
		`[]`: "rule",
	} {
		_, err := ParseRule([]byte(text))
		if devices.KindOf(err) != devices.Invalid || err == nil || !strings.HasPrefix(err.Error(), field+":") {
			t.Errorf("%s gives %v, want one of %s", text, err, field)
		}
	}
}

func TestARuleOfAFenceThatIsGoneIsTold(t *testing.T) {
	s, faults := Compile([]Rule{mustRule(t, `{"id":"a","when":{"type":"fence","fence":"f","on":"enter"}}`)}, nil)
	if s.Len() != 0 || len(faults) != 1 || faults[0].Rule != "a" || devices.KindOf(faults[0].Err) != devices.NotFound {
		t.Errorf("%d rules, %+v", s.Len(), faults)
	}
}

func TestMoreRulesThanADeviceMayHaveAreNotAsked(t *testing.T) {
	var all []Rule
	for i := range MaxRulesPerDevice + 10 {
		all = append(all, mustRule(t, fmt.Sprintf(`{"id":"r%03d","when":{"type":"threshold","field":"speed","above":1}}`, i)))
	}
	set, faults := Compile(all, nil)
	if len(faults) != 10 || faults[0].Rule != "r064" || devices.KindOf(faults[0].Err) != devices.Exhausted {
		t.Errorf("faults are %v", faults)
	}
	w := newWorld(t, nil)
	w.e.Use(set)
	w.ask(ByReading, 1, speed(2))
	if n := len(w.track.Open()); n != MaxRulesPerDevice {
		t.Errorf("%d alerts are open", n)
	}
	// One more, before all others: the last is not asked any more, or the track could not be read again.
	set, _ = Compile(append(all, mustRule(t, `{"id":"a","devices":["truck-17"],"when":{"type":"threshold","field":"speed","above":1}}`)), nil)
	w.e.Use(set)
	if got := w.ask(ByReading, 2, nil); got != "cleared r063, raised a" {
		t.Errorf("%q", got)
	}
	if _, err := ParseTrack(w.track.Append(nil)); err != nil {
		t.Error(err)
	}
}

func TestLateReadingsAreAskedInAnOrderOfTheirOwn(t *testing.T) {
	w := newWorld(t, []Fence{mustFence(t, depot)},
		mustRule(t, `{"id":"enter","when":{"type":"fence","fence":"depot","on":"enter"}}`),
		mustRule(t, `{"id":"fast","for_s":10,"when":{"type":"threshold","field":"speed","above":27}}`),
		mustRule(t, `{"id":"gone","when":{"type":"offline"}}`))
	w.asset.Status = devices.Online
	w.follow([]moment{{1000, speed(1), ""}})
	var late Track
	for _, m := range []moment{
		{100, speed(30), ""},
		{105, place(48.01, 2.001), ""},
		{110, speed(30), "raised fast"},
		{115, place(48.001, 2.001), "raised enter"},
		{120, speed(2), "cleared fast"},
	} {
		a := devices.Asset{ID: w.asset.ID, Fleet: w.asset.Fleet, Status: devices.Offline}
		m.change(&a)
		var steps []string
		for _, step := range w.e.EvaluateLate(&late, &w.track, &Input{Asset: &a, Cause: ByLate, At: int64(m.second * 1000), Entry: uint64(m.second)}, nil) {
			steps = append(steps, string(step.State)+" "+step.Rule)
		}
		if got := strings.Join(steps, ", "); got != m.want {
			t.Errorf("at %v s: %q, want %q", m.second, got, m.want)
		}
	}
	w.follow([]moment{{1001, speed(30), ""}, {1011, speed(30), "raised fast"}})
	a := devices.Asset{ID: w.asset.ID, Fleet: w.asset.Fleet}
	speed(40)(&a)
	for _, second := range []int64{200, 300} {
		if out := w.e.EvaluateLate(&late, &w.track, &Input{Asset: &a, Cause: ByLate, At: second * 1000}, nil); len(out) > 0 {
			t.Errorf("what is raised is raised again: %+v", out)
		}
	}
}

func TestWhatWasHeldBackIsNotJudgedByWhenItComes(t *testing.T) {
	w := newWorld(t, []Fence{mustFence(t, depot)},
		mustRule(t, `{"id":"gone","for_s":60,"when":{"type":"offline"}}`),
		mustRule(t, `{"id":"parked","for_s":600,"when":{"type":"fence","fence":"depot","on":"dwell"}}`))
	const lag = 3_600_000
	w.ask(ByReading, 0, place(48.001, 2.001)) // heard an hour later
	if due := w.track.Due(lag); due != lag+600_000 {
		t.Errorf("due at %d", due)
	}
	w.ask(ByStatus, 3_601, status(devices.Offline))
	if due := w.track.Due(lag); due != 3_661_000 {
		t.Errorf("due at %d", due)
	}
	out := w.e.Evaluate(&w.track, &Input{Asset: &w.asset, Cause: ByTime, At: lag + 600_000, Lag: lag}, nil)
	if len(out) != 2 || out[0].At != lag+600_000 || out[1].At != 600_000 {
		t.Errorf("%+v", out)
	}
}

func TestEvaluatingWithoutNewsAllocatesNothing(t *testing.T) {
	w := newWorld(t, []Fence{mustFence(t, depot)},
		mustRule(t, `{"id":"fast","when":{"type":"threshold","field":"speed","above":27}}`),
		mustRule(t, `{"id":"in","when":{"type":"fence","fence":"depot","on":"enter"}}`))
	place(48.001, 2.001)(&w.asset)
	in := Input{Asset: &w.asset, At: 1}
	w.e.Evaluate(&w.track, &in, nil)
	if n := testing.AllocsPerRun(100, func() { w.e.Evaluate(&w.track, &in, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The index must never hide a fence that the geometry alone would find.
func TestTheIndexFindsWhatTheGeometryFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lon, lat := rapid.Float64Range(-180, 180), rapid.Float64Range(-89, 89)
		var fences []Fence
		var all []Rule
		for i := range rapid.IntRange(1, 4).Draw(t, "fences") {
			f := Fence{ID: fmt.Sprint("f", i)}
			c := []float64{lon.Draw(t, "lon"), lat.Draw(t, "lat")}
			size := rapid.Float64Range(0.001, 3).Draw(t, "size")
			switch rapid.IntRange(0, 2).Draw(t, "type") {
			case 0:
				f.Geometry = Geometry{Type: Circle, Center: c, Radius: size * 100_000}
			case 1:
				w, e := wrap(c[0]-size), wrap(c[0]+size)
				n, s := math.Min(90, c[1]+size), math.Max(-90, c[1]-size)
				f.Geometry = Geometry{Type: Polygon, Rings: [][][]float64{{{w, s}, {e, s}, {e, n}, {w, n}, {w, s}}}}
			case 2:
				f.Geometry = Geometry{Type: Corridor, Line: [][]float64{c, {wrap(c[0] + size), c[1]}}, Width: 1 + size*1000}
			}
			if err := f.Check(); err != nil {
				t.Fatal(err)
			}
			fences = append(fences, f)
			hysteresis := rapid.SampledFrom([]float64{0, 1000}).Draw(t, "hysteresis")
			all = append(all, Rule{ID: f.ID, Severity: Info, When: Condition{Type: InFence, Fence: f.ID, On: Inside, Hysteresis: hysteresis}})
		}
		set, faults := Compile(all, fences)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		e := NewEvaluator()
		e.Use(set)
		for range 20 {
			f := fences[rapid.IntRange(0, len(fences)-1).Draw(t, "near")]
			at := f.Geometry.anyPoint()
			a := devices.Asset{}
			a.Has |= devices.FieldPosition
			spread := rapid.Float64Range(-3.2, 3.2)
			a.Lon, a.Lat = wrap(at[0]+spread.Draw(t, "dlon")), math.Max(-90, math.Min(90, at[1]+spread.Draw(t, "dlat")))
			var track Track
			var got []string
			for _, step := range e.Evaluate(&track, &Input{Asset: &a, At: 1}, nil) {
				got = append(got, step.Rule)
			}
			var want []string
			for i := range fences {
				if fences[i].Contains(a.Lat, a.Lon, 0) {
					want = append(want, fences[i].ID)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("at %v,%v: %v, want %v", a.Lat, a.Lon, got, want)
			}
		}
	})
}

func wrap(lon float64) float64 {
	switch {
	case lon > 180:
		return lon - 360
	case lon < -180:
		return lon + 360
	}
	return lon
}

func (g *Geometry) anyPoint() []float64 {
	switch g.Type {
	case Circle:
		return g.Center
	case Polygon:
		return g.Rings[0][0]
	case Corridor:
	}
	return g.Line[0]
}

func TestAlertsAreOneLineOfJSON(t *testing.T) {
	w := newWorld(t, nil, mustRule(t, `{"id":"fast","name":"Too fast","when":{"type":"threshold","field":"speed","above":27}}`))
	speed(31.25)(&w.asset)
	place(48.5, 2)(&w.asset)
	out := w.e.Evaluate(&w.track, &Input{Asset: &w.asset, At: 1_795_353_543_237, Entry: 9}, nil)
	const want = `{"id":"ID","rule":"fast","name":"Too fast","severity":"warning","device":"truck-17","fleet":"north","state":"raised","at":1795353543237,"raised":1795353543237,"value":31.25,"lat":48.5,"lon":2,"text":"speed 31.25 is above 27"}`
	if got := strings.Replace(string(out[0].JSON()), out[0].ID, "ID", 1); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzParseTrack(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{trackVersion, 1, 'a', 0, 0, 0, 0, 2, 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		track, err := ParseTrack(b)
		if err != nil {
			return
		}
		again, err := ParseTrack(track.Append(nil))
		if err != nil || !reflect.DeepEqual(again, track) {
			t.Errorf("%+v comes back as %+v, %v", track, again, err)
		}
	})
}

func FuzzParseRuleAndFence(f *testing.F) {
	f.Add([]byte(`{"id":"a","when":{"type":"expression","expression":"speed > 1"}}`))
	f.Add([]byte(depot))
	f.Fuzz(func(t *testing.T, b []byte) {
		fence := mustFence(t, depot)
		if parsed, err := ParseFence(b); err == nil {
			fence = parsed
		}
		r, err := ParseRule(b)
		if err != nil {
			return
		}
		set, _ := Compile([]Rule{r}, []Fence{fence})
		e := NewEvaluator()
		e.Use(set)
		a := devices.Asset{}
		a.Has = ^devices.Fields(0)
		var track Track
		e.Evaluate(&track, &Input{Asset: &a, At: 1}, nil)
	})
}

func BenchmarkEvaluate(b *testing.B) {
	var all []Rule
	var fences []Fence
	for i := range 10 {
		all = append(all, mustRule(b, fmt.Sprintf(`{"id":"t%d","when":{"type":"threshold","field":"speed","above":27}}`, i)))
	}
	for i := range 500 {
		f := mustFence(b, depot)
		f.ID = fmt.Sprint("f", i)
		for _, p := range f.Geometry.Rings[0] {
			p[0] += float64(i) * 0.01
		}
		fences = append(fences, f)
		if i < 20 {
			all = append(all, mustRule(b, fmt.Sprintf(`{"id":"f%d","when":{"type":"fence","fence":"f%d","on":"enter"}}`, i, i)))
		}
	}
	w := newWorld(b, fences, all...)
	place(48.001, 2.011)(&w.asset)
	speed(10)(&w.asset)
	in := Input{Asset: &w.asset, At: 1}
	for b.Loop() {
		w.e.Evaluate(&w.track, &in, nil)
	}
}
