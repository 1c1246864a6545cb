package bridge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
)

// modelOf is the plainest form of two of the rules, for readings in order.
func modelOf(speeds []float64, fuels []float64, gap int64) (out []string) {
	fast, low, since := false, false, int64(-1)
	for i := range speeds {
		at := int64(i+1) * gap
		if is := speeds[i] > 20; is != fast {
			fast = is
			out = append(out, fmt.Sprintf("%s fast at %d", map[bool]rules.AlertState{true: rules.Raised, false: rules.Cleared}[is], at))
		}
		switch isLow := fuels[i] < 10; {
		case !isLow && low:
			out, low, since = append(out, fmt.Sprintf("cleared fuel at %d", at)), false, -1
		case !isLow:
			since = -1
		case since < 0:
			since = at
		case !low && at-since >= 30:
			out, low = append(out, fmt.Sprintf("raised fuel at %d", at)), true
		}
	}
	return out
}

// eventStore is a store that also keeps the log of events.
type eventStore struct {
	*store
	events []bus.Event
}

func (s *eventStore) owner(t fataler, book *rulebook) *ruled {
	r := &ruled{newRigOf(t, strict()), book}
	r.opts.Rules = book
	r.refreshSet()
	r.load(func(yield func(bus.Record) bool) {
		for _, rec := range s.records {
			if !yield(rec) {
				return
			}
		}
	})
	return r
}

func (s *eventStore) flush(r *ruled) {
	s.events = append(s.events, r.makeFlush(0).Events...)
	s.store.flush(r.rig)
}

// Whatever owners die when, the log of events says what the plainest model says, each step once.
func TestOwnersThatDieTellEachAlertOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const gap = 7
		n := rapid.IntRange(1, 40).Draw(t, "readings")
		speeds := rapid.SliceOfN(rapid.SampledFrom([]float64{1, 19, 21, 50}), n, n).Draw(t, "speeds")
		fuels := rapid.SliceOfN(rapid.SampledFrom([]float64{1, 9, 11}), n, n).Draw(t, "fuels")
		book := &rulebook{}
		book.use(t, fastRule, slowRule)
		s := &eventStore{store: newStore()}
		r := s.owner(t, book)
		for i, deaths := 0, 0; i < n; i++ {
			e := bus.Entry{ID: bus.EntryID(i + 1), Time: noon + int64(i+1)*gap*second, Device: deviceID(t, "truck-17"), Fleet: fleetID(t, "north"), Kind: bus.KindReading}
			e.Reading = &devices.Reading{At: e.Time, Measures: devices.Measures{Has: devices.FieldSpeed, Speed: speeds[i]}, Metrics: numbers("fuel", fuels[i])}
			r.apply(&e, 0)
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				s.flush(r)
			case 1:
				if deaths++; deaths < 6 {
					r = s.owner(t, book)
					i = int(s.consumed) - 1
				}
			}
		}
		s.flush(r)
		if got, want := stepsOf(s.events), modelOf(speeds, fuels, gap); !slices.Equal(got, want) {
			t.Fatalf("events are\n%v, want\n%v", got, want)
		}
	})
}

// The same with everything that devices and people do, byte for byte with an owner that lives.
func TestOwnersThatDieTellWhatOneThatLivesTells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
		entries := history(t, draw, 20+draw(80))
		book := &rulebook{}
		book.use(t, `{"id":"fast","when":{"type":"threshold","field":"speed","above":4,"hysteresis":1}}`, `{"id":"m1","for_s":3,"when":{"type":"threshold","field":"metrics.m1","below":3}}`,
			`{"id":"gone","for_s":2,"when":{"type":"offline"}}`, `{"id":"x","when":{"type":"expression","expression":"battery < 30 and metrics.m2 == true"}}`,
			`{"id":"out","for_s":4,"when":{"type":"fence","fence":"depot","on":"outside"}}`)
		run := func(die bool) *eventStore {
			s := &eventStore{store: newStore()}
			r := s.owner(t, book)
			for i, deaths := 0, 0; i < len(entries); i++ {
				r.apply(&entries[i], 0)
				if !die {
					continue
				}
				switch draw(16) {
				case 0:
					s.flush(r)
				case 1:
					if deaths++; deaths <= 5 {
						r = s.owner(t, book)
						i = int(s.consumed) - 1
					}
				}
			}
			s.flush(r)
			return s
		}
		want, got := run(false), run(true)
		got.wantEqual(t, want.store)
		sorted := func(events []bus.Event) (out []string) {
			for _, e := range events {
				out = append(out, string(e.Data))
			}
			slices.Sort(out)
			return out
		}
		if g, w := sorted(got.events), sorted(want.events); !slices.Equal(g, w) {
			t.Fatalf("events are\n%s, want\n%s", strings.Join(g, "\n"), strings.Join(w, "\n"))
		}
	})
}

func BenchmarkJudgeReading(b *testing.B) {
	for _, c := range []struct {
		name          string
		rules, fences int
	}{{"without rules", 0, 0}, {"1 rule", 1, 0}, {"10 rules", 10, 0}, {"64 rules", 64, 0}, {"10 rules of 1000 fences", 10, 1000}} {
		b.Run(c.name, func(b *testing.B) {
			r := newRig(b)
			var all []rules.Rule
			var fences []rules.Fence
			random := rand.New(rand.NewPCG(1, 2))
			for i := range c.fences {
				fences = append(fences, rules.Fence{ID: fmt.Sprint("f", i), Geometry: rules.Geometry{Type: rules.Circle, Center: []float64{2 + random.Float64(), 48 + random.Float64()}, Radius: 5000}})
			}
			for i := range c.rules {
				rule := rules.Rule{ID: fmt.Sprintf("r%02d", i), Severity: rules.Info, When: rules.Condition{Type: rules.Threshold, Field: "speed", Above: new(float64)}}
				*rule.When.Above = 1000
				if c.fences > 0 {
					rule.When = rules.Condition{Type: rules.InFence, Fence: fmt.Sprint("f", i*97), On: rules.Enter}
				}
				all = append(all, rule)
			}
			set, faults := rules.Compile(all, fences)
			if len(faults) > 0 {
				b.Fatal(faults)
			}
			book := &rulebook{}
			book.set.Store(set)
			if c.rules > 0 {
				r.opts.Rules = book
				r.refreshSet()
			}
			reading := devices.Reading{Measures: at(48.5, 2.5)}
			reading.Has |= devices.FieldSpeed
			e := r.entry(bus.Entry{Kind: bus.KindReading, Reading: &reading})
			b.ReportAllocs()
			for b.Loop() {
				e.ID++
				e.Time += 1000
				reading.Lat = 48.5 + float64(e.ID%100)*0.0001
				r.apply(e, 0)
			}
		})
	}
}
