package play

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/report"
)

// Of the scenarios below: all devices, and all viewers.
const (
	allCars  = 10
	allDesks = 4
)

// behind are the processes with roles of their own around a Redis, each of them behind a network that may be bad: {line} is
// before the broker, {bus} before Redis for all three, and {web} before the edge.
const behind = `
name: behind
about: a test's
for: %s
start:
  - name: redis
    run: redis-server
    args: [--port, "{port}", --bind, 127.0.0.1, --dir, "{dir}", --save, "", --appendonly, "yes", --appendfsync, always]
  - { name: bus, proxy: "{redis}" }
  - { name: door, gateway: ["--roles=broker", "--redis=redis://{bus}"] }
  - { name: bridge, gateway: ["--roles=bridge", "--redis=redis://{bus}"] }
  - { name: gateway, gateway: ["--roles=edge", "--redis=redis://{bus}"] }
  - { name: line, proxy: "{door.mqtt}" }
  - { name: web, proxy: "{gateway.http}" }
devices: [{ name: cars, mqtt: "{line}", count: 10, rate: 4/s, qos: 1, keepalive: 3s, noise: 4 }]
viewers: [{ name: desk, url: "http://{web}", count: 4, silence: 2s }]
ledger: { mqtt: ["{line}"], urls: ["http://{web}"], devices: 5, viewers: 4, rate: 4/s, websocket_share: 50%%, silence: 2s }
thresholds: [violations==0, silent_loss==0, breaches==0, live_share==1]
faults:
`

// window are the samples of a second each from the begin of a fault to that of the next.
type window []report.Sample

func (w window) has(holds func(*report.Sample) bool) bool {
	for i := range w {
		if holds(&w[i]) {
			return true
		}
	}
	return false
}

// Effects that a fault may have. Those of latency are what the way takes at the least, whatever the machine does: there and back
// again for a PUBACK, and once for what a viewer is told.
func acksWait(s *report.Sample) bool    { return s.Ack99 >= 1200 }
func viewsWait(s *report.Sample) bool   { return s.Fresh50 >= 600 }
func devicesLost(s *report.Sample) bool { return s.Connected < allCars }
func viewersLost(s *report.Sample) bool { return s.Live < allDesks }
func nothingKept(s *report.Sample) bool { return s.Acked == 0 }
func nothingTold(s *report.Sample) bool { return s.Updates == 0 }
func allIsWell(s *report.Sample) bool {
	return s.Connected == allCars && s.Live == allDesks && s.Acked > 0 && s.Updates > 0
}

// faulty is a row: what is done, how long the next one waits, and what is seen of it.
type faulty struct {
	of, does string
	slot     time.Duration
	effect   func(*report.Sample) bool // in some second until the next; nil: it is cut, and comes back
}

// playFaults makes faults one after the other around one set of processes, and looks whether each of them had its effect and was
// got over.
func playFaults(t *testing.T, text string, rows []faulty) *report.Report {
	t.Helper()
	at := 3 * time.Second
	var faults strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&faults, "  - { at: %v, of: %s, %s }\n", at, row.of, row.does)
		at += row.slot
	}
	s := parse(t, fmt.Sprintf(text, at)+faults.String())
	needPrograms(t, s)
	r, err := run(t, s, false)
	if err != nil || r == nil {
		t.Fatal(err)
	}
	began := begins(r, rows)
	if len(began) != len(rows) {
		t.Fatalf("%d faults began, of %d: %+v", len(began), len(rows), r.Events)
	}
	for i, row := range rows {
		next := r.Seconds
		if i+1 < len(rows) {
			next = began[i+1]
		}
		var w, rest window
		for _, sample := range r.Series {
			if sample.At > began[i] && sample.At <= math.Ceil(next) { // the second in which it began is a part of it
				w = append(w, sample)
			}
			if sample.At > began[i]+1 { // a busy machine may need longer than the slot
				rest = append(rest, sample)
			}
		}
		if row.effect != nil && !w.has(row.effect) {
			t.Errorf("%s of %s had no effect: %+v", row.does, row.of, w)
		}
		if !rest.has(allIsWell) {
			t.Errorf("%s of %s was not got over: %+v", row.does, row.of, rest)
		}
	}
	return r
}

// begins are the moments at which the faults began, in their order.
func begins(r *report.Report, rows []faulty) (all []float64) {
	for _, e := range r.Events {
		if i := len(all); i < len(rows) && strings.Contains(e.Name, rows[i].of) && !strings.Contains(e.Name, "as before") && !strings.Contains(e.Name, "again") {
			all = append(all, e.At)
		}
	}
	return all
}

func TestEveryFaultOfEveryNetworkHasItsEffect(t *testing.T) {
	t.Parallel()
	const short, long = 5 * time.Second, 10 * time.Second // a viewer that noticed waits for the time that the edge asked for
	r := playFaults(t, behind, []faulty{
		{"line", "do: slow, latency: 600ms, for: 3s", short, acksWait},
		{"bus", "do: slow, latency: 600ms, for: 3s", short, acksWait},
		{"web", "do: slow, latency: 600ms, for: 3s", short, viewsWait},
		{"line", "do: slow, bandwidth: 400B/s, for: 3s", short, acksWait},
		{"bus", "do: slow, bandwidth: 500B/s, for: 4s", long, nothingKept},
		{"web", "do: slow, bandwidth: 2kB/s, for: 3s", long, viewsWait},
		{"line", "do: cut", short, nil},
		{"bus", "do: cut", short, nil},
		{"web", "do: cut", short, nil},
		{"line", "do: black-hole, for: 5s", long, devicesLost},
		{"bus", "do: black-hole, for: 4s", long, nothingKept},
		{"web", "do: black-hole, for: 4s", long, viewersLost},
	})
	for _, p := range r.Proxies {
		// Who was cut came again: that many were there, and that many more were made at the least.
		if p.Cut == 0 || p.Accepted < 2*p.Cut {
			t.Errorf("%+v", p)
		}
	}
	if len(r.Proxies) != 3 || r.Viewers[0].Silent == 0 || r.Values["lost_connections"] < allCars || r.Values["broken_streams"] < allDesks {
		t.Errorf("%+v, %d silent streams, %v", r.Proxies, r.Viewers[0].Silent, r.Values)
	}
}

func TestEveryProcessIsKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	const slot = 10 * time.Second
	t.Run("one process", func(t *testing.T) {
		t.Parallel()
		playFaults(t, `
name: one
about: a test's
for: %s
start: [{ name: gateway, gateway: [] }]
devices: [{ name: cars, count: 10, rate: 4/s, qos: 1 }]
viewers: [{ name: desk, count: 4 }]
ledger: { devices: 5, viewers: 4, rate: 4/s, websocket_share: 50%% }
thresholds: [violations==0, silent_loss==0, breaches==0, live_share==1]
faults:
`, []faulty{{"gateway", "do: kill, for: 1s", slot, devicesLost}, {"gateway", "do: end, for: 1s", slot, viewersLost}})
	})
	t.Run("roles and Redis", func(t *testing.T) {
		t.Parallel()
		playFaults(t, behind, []faulty{
			{"redis", "do: kill, for: 2s", slot, nothingKept},
			{"door", "do: kill, for: 1s", slot, devicesLost},
			{"bridge", "do: kill, for: 2s", 2 * slot, nothingTold},
			{"gateway", "do: kill, for: 1s", slot, viewersLost},
		})
	})
}
