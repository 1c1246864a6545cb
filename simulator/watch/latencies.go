package watch

import (
	"runtime"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

// maxHistograms bounds the histograms over which the viewers of a transport are dealt, 150 kB each.
const maxHistograms = 8

// latencies are the histograms of viewers that read as fast as they can, several for each transport: whose lock a viewer waits for, it
// shares with few.
type latencies struct {
	dealt      int  // of each transport that is in use
	mixed      bool // the group has others than SSE, be they another process's viewers
	transports [overWebSocket + 1][]*measure.Histogram
}

func newLatencies(o *Options) *latencies {
	return &latencies{dealt: min(o.Viewers, maxHistograms, 2*runtime.GOMAXPROCS(0)), mixed: o.WebSocketShare+o.HTTP2Share+o.HTTP2OwnShare > 0}
}

// of returns the histogram of a viewer.
func (l *latencies) of(t transport, viewer int) *measure.Histogram {
	for len(l.transports[t]) < l.dealt {
		l.transports[t] = append(l.transports[t], measure.NewHistogram())
	}
	return l.transports[t][viewer%l.dealt]
}

// all are the histograms of every transport.
func (l *latencies) all() (out []*measure.Histogram) {
	for _, some := range l.transports {
		out = append(out, some...)
	}
	return out
}

// byTransport are those of each transport in use, by its name; none where all viewers listen over SSE.
func (l *latencies) byTransport() map[string][]*measure.Histogram {
	if !l.mixed {
		return nil
	}
	out := map[string][]*measure.Histogram{}
	for t, some := range l.transports {
		if len(some) > 0 {
			out[transport(t).String()] = some
		}
	}
	return out
}

// sums are their percentiles.
func (l *latencies) sums() map[string]measure.Percentiles {
	var out map[string]measure.Percentiles
	for name, some := range l.byTransport() {
		if out == nil {
			out = map[string]measure.Percentiles{}
		}
		out[name] = measure.Sum(some...)
	}
	return out
}

// ofTransport is the name of a latency in a report.
func ofTransport(name string) string { return "fresh_" + name }
