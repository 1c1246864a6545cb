package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

// WriteDigest writes a table of several reports in Markdown, one a line, with what one asks first.
func WriteDigest(w io.Writer, all []*Report) error {
	var b strings.Builder
	b.WriteString("| scenario | devices, viewers | messages a second, of those offered | device to viewer, p50 / p99 | back after a cut, p99 | lost silently | broken promises | thresholds kept |\n")
	b.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, r := range all {
		kept := 0
		for _, o := range r.Thresholds {
			if o.Kept {
				kept++
			}
		}
		fmt.Fprintf(&b, "| `%s` | %d, %d | %s of %s | %s | %s | %s | %s | %d of %d |\n", r.Name, r.devices(), r.viewers(),
			total(r.Values, "achieved_rate"), total(r.Values, "offered_rate"), millis(r.Latencies["fresh"], true), millis(r.Latencies["returned"], false),
			total(r.Values, "silent_loss"), total(r.Values, "violations", "breaches"), kept, len(r.Thresholds))
	}
	b.WriteString("\n")
	for _, r := range all {
		fmt.Fprintf(&b, "- `%s`: %.0f s from %s, on %d cores of %s/%s, of which the generator used %.0f %%; it woke up late p99 %s ms.\n", r.Name, r.Seconds,
			r.Began.UTC().Format("2006-01-02 15:04 UTC"), r.Host.Cores, r.Host.OS, r.Host.Arch, 100*r.Values["generator_share"], measure.Millis(r.Values["generator_late_p99"]))
		for _, n := range append(slices.Clone(r.Health.Notes), r.Notes...) {
			fmt.Fprintf(&b, "  - %s\n", n)
		}
		for _, o := range r.Thresholds {
			if !o.Kept {
				fmt.Fprintf(&b, "  - %s\n", o.text())
			}
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write digest: %w", err)
	}
	return nil
}

func (r *Report) devices() (n int) {
	for i := range r.Devices {
		n += r.Devices[i].Summary.Devices
	}
	if r.Ledger != nil {
		n += r.Ledger.Devices
	}
	return n
}

func (r *Report) viewers() (n int) {
	for i := range r.Viewers {
		n += r.Viewers[i].Report.Viewers
	}
	if r.Ledger != nil {
		n += r.Ledger.Viewers
	}
	return n
}

// total is the sum of some values; a dash where none was measured.
func total(values map[string]float64, names ...string) string {
	sum, any := 0.0, false
	for _, name := range names {
		if v, ok := values[name]; ok {
			sum, any = sum+v, true
		}
	}
	if !any {
		return "-"
	}
	return fmt.Sprintf("%.0f", sum)
}

func millis(p measure.Percentiles, both bool) string {
	switch {
	case p.Count == 0:
		return "-"
	case both:
		return fmt.Sprintf("%.0f / %.0f ms", p.P50, p.P99)
	}
	return fmt.Sprintf("%.0f ms", p.P99)
}
