package watch

import (
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

// Merge is the report of several processes' parts of one group of viewers. Counts and rates are sums, the largest lag and
// the times the largest. How many devices were seen is no sum, since viewers of all parts see the same ones: it is the most
// that those of one part saw. Percentiles are no sum either: SetLatencies takes them from the histograms. Examples are left
// out.
func Merge(parts []Report) Report {
	out := parts[0]
	out.Transports, out.Examples = nil, nil
	var healths []measure.Health
	var addresses []string
	for i, p := range parts {
		healths = append(healths, p.Health)
		if !slices.Contains(addresses, p.URL) {
			addresses = append(addresses, p.URL)
		}
		measure.AddMap(&out.Transports, p.Transports)
		if i == 0 {
			continue
		}
		out.Viewers, out.EverReady, out.Slow, out.SlowReady = out.Viewers+p.Viewers, out.EverReady+p.EverReady, out.Slow+p.Slow, out.SlowReady+p.SlowReady
		out.Seconds, out.Devices = max(out.Seconds, p.Seconds), max(out.Devices, p.Devices)
		lag := max(out.MaxLag, p.MaxLag)
		measure.Add(&out.Counts, p.Counts)
		out.MaxLag = lag
		out.UpdatesPerSecond, out.BytesPerSecond = out.UpdatesPerSecond+p.UpdatesPerSecond, out.BytesPerSecond+p.BytesPerSecond
	}
	out.Health, out.URL = measure.Worst(healths), strings.Join(addresses, ", ")
	return out
}

// SetLatencies sets the percentiles from histograms by the names of Latencies.
func (r *Report) SetLatencies(h map[string]*measure.Histogram) {
	for name, p := range map[string]*measure.Percentiles{"fresh": &r.Latency, "fresh_slow": &r.SlowLatency, "edge": &r.Edge, "view": &r.View} {
		*p = measure.SumOf(h[name])
	}
	r.ByTransport = nil
	for t := range overWebSocket + 1 {
		if of := h[ofTransport(t.String())]; of != nil {
			if r.ByTransport == nil {
				r.ByTransport = map[string]measure.Percentiles{}
			}
			r.ByTransport[t.String()] = measure.Sum(of)
		}
	}
}
