package bridge

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// running is a bridge that runs over a fake bus in a bubble of fake time.
type running struct {
	t      *testing.T
	bus    *fakeBus
	bridge *Bridge
	stop   func() error
	start  time.Time
}

// inBubble runs f with a bridge that owns its partitions, at a multiple of the window.
func inBubble(t *testing.T, partitions int, change func(o *Options, b *fakeBus), f func(r *running)) {
	synctest.Test(t, func(t *testing.T) {
		r := &running{t: t, bus: newFakeBus(partitions), start: time.Now()}
		o := Options{Bus: r.bus}
		if change != nil {
			change(&o, r.bus)
		}
		r.run(o)
		synctest.Wait()
		f(r)
		if err := r.stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func (r *running) run(o Options) {
	r.t.Helper()
	b, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	r.bridge = b
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
}

// pass lets fake time go on.
func (r *running) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (r *running) reading(device string, m devices.Measures) {
	r.bus.append(bus.Entry{
		Kind: bus.KindReading, Device: deviceID(r.t, device), Fleet: fleetID(r.t, "north"), Reading: &devices.Reading{Measures: m},
	})
}

func (r *running) connection(up bool) {
	r.bus.append(bus.Entry{
		Kind: bus.KindConnection, Device: deviceID(r.t, "d1"), Fleet: fleetID(r.t, "north"), Connection: bus.Connection{Door: 1, Conn: 1, Up: up},
	})
}

// flushes are the publishes of partition 0 so far, as "milliseconds since the start: changes".
func (r *running) flushes() []string {
	var out []string
	r.bus.do(0, func(p *fakePartition) {
		for _, f := range p.flushes {
			out = append(out, fmt.Sprintf("%d:%d", f.at.Sub(r.start).Milliseconds(), f.changes))
		}
	})
	return out
}

func (r *running) wantFlushes(want ...string) {
	r.t.Helper()
	if got := r.flushes(); fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("publishes %v, want %v", got, want)
	}
}

func (r *running) frame(device string) (frame string) {
	r.bus.do(0, func(p *fakePartition) { frame = p.frames[deviceKey{fleetID(r.t, "north"), deviceID(r.t, device)}] })
	return frame
}

func (r *running) wantCount(c reason, want uint64) {
	r.t.Helper()
	if got := r.bridge.Stats().Counts[c.String()]; got != want {
		r.t.Errorf("%v is counted %d times, want %d", c, got, want)
	}
}

func TestAnIdlePartitionIsQuietBetweenBeats(t *testing.T) {
	inBubble(t, 1, nil, func(r *running) {
		r.pass(3500 * time.Millisecond)
		r.wantFlushes("0:0", "1000:0", "2000:0", "3000:0")
		r.wantCount(countBeats, 4)
	})
}

func TestChangesWaitForTheNextMultipleOfTheWindow(t *testing.T) {
	inBubble(t, 1, nil, func(r *running) {
		r.pass(130 * time.Millisecond)
		r.reading("d1", at(1, 2))
		r.pass(20 * time.Millisecond)
		r.reading("d1", at(3, 4))
		r.reading("d2", at(3, 4))
		r.pass(1060 * time.Millisecond) // at 1210
		r.wantFlushes("0:0", "200:2", "1200:0")
		r.reading("d2", at(5, 6))
		r.pass(800 * time.Millisecond)
		r.wantFlushes("0:0", "200:2", "1200:0", "1300:1")
		r.wantCount(countAssets, 3)
	})
}

func TestAFlushNeverComesLaterThanAWindowUnderLoad(t *testing.T) {
	inBubble(t, 1, nil, func(r *running) {
		for i := range 50 {
			r.reading(fmt.Sprintf("d%d", i), at(1, 2))
			r.pass(7 * time.Millisecond)
		}
		r.wantFlushes("0:0", "100:15", "200:14", "300:14")
	})
}

func TestWindowsThatDoNotDivideASecondBeatInTime(t *testing.T) {
	inBubble(t, 1, func(o *Options, _ *fakeBus) { o.Window = 300 * time.Millisecond }, func(r *running) {
		r.pass(3 * time.Second)
		var last time.Time
		r.bus.do(0, func(p *fakePartition) {
			for _, f := range p.flushes[1:] {
				if !last.IsZero() && f.at.Sub(last) > time.Second {
					t.Errorf("silence for %v", f.at.Sub(last))
				}
				last = f.at
			}
			if len(p.flushes) > 5 {
				t.Errorf("%d beats in three seconds", len(p.flushes))
			}
		})
	})
}

func TestDroppedEntriesLeaveTheInlet(t *testing.T) {
	inBubble(t, 1, nil, func(r *running) {
		r.pass(50 * time.Millisecond)
		r.bus.append(bus.Entry{Kind: 99, Device: deviceID(t, "d1"), Fleet: fleetID(t, "north")})
		r.pass(60 * time.Millisecond)
		r.wantFlushes("0:0", "100:0")
		r.bus.do(0, func(p *fakePartition) {
			if p.consumed != 1 {
				t.Errorf("consumed %d, want 1", p.consumed)
			}
		})
	})
}

func TestAFailedPublishIsTriedAgainWithEverythingThatCameMeanwhile(t *testing.T) {
	inBubble(t, 1, nil, func(r *running) {
		r.pass(10 * time.Millisecond)
		r.bus.do(0, func(p *fakePartition) { p.failPublish = 3 })
		r.reading("d1", at(1, 2))
		r.pass(150 * time.Millisecond)
		r.reading("d1", at(3, 4))
		r.reading("d2", at(5, 6))
		r.pass(2 * time.Second)
		// The tries are at 100, 200, 400 and 800 ms.
		r.wantFlushes("0:0", "800:2", "1800:0")
		r.wantCount(reasonPublishError, 3)
		r.wantCount(countReadings, 3)
		want := `{"id":"d1","fleet":"north","status":"online","at":946684800160,"received":946684800160,"lat":3,"lon":4}`
		if got := r.frame("d1"); got != want {
			t.Errorf("frame %s, want %s", got, want)
		}
	})
}

func TestTheBackOffOfPublishesIsBounded(t *testing.T) {
	inBubble(t, 1, func(_ *Options, b *fakeBus) { b.partitions[0].failPublish = 1000 }, func(r *running) {
		r.pass(time.Minute)
		r.bus.do(0, func(p *fakePartition) {
			p.failPublish = 0
			if n := len(p.tries); n < 12 || n > 20 {
				t.Errorf("%d tries in a minute", n)
			}
			if last := p.tries[len(p.tries)-1]; time.Since(last) > lastBackOff {
				t.Errorf("no try for %v", time.Since(last))
			}
		})
	})
}

func TestAPublishThatFailedButWasCommittedDoesNoHarm(t *testing.T) {
	inBubble(t, 1, nil, func(r *running) {
		r.pass(10 * time.Millisecond)
		r.bus.do(0, func(p *fakePartition) { p.failPublish, p.commitLost = 1, true })
		r.reading("d1", at(1, 2))
		r.pass(500 * time.Millisecond)
		r.wantFlushes("0:0", "100:1", "200:1")
	})
}

func TestALostLeaseIsOwnedAgainFromScratch(t *testing.T) {
	inBubble(t, 1, nil, func(r *running) {
		r.pass(10 * time.Millisecond)
		r.reading("d1", at(1, 2))
		r.pass(200 * time.Millisecond)
		r.reading("d1", speed(3)) // read and applied, never published by this owner
		r.bus.steal(0)
		r.pass(time.Second)
		want := `{"id":"d1","fleet":"north","status":"online","at":946684800010,"received":946684800210,"lat":1,"lon":2,"speed":3}`
		if got := r.frame("d1"); got != want {
			t.Errorf("frame %s, want %s", got, want)
		}
		r.wantCount(reasonLost, 1)
		r.wantCount(countOwned, 2)
		if s := r.bridge.Stats(); s.Owned != 1 || s.Devices != 1 || !r.bridge.Ready() {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestABusThatRefusesToBeReadOrOwnedIsTriedAgain(t *testing.T) {
	inBubble(t, 1, func(_ *Options, b *fakeBus) { b.partitions[0].failOwn, b.partitions[0].failRead = 2, 2 }, func(r *running) {
		if r.bridge.Ready() {
			t.Error("the bridge is ready and owns nothing")
		}
		r.pass(50 * time.Millisecond)
		r.reading("d1", at(1, 2))
		r.pass(2 * time.Second)
		if r.frame("d1") == "" {
			t.Error("the reading did not come through")
		}
		r.wantCount(reasonOwnError, 2)
		r.wantCount(reasonReadError, 2)
	})
}

// A newer release that owned the partition before may own it again; until then nobody touches what it wrote.
func TestAPartitionThatANewerReleaseWroteIsGivenUpAndLeftAsItIs(t *testing.T) {
	key := deviceKey{fleetID(t, "north"), deviceID(t, "d1")}
	newer := bus.Record{Device: key.device, Fleet: key.fleet, Data: []byte{recordNewest + 1, 7}}
	inBubble(t, 1, func(_ *Options, b *fakeBus) { b.partitions[0].state[key] = newer }, func(r *running) {
		r.reading("d1", at(1, 2))
		r.pass(20 * time.Second)
		tries := 0
		r.bus.do(0, func(p *fakePartition) {
			if tries = p.owned; tries < 3 || p.released != tries || len(p.flushes) != 0 || !reflect.DeepEqual(p.state[key], newer) {
				t.Errorf("owned %d times, released %d, %d flushes, the record is %+v", p.owned, p.released, len(p.flushes), p.state[key])
			}
		})
		if s := r.bridge.Stats(); s.Owned != 0 || r.bridge.Ready() {
			t.Errorf("stats %+v", s)
		}
		r.wantCount(reasonOwnError, uint64(tries))
		r.wantCount(reasonBadRecord, 0)
		r.bus.do(0, func(p *fakePartition) { delete(p.state, key) }) // the newer one came, and took it back
		r.pass(10 * time.Second)
		if r.frame("d1") == "" {
			t.Error("the reading did not come through")
		}
	})
}

func TestADeviceGoesOfflineAfterTheGrace(t *testing.T) {
	inBubble(t, 1, nil, func(r *running) {
		r.connection(true)
		r.pass(150 * time.Millisecond)
		r.connection(false)
		r.pass(5 * time.Second) // at 5150; the grace ends at 5150, the window at 5200
		if got := r.frame("d1"); got != `{"id":"d1","fleet":"north","status":"online","received":946684800000}` {
			t.Errorf("within the grace: %s", got)
		}
		r.pass(60 * time.Millisecond)
		if got := r.frame("d1"); got != `{"id":"d1","fleet":"north","status":"offline","received":946684800000}` {
			t.Errorf("after the grace: %s", got)
		}
	})
}

func TestTheGraceOutlivesItsOwner(t *testing.T) {
	inBubble(t, 1, nil, func(r *running) {
		r.connection(true)
		r.pass(150 * time.Millisecond)
		r.connection(false)
		r.pass(time.Second)
		r.bus.steal(0)
		r.pass(6500 * time.Millisecond)
		if got := r.frame("d1"); got != `{"id":"d1","fleet":"north","status":"offline","received":946684800000}` {
			t.Errorf("the next owner left the device %s", got)
		}
	})
}

func TestStoppingPublishesWhatWasAppliedAndReleases(t *testing.T) {
	inBubble(t, 3, nil, func(r *running) {
		r.pass(10 * time.Millisecond)
		r.bus.append(bus.Entry{
			Kind: bus.KindReading, Device: deviceID(t, "d1"), Fleet: fleetID(t, "north"), Reading: &devices.Reading{Measures: at(1, 2)},
		})
		synctest.Wait()
		before := time.Now()
		if err := r.stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if d := time.Since(before); d != 0 {
			t.Errorf("stopping took %v of fake time", d)
		}
		frames := 0
		for i := range 3 {
			r.bus.do(i, func(p *fakePartition) {
				frames += len(p.frames)
				if p.released != 1 || p.owner != nil {
					t.Errorf("partition %d was released %d times", i, p.released)
				}
			})
		}
		if frames != 1 {
			t.Errorf("%d frames were published, want 1", frames)
		}
		if s := r.bridge.Stats(); s.Owned != 0 || r.bridge.Ready() {
			t.Errorf("stats after the end: %+v", s)
		}
	})
}

func TestStoppingIsBoundedWhereTheBusHangs(t *testing.T) {
	inBubble(t, 2, nil, func(r *running) {
		r.pass(10 * time.Millisecond)
		for i := range 2 {
			r.bus.do(i, func(p *fakePartition) { p.hang = true })
		}
		r.reading("d1", at(1, 2))
		r.pass(2 * time.Second) // in the middle of a publish
		before := time.Now()
		if err := r.stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if d := time.Since(before); d != DefaultStopTimeout {
			t.Errorf("stopping took %v, want %v", d, DefaultStopTimeout)
		}
	})
}

func TestTwoBridgesHandOver(t *testing.T) {
	inBubble(t, 1, nil, func(first *running) {
		second := &running{t: first.t, bus: first.bus, start: first.start}
		second.run(Options{Bus: first.bus})
		first.pass(10 * time.Millisecond)
		first.reading("d1", at(1, 2))
		synctest.Wait()
		if first.bridge.Stats().Owned != 1 || second.bridge.Stats().Owned != 0 {
			t.Error("not the first bridge owns the partition")
		}
		if err := first.stop(); err != nil {
			t.Error(err)
		}
		first.reading("d1", speed(3))
		second.pass(200 * time.Millisecond)
		want := `{"id":"d1","fleet":"north","status":"online","at":946684800010,"received":946684800010,"lat":1,"lon":2,"speed":3}`
		if got := second.frame("d1"); got != want {
			t.Errorf("frame %s, want %s", got, want)
		}
		if err := second.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAllPartitionsAreOwnedByTheInMemoryBusToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, err := bus.NewMemory(bus.MemoryOptions{Partitions: 3})
		if err != nil {
			t.Fatal(err)
		}
		r := &running{t: t, start: time.Now()}
		r.run(Options{Bus: memory})
		feed, err := memory.Watch(t.Context(), fleetID(t, "north").Partition(3))
		if err != nil {
			t.Fatal(err)
		}
		defer feed.Close()
		if _, err := feed.Next(t.Context()); err != nil { // the snapshot
			t.Fatal(err)
		}
		err = memory.Append(t.Context(), bus.Append{Door: 1, Seq: 1, Entries: []bus.Entry{{
			Kind: bus.KindReading, Device: deviceID(t, "d1"), Fleet: fleetID(t, "north"), Reading: &devices.Reading{Measures: at(1, 2)},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		var batch *bus.Batch
		for batch == nil || batch.IsBeat() {
			update, err := feed.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			batch = update.Batch
		}
		want := `{"id":"d1","fleet":"north","status":"online","at":946684800000,"received":946684800000,"lat":1,"lon":2}`
		if got := string(batch.Changes[0].Frame); got != want || batch.Position.Offset != 1 {
			t.Errorf("batch at %v with %s, want %s", batch.Position, got, want)
		}
		if !r.bridge.Ready() {
			t.Error("not every partition is owned")
		}
		if err := memory.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait() // nobody stops the bridge: it has nothing to own any more
		if err := r.stop(); err == nil {
			t.Error("Run returned nil though the bus was closed under it")
		}
	})
}

func TestRunRunsOnce(t *testing.T) {
	inBubble(t, 1, nil, func(r *running) {
		if err := r.bridge.Run(r.t.Context()); err == nil {
			t.Error("the second Run returned nil")
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	fake := newFakeBus(1)
	for name, o := range map[string]Options{
		"no bus":        {},
		"long window":   {Bus: fake, Window: 2 * time.Second},
		"short window":  {Bus: fake, Window: time.Microsecond},
		"stop timeout":  {Bus: fake, StopTimeout: -1},
		"limit of none": {Bus: fake, MaxDevices: -1},
	} {
		if _, err := New(o); devices.KindOf(err) != devices.Invalid {
			t.Errorf("%s: New returns %v", name, err)
		}
	}
	b, err := New(Options{Bus: fake, OfflineGrace: -1})
	if err != nil || b.opts.OfflineGrace != 0 || b.opts.Window != DefaultWindow || b.opts.MaxDevices != DefaultMaxDevices {
		t.Errorf("options became %+v, %v", b.opts, err)
	}
	if counts := b.Stats().Counts; len(counts) != int(reasonCount) {
		t.Errorf("%d of %d counts have a name of their own", len(counts), reasonCount)
	}
}

func TestAPartitionThatIsWantedElsewhereIsPublishedAndGivenBack(t *testing.T) {
	inBubble(t, 1, nil, func(r *running) {
		r.pass(150 * time.Millisecond)
		r.reading("d1", at(1, 2))
		synctest.Wait()
		r.bus.do(0, func(p *fakePartition) {
			if p.frames[deviceKey{fleetID(t, "north"), deviceID(t, "d1")}] != "" {
				t.Error("the window is over already")
			}
			close(p.owner.wanted)
		})
		synctest.Wait()
		if r.frame("d1") == "" {
			t.Error("what was applied was not published at once")
		}
		r.bus.do(0, func(p *fakePartition) {
			if p.released != 1 || p.owned != 2 { // here nobody else wants it
				t.Errorf("owned %d times, released %d", p.owned, p.released)
			}
		})
		r.wantCount(countGiven, 1)
		r.wantCount(reasonOwnError, 0)
		r.reading("d1", at(3, 4))
		r.pass(time.Second)
		if s := r.bridge.Stats(); s.Owned != 1 || s.Devices != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}
