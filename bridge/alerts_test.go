package bridge

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
)

const (
	fastRule  = `{"id":"fast","name":"Too fast","severity":"critical","when":{"type":"threshold","field":"speed","above":20}}`
	slowRule  = `{"id":"fuel","for_s":30,"when":{"type":"threshold","field":"metrics.fuel","below":10}}`
	goneRule  = `{"id":"gone","for_s":60,"when":{"type":"offline"}}`
	depotRule = `{"id":"depot","when":{"type":"fence","fence":"depot","on":"enter"}}`
	dwellRule = `{"id":"dwell","for_s":120,"when":{"type":"fence","fence":"depot","on":"dwell"}}`
	depotText = `{"id":"depot","geometry":{"type":"circle","center":[2,48],"radius":500}}`
)

// rulebook is a set that a test may change.
type rulebook struct{ set atomic.Pointer[rules.Set] }

func (b *rulebook) Rules() *rules.Set { return b.set.Load() }

func (b *rulebook) use(t fataler, texts ...string) {
	t.Helper()
	fence, err := rules.ParseFence([]byte(depotText))
	if err != nil {
		t.Fatal(err)
	}
	var all []rules.Rule
	for _, text := range texts {
		r, err := rules.ParseRule([]byte(text))
		if err != nil {
			t.Fatal(text, err)
		}
		all = append(all, r)
	}
	set, faults := rules.Compile(all, []rules.Fence{fence})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	b.set.Store(set)
}

// ruled is a rig with rules.
type ruled struct {
	*rig
	book *rulebook
}

func newRuled(t fataler, texts ...string) *ruled {
	t.Helper()
	r := &ruled{newRig(t), &rulebook{}}
	r.book.use(t, texts...)
	r.opts.Rules = r.book
	r.refreshSet()
	return r
}

// steps are what was told since the last time: "raised fast at 5".
func (r *ruled) steps() string {
	out := stepsOf(r.judging.events)
	r.judging.events = nil
	return strings.Join(out, ", ")
}

func stepsOf(events []bus.Event) (out []string) {
	for _, e := range events {
		var a rules.Alert
		if err := json.Unmarshal(e.Data, &a); err != nil || e.Name != "alert" || e.Fleet != a.Fleet || e.Device != a.Device {
			panic(string(e.Data))
		}
		text := fmt.Sprintf("%s %s at %d", a.State, a.Rule, (a.At-noon)/second)
		if a.By != "" {
			text += " by " + a.By
		}
		out = append(out, text)
	}
	return out
}

// want compares what was told.
func (r *ruled) want(t *testing.T, want string) {
	t.Helper()
	if got := r.steps(); got != want {
		t.Errorf("at %d s: %q, want %q", (r.time-noon)/second, got, want)
	}
}

func (r *ruled) pass(d time.Duration) {
	r.time += d.Milliseconds()
	r.expireBefore(r.time)
	r.ripenBefore(r.time)
	for r.judging.reviewing {
		r.reviewSome(r.time)
	}
}

func (r *ruled) speed(v float64) {
	r.read(devices.Reading{At: r.time, Measures: devices.Measures{Has: devices.FieldSpeed, Speed: v}})
}

func (r *ruled) place(lat, lon float64) { r.read(devices.Reading{At: r.time, Measures: at(lat, lon)}) }

func (r *ruled) notes() (out []string) {
	for _, n := range r.truck().alerts.busNotes() {
		var a rules.Alert
		if err := json.Unmarshal(n.Data, &a); err != nil || a.ID != n.ID || a.Raised != n.At {
			panic(string(n.Data))
		}
		out = append(out, fmt.Sprintf("%s %s %s", a.Rule, a.State, a.By))
	}
	return out
}

func TestEachReadingIsJudgedBeforeItIsCoalesced(t *testing.T) {
	r := newRuled(t, fastRule)
	r.speed(10)
	r.want(t, "")
	r.time += second
	r.speed(30)
	r.time += second
	r.speed(5) // in the same window
	r.want(t, "raised fast at 1, cleared fast at 2")
	if got := r.notes(); len(got) != 1 || got[0] != "fast cleared " {
		t.Errorf("notes are %v", got)
	}
	if f := r.makeFlush(0); len(f.Changes) != 1 || len(f.Changes[0].Notes) != 1 {
		t.Errorf("%+v", f)
	}
}

func TestAnAlertIsAcknowledgedByOnePersonOnce(t *testing.T) {
	r := newRuled(t, fastRule)
	r.speed(30)
	id := r.truck().alerts.notes[0].id
	r.steps()
	ack := func(alert, by string) {
		r.put(bus.Entry{Kind: bus.KindAcknowledgement, Acknowledgement: &bus.Acknowledgement{Alert: alert, By: by, Text: "on it"}})
	}
	r.time += second
	ack(id, "ann")
	r.want(t, "acknowledged fast at 1 by ann")
	ack(id, "bob")
	ack("another", "ann")
	r.want(t, "")
	var a rules.Alert
	if err := json.Unmarshal(r.truck().alerts.notes[0].data, &a); err != nil || a.State != rules.Acknowledged || a.By != "ann" || a.Comment != "on it" || *a.Value != 30 {
		t.Errorf("%+v, %v", a, err)
	}
	r.time += second
	r.speed(1)
	r.want(t, "cleared fast at 2 by ann")
	r.wantCounts(t, map[reason]uint64{reasonNoAlert: 2})
	if r.put(bus.Entry{Kind: bus.KindAcknowledgement, Device: deviceID(t, "nobody"), Acknowledgement: &bus.Acknowledgement{Alert: id}}); len(r.live) != 1 {
		t.Error("an acknowledgement makes a device")
	}
}

func TestTimeAloneSaysWhatItWouldHaveSaidInTime(t *testing.T) {
	r := newRuled(t, goneRule, dwellRule)
	r.connect(1, 1, true)
	r.place(48, 2)
	r.time += 10 * second
	r.connect(1, 1, false)
	r.time += 300 * second // nobody owned the partition meanwhile
	r.put(bus.Entry{Kind: bus.KindReading, Device: deviceID(t, "another"), Reading: &devices.Reading{}})
	r.want(t, "raised gone at 75, raised dwell at 120")
	r.connect(1, 2, true)
	r.want(t, "cleared gone at 310")
}

func TestWhatADeviceHadHeldBackIsJudgedInItsOwnOrder(t *testing.T) {
	r := newRuled(t, fastRule, slowRule, depotRule, dwellRule)
	r.time += 1000 * second
	r.speed(10)
	for i, v := range []float64{10, 30, 35, 10, 31} {
		r.time += 100
		r.read(devices.Reading{At: noon + int64(100+i)*second, Measures: devices.Measures{Has: devices.FieldSpeed, Speed: v}})
	}
	r.want(t, "raised fast at 101, cleared fast at 103, raised fast at 104")
	r.time += second
	r.speed(11)
	r.want(t, "cleared fast at 1001")
	// In order, but an hour late: what it says a moment later counts, not when it came.
	r.time += hour
	r.read(devices.Reading{At: r.time - 3000*second, Measures: at(48, 2)})
	r.time += 200
	r.put(bus.Entry{Kind: bus.KindReading, Device: deviceID(t, "another"), Reading: &devices.Reading{}})
	r.read(devices.Reading{At: r.time - 2900*second, Measures: at(50, 2)})
	r.want(t, "")
	r.pass(time.Hour)
	r.want(t, "")
}

func TestRulesThatChangeAndDevicesThatLeaveClearTheirAlerts(t *testing.T) {
	r := newRuled(t, fastRule, depotRule)
	r.place(50, 2)
	r.speed(30)
	r.place(48, 2)
	r.want(t, "raised fast at 0, raised depot at 0")
	r.book.use(t, depotRule)
	r.refreshRules()
	r.pass(time.Second)
	r.want(t, "cleared fast at 1")
	if !r.truck().dirty {
		t.Error("what is forgotten is not written")
	}
	r.book.use(t)
	r.refreshRules()
	r.pass(time.Second)
	r.want(t, "cleared depot at 2")
	r.book.use(t, fastRule)
	r.refreshRules()
	r.speed(40)
	r.want(t, "raised fast at 2")
	r.removeTruck()
	r.want(t, "cleared fast at 2")
	f := r.makeFlush(0)
	if len(f.Changes) != 1 || !f.Changes[0].Removed() {
		t.Errorf("%+v", f.Changes)
	}
	r.time += second
	r.speed(40)
	r.want(t, "raised fast at 3")
	r.move(r.truck(), fleetID(t, "south"))
	r.want(t, "cleared fast at 3")
	if r.truck().alerts != nil {
		t.Error("the alerts of a fleet went along to another")
	}
}

func TestWhatWasClearedIsForgottenInTime(t *testing.T) {
	r := newRuled(t, fastRule)
	for range 100 {
		r.speed(30)
		r.time += second
		r.speed(1)
		r.time += second
	}
	if n := len(r.notes()); n != maxClosedNotes {
		t.Errorf("%d are kept", n)
	}
	r.committed()
	r.time += r.opts.AlertsKept.Milliseconds() - second
	r.tidyAlerts(r.truck(), r.time, 0)
	if n := len(r.notes()); n != 1 || !r.truck().dirty {
		t.Errorf("%d are kept", n)
	}
	r.time += 2 * second
	r.tidyAlerts(r.truck(), r.time, 0)
	if r.truck().alerts != nil || r.judging.watched != 0 {
		t.Errorf("%+v", r.truck().alerts)
	}
}

// The sweep asks the fleet: it may keep its alerts shorter or longer than others.
func TestAFleetSaysHowLongItsAlertsAreKept(t *testing.T) {
	for name, c := range map[string]struct {
		kept  time.Duration
		after int64
		want  int
	}{
		"shorter": {time.Hour, 2 * 3600 * second, 0}, "longer": {48 * time.Hour, 47 * 3600 * second, 1}, "as others": {0, 25 * 3600 * second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuled(t, fastRule)
			people := newFakeRegistry()
			people.fleets[fleetID(t, "north")] = FleetTimes{AlertsKept: c.kept}
			r.opts.Registry = people
			r.speed(30)
			r.time += second
			r.speed(1)
			r.look(r.truck(), r.time+c.after, r.time, 0, nil)
			if n := len(r.notes()); n != c.want {
				t.Errorf("%d are kept", n)
			}
		})
	}
}

func TestWithoutRulesJudgingCostsNothing(t *testing.T) {
	r := newRig(t)
	reading := devices.Reading{Measures: devices.Measures{Has: devices.FieldSpeed, Speed: 30}}
	r.read(reading)
	d := r.truck()
	n := testing.AllocsPerRun(100, func() {
		r.judge(d, rules.ByReading, 1)
	})
	if n != 0 || d.alerts != nil {
		t.Errorf("%v allocations", n)
	}
}

// Over the real loop: time passes, the rules change, and the owner is robbed.
func TestABridgeJudgesWhatTimeSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &running{t: t, bus: newFakeBus(1), start: time.Now()}
		book := &rulebook{}
		book.use(t, goneRule)
		r.run(Options{Bus: r.bus, Rules: book})
		device, fleet := deviceID(t, "truck-17"), fleetID(t, "north")
		r.bus.append(
			bus.Entry{Device: device, Fleet: fleet, Kind: bus.KindReading, Reading: &devices.Reading{Measures: at(48, 2)}},
			bus.Entry{Device: device, Fleet: fleet, Kind: bus.KindStatus, Status: bus.StatusReport{Status: devices.Offline}})
		r.pass(59 * time.Second)
		states := func() (out []rules.AlertState) {
			r.bus.do(0, func(p *fakePartition) {
				for _, e := range p.events {
					var a rules.Alert
					if json.Unmarshal(e.Data, &a) == nil {
						out = append(out, a.State)
					}
				}
			})
			return out
		}
		if got := states(); len(got) != 0 {
			t.Errorf("before its time: %v", got)
		}
		r.bus.steal(0)
		r.pass(2 * time.Second)
		r.pass(settleTime)
		if got := states(); !slices.Equal(got, []rules.AlertState{rules.Raised}) {
			t.Errorf("after its time: %v", got)
		}
		book.use(t, `{"id":"in","when":{"type":"fence","fence":"depot","on":"inside"}}`)
		r.pass(5 * time.Second) // nothing comes, and the change is seen with a beat
		if got := states(); !slices.Equal(got, []rules.AlertState{rules.Raised, rules.Cleared, rules.Raised}) {
			t.Errorf("with other rules: %v", got)
		}
		r.bus.do(0, func(p *fakePartition) { p.failPublish = 40 })
		for i := range 2 * maxPendingEvents {
			r.bus.append(bus.Entry{Device: device, Fleet: fleet, Kind: bus.KindReading, Reading: &devices.Reading{Measures: at(48+float64(i%2), 2), Metrics: numbers("n", i)}})
		}
		r.pass(5 * time.Minute)
		if got := states(); len(got) != 2*maxPendingEvents+2 { // of 2,048 readings the first finds it inside
			t.Errorf("%d steps after an outage", len(got))
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
}
