package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Result is what a run found.
type Result struct {
	When  time.Time `json:"when"`
	Go    string    `json:"go"`
	OS    string    `json:"os"`
	Cores int       `json:"cores"`

	Devices        int     `json:"devices"`
	Rate           float64 `json:"rate_per_device"`
	Viewers        int     `json:"viewers"`
	WindowMS       float64 `json:"window_ms"`
	MeasureSeconds float64 `json:"measure_seconds"`

	Offered  float64 `json:"offered_per_second"`
	Achieved float64 `json:"achieved_per_second"`
	Skipped  int64   `json:"skipped"`
	Late     int64   `json:"late"`

	// Alone is the gateway's use without viewers, in cores: the mean of before and after.
	Alone       float64 `json:"gateway_alone_cores"`
	AloneBefore float64 `json:"gateway_alone_before_cores"`
	AloneAfter  float64 `json:"gateway_alone_after_cores"`
	Ours        Side    `json:"gateway"`
	Floor       Side    `json:"floor"`
	// Ratio is the viewers' cost of the gateway over the floor's, for a million updates, and what it may be by the error.
	Ratio     float64 `json:"ratio"`
	RatioLow  float64 `json:"ratio_low"`
	RatioHigh float64 `json:"ratio_high"`
	// Notes say why the ratio is no result. Empty where it is one.
	Notes []string `json:"notes,omitempty"`

	IdleViewers int     `json:"idle_viewers"`
	IdleDevices int     `json:"idle_devices"`
	ViewerBytes float64 `json:"resident_bytes_per_idle_viewer"`
	DeviceBytes float64 `json:"resident_bytes_per_idle_device"`
}

// Side is what was measured of a server with viewers.
type Side struct {
	Usage          float64             `json:"cores"`
	Updates        float64             `json:"updates_per_second"` // delivered, counted per viewer
	Bytes          float64             `json:"bytes_per_second"`
	BytesPerUpdate float64             `json:"bytes_per_update"`
	CostPerMillion float64             `json:"viewers_cpu_seconds_per_million"`
	CostError      float64             `json:"viewers_cpu_seconds_per_million_error"`
	Latency        measure.Percentiles `json:"latency_from_intended"`
	Violations     int64               `json:"violations"`
	Examples       []string            `json:"examples,omitempty"`
	Generator      measure.Health      `json:"generator"`
}

func (s *Side) fill(r *watch.Report, before, after watch.Counts, seconds float64) {
	updates, bytes := float64(after.Updates-before.Updates), float64(after.Bytes-before.Bytes)
	s.Updates, s.Bytes = updates/seconds, bytes/seconds
	if updates > 0 {
		s.BytesPerUpdate = bytes / updates
	}
	s.Latency, s.Generator = r.Latency, r.Health
	s.Violations, s.Examples = r.Violations.Total(), r.Examples
}

// largestError is the error, as a part of the value, from which a cost is told to be no result.
const largestError = 0.2

// conclude computes the costs. What the gateway uses without viewers is not theirs; the floor does nothing else. Each
// reading is good to a clock tick at either end, and the use without viewers to what it moved during the run: where the
// viewers' part is not well above that, a difference of two readings looks like a result and is none.
func (r *Result) conclude() {
	reading := 0.0
	if r.MeasureSeconds > 0 {
		reading = 1.0 / ticksPerSecond / r.MeasureSeconds
	}
	drift := math.Abs(r.AloneBefore-r.AloneAfter) / 2
	r.Ours.CostPerMillion = perMillion(r.Ours.Usage-r.Alone, r.Ours.Updates)
	r.Ours.CostError = perMillion(2*reading+drift, r.Ours.Updates)
	r.Floor.CostPerMillion = perMillion(r.Floor.Usage, r.Floor.Updates)
	r.Floor.CostError = perMillion(reading, r.Floor.Updates)
	if r.Floor.CostPerMillion <= 0 {
		return
	}
	r.Ratio = r.Ours.CostPerMillion / r.Floor.CostPerMillion
	r.RatioLow = (r.Ours.CostPerMillion - r.Ours.CostError) / (r.Floor.CostPerMillion + r.Floor.CostError)
	r.RatioHigh = (r.Ours.CostPerMillion + r.Ours.CostError) / max(r.Floor.CostPerMillion-r.Floor.CostError, r.Floor.CostError)
	r.doubt()
}

// doubt says why the ratio is no result.
func (r *Result) doubt() {
	for _, side := range []struct {
		name string
		s    *Side
	}{{"gateway", &r.Ours}, {"floor", &r.Floor}} {
		if side.s.CostError > largestError*side.s.CostPerMillion {
			r.Notes = append(r.Notes, fmt.Sprintf("the viewers' cost of the %s, %.3f, is known to %.3f only: measure longer, or with more viewers and updates",
				side.name, side.s.CostPerMillion, side.s.CostError))
		}
	}
	if r.Ratio < 1 {
		r.Notes = append(r.Notes, fmt.Sprintf("a ratio of %.2f says that the gateway is cheaper than the least that it can cost, which cannot be for the same writes: the difference of two readings is off", r.Ratio))
	}
}

func perMillion(cores, updates float64) float64 {
	if updates <= 0 {
		return 0
	}
	return cores / updates * 1e6
}

// WriteText writes the result as Markdown.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Fan-out: %d viewers, %d devices at %g/s\n\n", r.Viewers, r.Devices, r.Rate)
	fmt.Fprintf(&b, "%s, %s, %s, %d cores, which the generator shares; window %g ms, %g s a measurement.\n\n",
		r.When.Format(time.RFC3339), r.Go, r.OS, r.Cores, r.WindowMS, r.MeasureSeconds)
	r.writeGenerator(&b)
	fmt.Fprintf(&b, "| | gateway | floor |\n|---|---:|---:|\n")
	row := func(name, format string, ours, floor float64) {
		fmt.Fprintf(&b, "| %s | "+format+" | "+format+" |\n", name, ours, floor)
	}
	row("updates delivered a second", "%.0f", r.Ours.Updates, r.Floor.Updates)
	row("MB a second", "%.1f", r.Ours.Bytes/1e6, r.Floor.Bytes/1e6)
	row("bytes an update", "%.0f", r.Ours.BytesPerUpdate, r.Floor.BytesPerUpdate)
	row("cores with viewers", "%.3f", r.Ours.Usage, r.Floor.Usage)
	fmt.Fprintf(&b, "| cores without viewers, before and after | %.3f, %.3f | |\n", r.AloneBefore, r.AloneAfter)
	fmt.Fprintf(&b, "| **CPU seconds of the viewers a million updates** | **%.3f** ± %.3f | **%.3f** ± %.3f |\n",
		r.Ours.CostPerMillion, r.Ours.CostError, r.Floor.CostPerMillion, r.Floor.CostError)
	if len(r.Notes) == 0 {
		fmt.Fprintf(&b, "| **ratio** (between the bounds of the error) | **%.2f** (%.2f to %.2f) | 1 |\n", r.Ratio, r.RatioLow, r.RatioHigh)
	} else {
		fmt.Fprintf(&b, "| ratio | no result (%.2f to %.2f) | 1 |\n", r.RatioLow, r.RatioHigh)
	}
	fmt.Fprintf(&b, "| freshness from the intended instant, p50 / p99 / max | %.0f / %.0f / %.0f ms | |\n",
		r.Ours.Latency.P50, r.Ours.Latency.P99, r.Ours.Latency.Max)
	fmt.Fprintf(&b, "| broken promises | %d | |\n", r.Ours.Violations)
	if r.IdleViewers > 0 {
		fmt.Fprintf(&b, "| kB resident an idle viewer (%d) | %.1f | |\n", r.IdleViewers, r.ViewerBytes/1000)
	}
	if r.IdleDevices > 0 {
		fmt.Fprintf(&b, "| kB resident an idle device (%d) | %.1f | |\n", r.IdleDevices, r.DeviceBytes/1000)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\nNo result: %s.\n", note)
	}
	for _, e := range r.Ours.Examples {
		fmt.Fprintf(&b, "\nBroken promise: %s\n", e)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// writeGenerator tells first how the generator did.
func (r *Result) writeGenerator(b *strings.Builder) {
	fmt.Fprintf(b, "Generator: offered %.1f/s, achieved %.1f/s, %d skipped, %d late; %.0f %% of its cores and wake-ups %.1f ms late at p99 with the gateway, %.0f %% and %.1f ms with the floor.\n",
		r.Offered, r.Achieved, r.Skipped, r.Late, r.Ours.Generator.Share*100, r.Ours.Generator.WakeUp.P99,
		r.Floor.Generator.Share*100, r.Floor.Generator.WakeUp.P99)
	for _, side := range []struct {
		name  string
		notes []string
	}{{"gateway", r.Ours.Generator.Notes}, {"floor", r.Floor.Generator.Notes}} {
		for _, note := range side.notes {
			fmt.Fprintf(b, "With the %s: %s.\n", side.name, note)
		}
	}
	b.WriteByte('\n')
}

// save writes a result as name.json and name.md.
func save(dir, name string, r interface{ WriteText(w io.Writer) error }) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("save result: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".json"), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("save result: %w", err)
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, name+".md"), []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("save result: %w", err)
	}
	return nil
}
