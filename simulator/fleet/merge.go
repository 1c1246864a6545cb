package fleet

import (
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

// Merge is the report of several processes' parts of one group of devices. Counts and rates are sums: a rate is that of the
// steady time of each part, so their sum holds where these times are the same. Times are the longest. Percentiles are no
// sum: SetLatencies takes them from the histograms.
func Merge(parts []Summary) Summary {
	out := parts[0]
	var healths []measure.Health
	var brokers []string
	for i, p := range parts {
		healths = append(healths, p.Health)
		if !slices.Contains(brokers, p.Broker) {
			brokers = append(brokers, p.Broker)
		}
		if i == 0 {
			continue
		}
		out.Devices += p.Devices
		out.RampSeconds, out.SteadySeconds, out.DownSeconds = max(out.RampSeconds, p.RampSeconds), max(out.SteadySeconds, p.SteadySeconds), max(out.DownSeconds, p.DownSeconds)
		out.OfferedRate, out.AchievedRate = out.OfferedRate+p.OfferedRate, out.AchievedRate+p.AchievedRate
		measure.Add(&out.Steady, p.Steady)
		measure.Add(&out.Whole, p.Whole)
	}
	out.Health, out.Broker = measure.Worst(healths), strings.Join(brokers, ", ")
	return out
}

// SetLatencies sets the percentiles from histograms by the names of Latencies.
func (s *Summary) SetLatencies(h map[string]*measure.Histogram) {
	for name, p := range map[string]*measure.Percentiles{"send": &s.Lateness, "ack": &s.Puback, "ack_from_sent": &s.Acking, "connect": &s.Connect} {
		*p = measure.SumOf(h[name])
	}
}
