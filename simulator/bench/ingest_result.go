package bench

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/measure"
)

// IngestResult is what a run of the ingest bench found.
type IngestResult struct {
	When  time.Time `json:"when"`
	Go    string    `json:"go"`
	OS    string    `json:"os"`
	Cores int       `json:"cores"`

	GatewayArgs    []string     `json:"gateway_args,omitempty"`
	Devices        int          `json:"devices"`
	WarmSeconds    float64      `json:"warm_seconds"`
	MeasureSeconds float64      `json:"measure_seconds"`
	Steps          []IngestStep `json:"steps"`
}

// IngestStep is both servers at one rate.
type IngestStep struct {
	Rate    float64    `json:"rate_per_device"`
	Gateway IngestSide `json:"gateway"`
	Bare    IngestSide `json:"bare"`
	// Ratio is the gateway's cost over the bare server's, for a million messages, and what it may be by the error.
	Ratio     float64 `json:"ratio"`
	RatioLow  float64 `json:"ratio_low"`
	RatioHigh float64 `json:"ratio_high"`
	// Notes say why the ratio is no result. Empty where it is one.
	Notes []string `json:"notes,omitempty"`
}

// IngestSide is what was measured of one server.
type IngestSide struct {
	Offered  float64 `json:"offered_per_second"`
	Achieved float64 `json:"achieved_per_second"` // sent
	Acked    float64 `json:"acked_per_second"`
	Skipped  int64   `json:"skipped"`
	Late     int64   `json:"late"`
	Refused  int64   `json:"ack_refused"`
	Lost     int64   `json:"connections_lost"`

	Usage          float64 `json:"cores"`
	CostPerMillion float64 `json:"cpu_seconds_per_million"` // acknowledged messages
	CostError      float64 `json:"cpu_seconds_per_million_error"`
	DeviceBytes    float64 `json:"resident_bytes_per_device"` // what the server grew by, over the devices, under this load

	// Puback is from the intended instant of the sending, over the warm-up and the measurement.
	Puback    measure.Percentiles `json:"puback_from_intended"`
	Generator measure.Health      `json:"generator"`
}

// fill computes a side from the readings before and after each slice. The cost is good to a clock tick, and to twice the
// standard error of the slices' costs.
func (s *IngestSide) fill(all []reading, summary *fleet.Summary) {
	s.Puback, s.Generator = summary.Puback, summary.Health
	first, last := all[0], all[len(all)-1]
	seconds := last.at.Sub(first.at).Seconds()
	acked := last.counts.Acked - first.counts.Acked
	s.Offered = float64(last.counts.Offered-first.counts.Offered) / seconds
	s.Achieved = float64(last.counts.Sent-first.counts.Sent) / seconds
	s.Acked = float64(acked) / seconds
	s.Skipped = last.counts.Skipped.Total() - first.counts.Skipped.Total()
	s.Late = last.counts.Late - first.counts.Late
	s.Refused = last.counts.AckRefused - first.counts.AckRefused
	s.Lost = last.counts.Trouble.Lost - first.counts.Trouble.Lost
	s.Usage = (last.cpu - first.cpu) / seconds
	s.CostPerMillion = perMillion(last.cpu-first.cpu, float64(acked))
	s.CostError = perMillion(1.0/ticksPerSecond, float64(acked)) + 2*standardError(costs(all))
}

// costs are those of the slices. One in which nothing was acknowledged has none.
func costs(all []reading) []float64 {
	var c []float64
	for i := 1; i < len(all); i++ {
		if acked := all[i].counts.Acked - all[i-1].counts.Acked; acked > 0 {
			c = append(c, perMillion(all[i].cpu-all[i-1].cpu, float64(acked)))
		}
	}
	return c
}

// standardError is that of the mean of values.
func standardError(values []float64) float64 {
	if len(values) < 2 {
		return 0
	}
	n, mean, squares := float64(len(values)), 0.0, 0.0
	for _, v := range values {
		mean += v / n
	}
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	return math.Sqrt(squares / (n - 1) / n)
}

// leastAchieved is the part of the offered load from which on a rate counts as kept.
const leastAchieved = 0.99

// conclude computes the ratio and says why it is none.
func (s *IngestStep) conclude() {
	g, b := &s.Gateway, &s.Bare
	if b.CostPerMillion > 0 {
		s.Ratio = g.CostPerMillion / b.CostPerMillion
		s.RatioLow = max(g.CostPerMillion-g.CostError, 0) / (b.CostPerMillion + b.CostError)
		s.RatioHigh = (g.CostPerMillion + g.CostError) / max(b.CostPerMillion-b.CostError, b.CostError)
	}
	for _, side := range []struct {
		name string
		s    *IngestSide
	}{{"gateway", g}, {"bare server", b}} {
		switch {
		case side.s.CostPerMillion <= 0:
			s.Notes = append(s.Notes, fmt.Sprintf("the cost of the %s is not known: it acknowledged %.0f messages a second", side.name, side.s.Acked))
		case side.s.CostError > largestError*side.s.CostPerMillion:
			s.Notes = append(s.Notes, fmt.Sprintf("the cost of the %s, %.1f, is known to %.1f only: measure longer, or on a machine that does nothing else",
				side.name, side.s.CostPerMillion, side.s.CostError))
		}
		if side.s.Acked < leastAchieved*side.s.Offered {
			s.Notes = append(s.Notes, fmt.Sprintf("of %.0f messages a second that were offered to the %s, %.0f were sent and %.0f acknowledged",
				side.s.Offered, side.name, side.s.Achieved, side.s.Acked))
		}
	}
}

// WriteText writes the result as Markdown.
func (r *IngestResult) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Ingest: %d devices, QoS 1, acknowledged after the commit\n\n", r.Devices)
	fmt.Fprintf(&b, "%s, %s, %s, %d cores, which the generator shares; %g s a measurement after %g s, which the latencies include.\n",
		r.When.Format(time.RFC3339), r.Go, r.OS, r.Cores, r.MeasureSeconds, r.WarmSeconds)
	if len(r.GatewayArgs) > 0 {
		fmt.Fprintf(&b, "Flags of the gateway: `%s`.\n", strings.Join(r.GatewayArgs, " "))
	}
	for i := range r.Steps {
		r.Steps[i].write(&b)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

func (s *IngestStep) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %g/s a device\n\n", s.Rate)
	s.Gateway.writeGenerator(b, "gateway")
	s.Bare.writeGenerator(b, "bare server")
	fmt.Fprintf(b, "\n| | gateway | bare mochi, acks and drops |\n|---|---:|---:|\n")
	row := func(name, format string, value func(*IngestSide) []any) {
		fmt.Fprintf(b, "| %s | "+format+" | "+format+" |\n", append(append([]any{name}, value(&s.Gateway)...), value(&s.Bare)...)...)
	}
	row("messages a second, offered / sent / acknowledged", "%.0f / %.0f / %.0f", func(s *IngestSide) []any { return []any{s.Offered, s.Achieved, s.Acked} })
	row("PUBACK from the intended instant, p50 / p99", "%.1f / %.1f ms", func(s *IngestSide) []any { return []any{s.Puback.P50, s.Puback.P99} })
	row("kB resident a device, under this load", "%.1f", func(s *IngestSide) []any { return []any{s.DeviceBytes / 1000} })
	row("cores", "%.3f", func(s *IngestSide) []any { return []any{s.Usage} })
	row("**CPU seconds a million messages**", "**%.1f** ± %.1f", func(s *IngestSide) []any { return []any{s.CostPerMillion, s.CostError} })
	if len(s.Notes) == 0 {
		fmt.Fprintf(b, "| **ratio** (between the bounds of the error) | **%.2f** (%.2f to %.2f) | 1 |\n", s.Ratio, s.RatioLow, s.RatioHigh)
	} else {
		fmt.Fprintf(b, "| ratio | no result (%.2f to %.2f) | 1 |\n", s.RatioLow, s.RatioHigh)
	}
	for _, note := range s.Notes {
		fmt.Fprintf(b, "\nNo result: %s.\n", note)
	}
}

// writeGenerator tells how the generator did.
func (s *IngestSide) writeGenerator(b *strings.Builder, name string) {
	h := &s.Generator
	fmt.Fprintf(b, "Generator with the %s: %.0f %% of its cores, wake-ups %.1f ms late at p99; %d skipped, %d late, %d refused, %d connections lost.\n",
		name, h.Share*100, h.WakeUp.P99, s.Skipped, s.Late, s.Refused, s.Lost)
	for _, note := range h.Notes {
		fmt.Fprintf(b, "With the %s: %s.\n", name, note)
	}
}
