package bridge

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// Whatever the order in which readings arrive, each field has the value of the greatest effective time, and of the last
// to arrive among equals.
func TestEachFieldHasItsNewestValueInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t)
		type held struct {
			at    int64
			value float64
			ok    bool
		}
		model := make(map[string]held)
		put := func(name string, at int64, value float64, ok bool) {
			if old, known := model[name]; !known || at >= old.at {
				model[name] = held{at, value, ok}
			}
		}
		for i := range rapid.IntRange(1, 40).Draw(t, "readings") {
			r.time += rapid.Int64Range(0, 3).Draw(t, "gap") * second
			claimed := rapid.SampledFrom([]int64{0, 1, r.time, r.time + hour, r.time + 40*day}).Draw(t, "kind of time")
			if claimed == r.time {
				claimed -= rapid.Int64Range(0, 10).Draw(t, "age") * second
			}
			effective := r.time
			if claimed > 1 && claimed <= r.time {
				effective = claimed
			}
			value := float64(i)
			reading := devices.Reading{At: claimed, Metrics: numbers("unique", value)}
			for field, set := range map[devices.Fields]func(){
				devices.FieldSpeed:    func() { reading.Speed = value },
				devices.FieldBattery:  func() { reading.Battery = value },
				devices.FieldPosition: func() { reading.Lat, reading.Lon = value, value+1 },
			} {
				switch rapid.IntRange(0, 2).Draw(t, "field") {
				case 1:
					reading.Has |= field
					set()
					put(fmt.Sprint(field), effective, value, true)
				case 2:
					reading.Cleared |= field
					put(fmt.Sprint(field), effective, 0, false)
				}
			}
			for _, name := range []string{"a", "b"} {
				switch rapid.IntRange(0, 2).Draw(t, "metric") {
				case 1:
					reading.Metrics = append(reading.Metrics, numbers(name, value)...)
					put(name, effective, value, true)
				case 2:
					reading.Metrics = append(reading.Metrics, numbers(name, nil)...)
					put(name, effective, 0, false)
				}
			}
			r.read(reading)
		}
		d := r.truck()
		got := map[string]held{}
		for field, v := range map[devices.Fields]float64{
			devices.FieldSpeed: d.asset.Speed, devices.FieldBattery: d.asset.Battery, devices.FieldPosition: d.asset.Lat,
		} {
			got[fmt.Sprint(field)] = held{d.times[indexOf(field)], v, d.asset.Has.Has(field)}
		}
		for _, m := range d.metrics {
			got[m.name] = held{m.at, m.value.Num, m.isHeld()}
		}
		for name, want := range model {
			if got[name] != want {
				t.Fatalf("%s is %+v, want %+v", name, got[name], want)
			}
		}
		if d.asset.Received != r.time || d.assetTime() > d.asset.Received {
			t.Fatalf("received %d, at %d, want %d", d.asset.Received, d.assetTime(), r.time)
		}
	})
}

func indexOf(f devices.Fields) int { return int(math.Log2(float64(f))) }

// source draws the numbers of a random history: from rapid, which shrinks them, or from a seed.
type source func(n int) int

// history is a random inlet of few devices that do everything there is, at times that repeat and go back.
func history(t fataler, draw source, length int) []bus.Entry {
	var entries []bus.Entry
	now := noon
	for i := range length {
		now += int64(draw(4)) * 700
		e := bus.Entry{
			ID: bus.EntryID(i + 1), Time: now,
			Device: deviceID(t, fmt.Sprintf("d%d", draw(4))), Fleet: fleetID(t, []string{"north", "south"}[draw(8)/7]),
		}
		switch draw(10) {
		case 0:
			e.Kind = bus.KindRemoval
		case 1:
			e.Kind, e.Status = bus.KindStatus, bus.StatusReport{Status: devices.Status(1 + draw(2)), Retained: draw(3) == 0}
		case 2, 3, 4:
			e.Kind, e.Connection = bus.KindConnection, bus.Connection{Door: bus.DoorID(1 + draw(2)), Conn: uint64(draw(3)), Up: draw(2) == 0}
		default:
			e.Kind, e.Reading = bus.KindReading, randomReading(draw, now)
		}
		entries = append(entries, e)
	}
	return entries
}

func randomReading(draw source, now int64) *devices.Reading {
	r := &devices.Reading{}
	if draw(3) > 0 {
		r.At = now - int64(draw(12)-2)*second
	}
	r.Has = devices.Fields(draw(1 << 7))
	r.Cleared = devices.Fields(draw(4))
	r.Lat, r.Lon, r.Satellites = float64(draw(4)-1), float64(draw(4)-1), draw(2)
	r.Altitude, r.Speed, r.Heading, r.Accuracy, r.Battery = float64(draw(9)), float64(draw(9)-1), float64(draw(9)*45), float64(draw(9)), float64(draw(110))
	for range draw(4) {
		value := []any{float64(draw(5)), "text", true, nil, math.NaN()}[draw(5)]
		r.Metrics = append(r.Metrics, numbers(fmt.Sprintf("m%d", draw(5)), value)...)
	}
	return r
}

// store is what a bus keeps of a partition.
type store struct {
	records  map[deviceKey]bus.Record
	frames   map[deviceKey]string
	trails   map[deviceKey][][]byte
	consumed bus.EntryID
}

func newStore() *store {
	return &store{records: make(map[deviceKey]bus.Record), frames: make(map[deviceKey]string), trails: make(map[deviceKey][][]byte)}
}

func (s *store) commit(trails []bus.TrailBlock, changes []bus.Change) {
	for i := range trails {
		b := &trails[i]
		key := deviceKey{b.Fleet, b.Device}
		if s.trails[key] = append(s.trails[key], b.Data); len(b.Data) == 0 {
			delete(s.trails, key)
		}
	}
	for i := range changes {
		c := &changes[i]
		key := deviceKey{c.Fleet, c.Device}
		s.records[key] = bus.Record{Device: c.Device, Fleet: c.Fleet, Data: c.Record, Removed: c.Removed()}
		s.frames[key] = string(c.Frame)
		if c.Removed() {
			delete(s.trails, key)
		}
	}
}

// Trail makes a store what trails are read from.
func (s *store) Trail(_ context.Context, fleet devices.FleetID, device devices.DeviceID) (bus.Trail, error) {
	key := deviceKey{fleet, device}
	r, ok := s.records[key]
	if !ok || r.Removed {
		return bus.Trail{}, devices.Errorf(devices.NotFound, "", "there is no such asset")
	}
	return bus.Trail{Record: r.Data, Blocks: slices.Clone(s.trails[key])}, nil
}

// fixes are the trail of a device as people read it.
func (s *store) fixes(t fataler, key deviceKey) string {
	trails := &Trails{bus: s, now: func() time.Time { return time.UnixMilli(noon) }}
	fixes, err := trails.Trail(context.Background(), key.fleet, key.device, devices.TrailQuery{})
	if err != nil {
		return string(devices.KindOf(err).String())
	}
	return fmt.Sprint(fixes)
}

func (s *store) owner(t fataler) *rig {
	r := newRigOf(t, strict())
	r.load(maps.Values(s.records))
	return r
}

func (s *store) flush(r *rig) {
	f := r.makeFlush(0)
	s.commit(f.Trails, f.Changes)
	s.consumed = f.Consumed
	r.committed()
}

// finish ends a history: what is due goes offline.
func (s *store) finish(r *rig) {
	r.expireBefore(math.MaxInt64)
	s.flush(r)
}

func uninterrupted(t fataler, entries []bus.Entry) *store {
	s := newStore()
	r := s.owner(t)
	for i := range entries {
		r.apply(&entries[i], 0)
	}
	s.finish(r)
	return s
}

func (s *store) wantEqual(t *rapid.T, want *store) {
	t.Helper()
	for key, frame := range want.frames {
		if s.frames[key] != frame {
			t.Fatalf("the frame of %v is\n%s, want\n%s", key, s.frames[key], frame)
		}
		if got := s.records[key]; string(got.Data) != string(want.records[key].Data) || got.Removed != want.records[key].Removed {
			t.Fatalf("the record of %v is\n%x, want\n%x", key, got.Data, want.records[key].Data)
		}
		if got, want := s.fixes(t, key), want.fixes(t, key); got != want {
			t.Fatalf("the trail of %v is\n%s, want\n%s", key, got, want)
		}
	}
	for key := range s.frames {
		if _, ok := want.frames[key]; !ok {
			t.Fatalf("%v is there and should not be", key)
		}
	}
}

// Owners that die at any entry leave what one that lives would have left, byte for byte.
func TestOwnersThatDieLeaveNoTrace(t *testing.T) {
	ownersThatDie(t, false, func([]bus.Entry) {})
}

// The same with a bus that had committed a beginning of the last flush, as one does that commits a large flush in
// parts; but not for a device that changes its fleet within a flush, which needs the whole.
func TestOwnersThatDieInTheMiddleOfAFlushLeaveNoTrace(t *testing.T) {
	ownersThatDie(t, true, func(entries []bus.Entry) {
		for i := range entries {
			entries[i].Fleet = fleetID(t, "north")
		}
	})
}

func ownersThatDie(t *testing.T, inParts bool, change func([]bus.Entry)) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
		entries := history(t, draw, 20+draw(100))
		change(entries)
		want := uninterrupted(t, entries)
		s := newStore()
		r := s.owner(t)
		for i, deaths := 0, 0; i < len(entries); i++ {
			r.apply(&entries[i], 0)
			switch draw(16) {
			case 0:
				s.flush(r)
			case 1:
				if deaths++; deaths > 5 {
					continue
				}
				if f := r.makeFlush(0); inParts {
					s.commit(f.Trails, f.Changes[:draw(len(f.Changes)+1)])
				}
				r = s.owner(t)
				i = int(s.consumed) - 1
			}
		}
		s.finish(r)
		// A device that came and went between two flushes leaves a tombstone in any case; one that was replaced in its
		// place leaves none. So both have the same keys, too.
		s.wantEqual(t, want)
	})
}

// The same over the real loop: leases are stolen and publishes fail at random, and in the end the state is that of an
// undisturbed owner.
func TestAnInterruptedBridgeEndsWhereAnUndisturbedOneDoes(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			entries := history(t, random.IntN, 300)
			for i := range entries {
				entries[i].Time -= noon - time.Now().UnixMilli() // fake time begins in 2000
				if r := entries[i].Reading; r != nil {
					r.At = 0
				}
			}
			want := uninterrupted(t, entries)
			r := &running{t: t, bus: newFakeBus(1), start: time.Now()}
			r.run(Options{Bus: r.bus, Settings: &settings{all: strict()}})
			for i := range entries {
				r.bus.append(entries[i])
				switch random.IntN(12) {
				case 0:
					r.bus.steal(0)
				case 1:
					r.bus.do(0, func(p *fakePartition) { p.failPublish, p.commitLost = random.IntN(3), random.IntN(2) == 0 })
				case 2:
					r.bus.do(0, func(p *fakePartition) { p.failRead = random.IntN(2) })
				}
				r.pass(time.Duration(random.IntN(120)) * time.Millisecond)
			}
			r.pass(time.Minute)
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			r.bus.do(0, func(p *fakePartition) {
				if p.owned < 3 {
					t.Errorf("the partition was owned %d times; the test disturbs nothing", p.owned)
				}
				if fmt.Sprint(p.frames) != fmt.Sprint(want.frames) {
					t.Errorf("seed %d: frames\n%v, want\n%v", seed, p.frames, want.frames)
				}
			})
		})
	}
}
