package redisbus

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

var cpuLine = regexp.MustCompile(`used_cpu_(?:user|sys)_main_thread:([0-9.]+)`)

// cost is what a server has spent.
func cost(b testing.TB, s *server) (cpu float64) {
	b.Helper()
	for _, m := range cpuLine.FindAllStringSubmatch(fmt.Sprint(s.do(b, "INFO", "cpu")), -1) {
		seconds, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			b.Fatal(err)
		}
		cpu += seconds
	}
	return cpu
}

// evals is how many scripts the server was sent.
func evals(b testing.TB, s *server) int {
	b.Helper()
	sum := 0
	for _, m := range regexp.MustCompile(`cmdstat_evalsha:calls=([0-9]+)`).FindAllStringSubmatch(fmt.Sprint(s.do(b, "INFO", "commandstats")), -1) {
		n, _ := strconv.Atoi(m[1])
		sum += n
	}
	return sum
}

// load is what a partition hears in one window, and how its door sends it.
type load struct {
	devices  int // that speak
	readings int // of all of them together
	each     int // readings of an append: what a door gathers while its last one is under way
}

// BenchmarkRedis is windows of readings that are appended, read and published in one flush, with an edge that follows. It
// reports what one reading costs the server, and how many calls an append and a flush are.
func BenchmarkRedis(b *testing.B) {
	for _, l := range []load{
		{devices: 1000, readings: 1000, each: 100},   // nothing is coalesced
		{devices: 1000, readings: 10_000, each: 500}, // ten readings of a device become one change
		{devices: 100, readings: 10_000, each: 500},  // a hundred do
		{devices: 1000, readings: 1000, each: 1},     // each message is an append of its own
	} {
		b.Run(fmt.Sprintf("devices=%d/readings=%d/append=%d", l.devices, l.readings, l.each), func(b *testing.B) { benchmarkLoad(b, l) })
	}
}

func benchmarkLoad(b *testing.B, o load) {
	b.Helper()
	s := startServer(b)
	f := fleetIn(0, 1)
	entries, changes := o.entries(f), o.changes(f)
	store := open(b, s.url())
	v := watch(b, store, 0)
	l := own(b, store, 0)
	d := door(store)
	publish(b, l)
	cpu, scripts := cost(b, s), evals(b, s)
	var appending float64
	for b.Loop() {
		before := cost(b, s)
		for n := 0; n < len(entries); n += o.each {
			if err := d(b.Context(), entries[n:min(n+o.each, len(entries))]...); err != nil {
				b.Fatal(err)
			}
		}
		appending += cost(b, s) - before
		got := readAll(b, l, len(entries))
		at, err := l.Publish(b.Context(), &bus.Flush{Time: 1, Consumed: got[len(got)-1].ID, Changes: changes})
		if err != nil {
			b.Fatal(err)
		}
		v.until(b, at)
	}
	all := float64(b.N) * float64(len(entries))
	spent := cost(b, s) - cpu
	b.ReportMetric(spent*1e6/all, "redis-us/msg")
	b.ReportMetric(appending*1e6/all, "append-us/msg")
	b.ReportMetric((spent-appending)*1e6/all, "publish-us/msg")
	appends := float64(b.N * ((len(entries) + o.each - 1) / o.each))
	b.ReportMetric((float64(evals(b, s)-scripts)-appends)/float64(b.N), "calls/flush") // renewals of the lease are among them
	b.ReportMetric(all/b.Elapsed().Seconds(), "msg/s")
}

func (o *load) entries(f devices.FleetID) []bus.Entry {
	out := make([]bus.Entry, o.readings)
	for n := range out {
		r := &devices.Reading{Measures: devices.Measures{
			Has: devices.FieldPosition | devices.FieldSpeed | devices.FieldHeading, Lat: 48.85833, Lon: 2.29513, Speed: 16.9, Heading: 271,
		}, At: 1795353543237}
		out[n] = bus.Entry{Device: deviceN(n % o.devices), Fleet: f, Kind: bus.KindReading, Reading: r}
	}
	return out
}

func (o *load) changes(f devices.FleetID) []bus.Change {
	frame := fmt.Appendf(nil, `{"id":"device-17","fleet":"fleet-0","status":"online","at":1795353543237,"received":1795353543301,"lat":48.85833,"lon":2.29513,"speed":16.9,"heading":271,"metrics":{"fuel":41.5}}`)
	record := append([]byte(nil), frame[:120]...)
	out := make([]bus.Change, o.devices)
	for n := range out {
		out[n] = bus.Change{Device: deviceN(n), Fleet: f, Frame: frame, Record: record, Lat: 48.8, Lon: 2.3, HasPosition: true}
	}
	return out
}

func readAll(b *testing.B, l bus.Lease, want int) []bus.Entry {
	b.Helper()
	var all []bus.Entry
	for len(all) < want {
		got, err := l.Read(b.Context(), want-len(all))
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, got...)
	}
	return all
}

// BenchmarkStages is how long a message is under way at each step that Redis has a part in, without the wait of the
// owner's window: from the door until it is in the inlet, until its owner has read it, until the flush is committed, and
// until another process's edge has the batch. The budget for all of them is the door's 10 ms and the commit's 15.
func BenchmarkStages(b *testing.B) {
	s := startServer(b)
	f := fleetIn(0, 1)
	o := load{devices: 100, readings: 100, each: 100}
	entries, changes := o.entries(f), o.changes(f)
	doors := open(b, s.url())
	owners, edges := open(b, s.url(), sameStore(doors)), open(b, s.url(), sameStore(doors))
	l := own(b, owners, 0)
	v := watch(b, edges, 0)
	publish(b, l)
	d := door(doors)
	type heard struct {
		at  time.Time
		got []bus.Entry
		err error
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	read, seen := make(chan heard), make(chan heard)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() {
		for ctx.Err() == nil {
			got, err := l.Read(ctx, len(entries))
			select {
			case read <- heard{time.Now(), got, err}:
			case <-ctx.Done():
			}
		}
	})
	running.Go(func() {
		for ctx.Err() == nil {
			u, err := v.feed.Next(ctx)
			if err == nil && (u.Batch == nil || u.Batch.IsBeat()) {
				continue
			}
			select {
			case seen <- heard{at: time.Now(), err: err}:
			case <-ctx.Done():
			}
		}
	})
	var took [4][]time.Duration
	for b.Loop() {
		begin := time.Now()
		if err := d(ctx, entries...); err != nil {
			b.Fatal(err)
		}
		appended := time.Now()
		r := <-read
		if r.err != nil {
			b.Fatal(r.err)
		}
		decided := time.Now()
		if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Consumed: r.got[len(r.got)-1].ID, Changes: changes}); err != nil {
			b.Fatal(err)
		}
		committed := time.Now()
		e := <-seen
		if e.err != nil {
			b.Fatal(e.err)
		}
		for i, d := range []time.Duration{appended.Sub(begin), max(0, r.at.Sub(appended)), committed.Sub(decided), max(0, e.at.Sub(committed))} {
			took[i] = append(took[i], d)
		}
	}
	for i, name := range []string{"append", "read", "commit", "edge"} {
		slices.Sort(took[i])
		b.ReportMetric(float64(took[i][len(took[i])/2].Microseconds())/1000, name+"-p50-ms")
		b.ReportMetric(float64(took[i][len(took[i])*99/100].Microseconds())/1000, name+"-p99-ms")
	}
}
