package redisbus

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

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

// BenchmarkRedis is 10,000 readings in appends of 100, read and published in flushes of 1,000 changes, with an edge that
// follows. It reports what one reading costs the server.
func BenchmarkRedis(b *testing.B) {
	s := startServer(b)
	f := fleetIn(0, 1)
	const readings, each, flush = 10_000, 100, 1000
	entries := make([]bus.Entry, readings)
	for n := range entries {
		r := &devices.Reading{Measures: devices.Measures{
			Has: devices.FieldPosition | devices.FieldSpeed | devices.FieldHeading, Lat: 48.85833, Lon: 2.29513, Speed: 16.9, Heading: 271,
		}, At: 1795353543237}
		entries[n] = bus.Entry{Device: deviceN(n % flush), Fleet: f, Kind: bus.KindReading, Reading: r}
	}
	frame := fmt.Appendf(nil, `{"id":"device-17","fleet":"fleet-0","status":"online","at":1795353543237,"received":1795353543301,"lat":48.85833,"lon":2.29513,"speed":16.9,"heading":271,"metrics":{"fuel":41.5}}`)
	record := append([]byte(nil), frame[:120]...)
	changes := make([]bus.Change, flush)
	for n := range changes {
		changes[n] = bus.Change{Device: deviceN(n), Fleet: f, Frame: frame, Record: record, Lat: 48.8, Lon: 2.3, HasPosition: true}
	}
	store := open(b, s.url())
	v := watch(b, store, 0)
	l := own(b, store, 0)
	d := door(store)
	publish(b, l)
	cpu := cost(b, s)
	scripts := evals(b, s)
	var appended float64
	for b.Loop() {
		before := cost(b, s)
		for n := 0; n < readings; n += each {
			if err := d(b.Context(), entries[n:n+each]...); err != nil {
				b.Fatal(err)
			}
		}
		after := cost(b, s)
		appended += after - before
		for n := 0; n < readings; {
			got := readAll(b, l, flush)
			n += len(got)
			at, err := l.Publish(b.Context(), &bus.Flush{Time: 1, Consumed: got[len(got)-1].ID, Changes: changes})
			if err != nil {
				b.Fatal(err)
			}
			v.until(b, at)
		}
	}
	after := cost(b, s)
	all := float64(b.N) * readings
	b.ReportMetric((after-cpu)*1e6/all, "redis-us/msg")
	b.ReportMetric(appended*1e6/all, "append-us/msg")
	b.ReportMetric((after-cpu-appended)*1e6/all, "publish-us/msg")
	b.ReportMetric(float64(evals(b, s)-scripts)/(float64(b.N)*(readings/each+readings/flush)), "scripts/call")
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
