package bench

import (
	"fmt"
	"math"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/measure"
)

// IngestStep is all servers at one rate; the gateway is the first.
type IngestStep struct {
	QoS   int          `json:"qos"`
	Rate  float64      `json:"rate_per_device"`
	Sides []IngestSide `json:"servers"`
	// Notes say which ratios are no results. Empty where all are.
	Notes []string `json:"notes,omitempty"`
}

// IngestSide is what was measured of one server.
type IngestSide struct {
	Server   string  `json:"server"`
	Offered  float64 `json:"offered_per_second"`
	Achieved float64 `json:"achieved_per_second"` // sent
	Acked    float64 `json:"acked_per_second"`    // QoS 1
	Skipped  int64   `json:"skipped"`
	Late     int64   `json:"late"`
	Refused  int64   `json:"ack_refused"`
	Lost     int64   `json:"connections_lost"`

	Usage          float64 `json:"cores"`
	CostPerMillion float64 `json:"cpu_seconds_per_million"` // messages that were acknowledged, or at QoS 0 sent
	CostError      float64 `json:"cpu_seconds_per_million_error"`
	DeviceBytes    float64 `json:"resident_bytes_per_device"` // what the server grew by, over the devices, under this load
	// Ratio is the gateway's cost over this server's, and what it may be by the error; not of the gateway itself.
	Ratio     float64 `json:"ratio,omitempty"`
	RatioLow  float64 `json:"ratio_low,omitempty"`
	RatioHigh float64 `json:"ratio_high,omitempty"`

	// Puback is from the intended instant of the sending, over the warm-up and the measurement.
	Puback    measure.Percentiles `json:"puback_from_intended"`
	Generator measure.Health      `json:"generator"`
}

// done is what the server was given and, at QoS 1, answered.
func done(c *fleet.Counts, qos int) int64 {
	if qos == 0 {
		return c.Sent
	}
	return c.Acked
}

// fill computes a side from the readings before and after each slice. The cost is good to twice the standard error of the
// slices' costs.
func (s *IngestSide) fill(all []reading, summary *fleet.Summary, qos int) {
	s.Puback, s.Generator = summary.Puback, summary.Health
	first, last := all[0], all[len(all)-1]
	seconds := last.at.Sub(first.at).Seconds()
	messages := float64(done(&last.counts, qos) - done(&first.counts, qos))
	s.Offered = float64(last.counts.Offered-first.counts.Offered) / seconds
	s.Achieved = float64(last.counts.Sent-first.counts.Sent) / seconds
	s.Acked = float64(last.counts.Acked-first.counts.Acked) / seconds
	s.Skipped = last.counts.Skipped.Total() - first.counts.Skipped.Total()
	s.Late = last.counts.Late - first.counts.Late
	s.Refused = last.counts.AckRefused - first.counts.AckRefused
	s.Lost = last.counts.Trouble.Lost - first.counts.Trouble.Lost
	s.Usage = (last.cpu - first.cpu) / seconds
	s.CostPerMillion = perMillion(last.cpu-first.cpu, messages)
	s.CostError = 2 * standardError(costs(all, qos))
}

// costs are those of the slices. One in which nothing was done has none.
func costs(all []reading, qos int) []float64 {
	var c []float64
	for i := 1; i < len(all); i++ {
		if n := done(&all[i].counts, qos) - done(&all[i-1].counts, qos); n > 0 {
			c = append(c, perMillion(all[i].cpu-all[i-1].cpu, float64(n)))
		}
	}
	return c
}

func mean(values []float64) float64 { return sum(values) / float64(max(len(values), 1)) }

// standardError is that of the mean of values.
func standardError(values []float64) float64 {
	if len(values) < 2 {
		return 0
	}
	n, mean, squares := float64(len(values)), mean(values), 0.0
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	return math.Sqrt(squares / (n - 1) / n)
}

// leastAchieved is the part of the offered load from which on a rate counts as kept.
const leastAchieved = 0.99

// conclude computes the ratios and says which are none.
func (s *IngestStep) conclude() {
	s.Notes = nil
	g := &s.Sides[0]
	for i := range s.Sides {
		side := &s.Sides[i]
		if i > 0 && side.CostPerMillion > 0 {
			side.Ratio = g.CostPerMillion / side.CostPerMillion
			side.RatioLow = max(g.CostPerMillion-g.CostError, 0) / (side.CostPerMillion + side.CostError)
			side.RatioHigh = (g.CostPerMillion + g.CostError) / max(side.CostPerMillion-side.CostError, side.CostError)
		}
		s.doubt(side)
	}
}

func (s *IngestStep) doubt(side *IngestSide) {
	switch {
	case side.CostPerMillion <= 0:
		s.Notes = append(s.Notes, fmt.Sprintf("the cost of the %s is not known: it took nothing", side.Server))
	case side.CostError > largestError*side.CostPerMillion:
		s.Notes = append(s.Notes, fmt.Sprintf("the cost of the %s, %.1f, is known to %.1f only: measure longer, or on a machine that does nothing else",
			side.Server, side.CostPerMillion, side.CostError))
	}
	if side.Achieved < leastAchieved*side.Offered || (s.QoS > 0 && side.Acked < leastAchieved*side.Offered) {
		s.Notes = append(s.Notes, fmt.Sprintf("of %.0f messages a second that were offered to the %s, %.0f were sent and %.0f acknowledged",
			side.Offered, side.Server, side.Achieved, side.Acked))
	}
}

func (o *Ingest) section(steps []*IngestStep) *Section {
	s := &Section{Title: fmt.Sprintf("Ingest: %d devices", o.Devices), Result: steps}
	s.say("The gateway keeps each message in its log and at QoS 1 acknowledges then; the others acknowledge at once and drop it. Each server is fresh.")
	for _, step := range steps {
		s.addIngest(step)
	}
	return s
}

func (s *Section) addIngest(step *IngestStep) {
	t := Table{Title: fmt.Sprintf("QoS %d, %g/s a device", step.QoS, step.Rate), Head: []string{""}}
	for i := range step.Sides {
		side := &step.Sides[i]
		t.Head = append(t.Head, side.Server)
		s.say("QoS %d, %g/s: %s %d skipped, %d late, %d refused, %d connections lost.", step.QoS, step.Rate,
			healthText("with the "+side.Server, &side.Generator), side.Skipped, side.Late, side.Refused, side.Lost)
	}
	row := func(name, format string, value func(*IngestSide) []any) {
		cells := []string{name}
		for i := range step.Sides {
			cells = append(cells, fmt.Sprintf(format, value(&step.Sides[i])...))
		}
		t.add(cells...)
	}
	row("messages a second, offered / sent / acknowledged", "%.0f / %.0f / %.0f", func(s *IngestSide) []any { return []any{s.Offered, s.Achieved, s.Acked} })
	if step.QoS > 0 {
		row("PUBACK from the intended instant, p50 / p99", "%.1f / %.1f ms", func(s *IngestSide) []any { return []any{s.Puback.P50, s.Puback.P99} })
	}
	row("kB resident a device, under this load", "%.1f", func(s *IngestSide) []any { return []any{s.DeviceBytes / 1000} })
	row("cores", "%.3f", func(s *IngestSide) []any { return []any{s.Usage} })
	row("**CPU seconds a million messages**", "**%.1f** ± %.1f", func(s *IngestSide) []any { return []any{s.CostPerMillion, s.CostError} })
	ratios := []string{"**the gateway's over this**", ""}
	for i := range step.Sides[1:] {
		side := &step.Sides[i+1]
		ratios = append(ratios, fmt.Sprintf("%.2f (%.2f to %.2f)", side.Ratio, side.RatioLow, side.RatioHigh))
	}
	t.add(ratios...)
	s.Tables = append(s.Tables, t)
	for _, note := range step.Notes {
		s.note("QoS %d, %g/s: %s", step.QoS, step.Rate, note)
	}
	gateway := &step.Sides[0]
	want, hit := reported, None
	if step.QoS == 1 && step.Rate >= 10 {
		want, hit = fmt.Sprintf("≤ %d s", wantIngest), met(gateway.CostPerMillion <= wantIngest)
	}
	if len(step.Notes) > 0 && hit != None {
		hit = Unknown
	}
	var others strings.Builder
	for i := range step.Sides[1:] {
		fmt.Fprintf(&others, "; %s %.1f", step.Sides[i+1].Server, step.Sides[i+1].CostPerMillion)
	}
	s.mark(fmt.Sprintf("ingest, QoS %d at %g/s a device: CPU seconds a million", step.QoS, step.Rate), want, hit, "%.1f ± %.1f%s", gateway.CostPerMillion, gateway.CostError, others.String())
}
