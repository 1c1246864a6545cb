package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// Difference is a value in two reports.
type Difference struct {
	Name   string   `json:"name"`
	Before *float64 `json:"before"` // null: not measured
	After  *float64 `json:"after"`
	// Change is the part by which it changed, of what it was; 0 where one of them is not there or was 0.
	Change float64 `json:"change"`
	// Worse and Better tell which where that can be told: beyond the tolerance, in the direction that counts.
	Worse  bool `json:"worse,omitempty"`
	Better bool `json:"better,omitempty"`
}

// Comparison is what two reports say of each other.
type Comparison struct {
	Before, After string       `json:"-"`
	Notes         []string     `json:"notes,omitempty"`
	Values        []Difference `json:"values"`
}

// Compare compares two reports. A difference within the tolerance, a part of the value before, is none. Counts of what
// must not be have no tolerance.
func Compare(before, after *Report, tolerance float64) *Comparison {
	c := &Comparison{Before: title(before), After: title(after), Notes: incomparable(before, after)}
	names := maps.Clone(before.Values)
	maps.Copy(names, after.Values)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		bare := name[strings.IndexByte(name, '.')+1:]
		v, known := allValues[bare]
		if !known {
			continue
		}
		c.Values = append(c.Values, difference(name, v, before.Values, after.Values, tolerance))
	}
	return c
}

func difference(name string, v value, before, after map[string]float64, tolerance float64) Difference {
	d := Difference{Name: name}
	b, hadBefore := before[name]
	a, hasAfter := after[name]
	if hadBefore {
		d.Before = &b
	}
	if hasAfter {
		d.After = &a
	}
	if !hadBefore || !hasAfter {
		d.Worse = hadBefore && v.better != 0 // what is not measured any more is not known to be well
		return d
	}
	if b != 0 {
		d.Change = (a - b) / math.Abs(b)
	}
	room := math.Abs(b) * tolerance
	switch v.better {
	case -1:
		d.Worse, d.Better = a > b+room, a < b-room
	case 1:
		d.Worse, d.Better = a < b-room, a > b+room
	}
	return d
}

// Worse is how many values are worse.
func (c *Comparison) Worse() (n int) {
	for _, d := range c.Values {
		if d.Worse {
			n++
		}
	}
	return n
}

func title(r *Report) string {
	return fmt.Sprintf("%s of %s", r.Name, r.Began.Format("2006-01-02 15:04"))
}

// incomparable tells what makes two reports different questions.
func incomparable(a, b *Report) (notes []string) {
	if a.Name != b.Name {
		notes = append(notes, fmt.Sprintf("they are of different runs: %s and %s", a.Name, b.Name))
	}
	if a.Host.Cores != b.Host.Cores || a.Host.Arch != b.Host.Arch {
		notes = append(notes, fmt.Sprintf("the machines differ: %d cores of %s, %d of %s", a.Host.Cores, a.Host.Arch, b.Host.Cores, b.Host.Arch))
	}
	if x, y := a.Values["offered_rate"], b.Values["offered_rate"]; math.Abs(x-y) > 0.05*max(x, y) {
		notes = append(notes, fmt.Sprintf("the load differs: %.0f/s and %.0f/s were offered; latencies are not comparable", x, y))
	}
	if x, y := a.processes(), b.processes(); x != y {
		notes = append(notes, fmt.Sprintf("the load came from %d and %d processes", x, y))
	}
	for _, r := range []*Report{a, b} {
		if err := r.Complete(); err != nil {
			notes = append(notes, title(r)+": "+err.Error())
		}
		for _, n := range r.Health.Notes {
			notes = append(notes, title(r)+": "+n)
		}
	}
	return notes
}

// WriteText writes a table.
func (c *Comparison) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "before  %s\nafter   %s\n", c.Before, c.After)
	for _, n := range c.Notes {
		fmt.Fprintf(&b, "note    %s\n", n)
	}
	fmt.Fprintf(&b, "\n%-28s %14s %14s %9s\n", "value", "before", "after", "change")
	for _, d := range c.Values {
		fmt.Fprintf(&b, "%-28s %14s %14s %9s  %s\n", d.Name, maybe(d.Before), maybe(d.After), d.percent(), d.mark())
	}
	fmt.Fprintf(&b, "\n%d values are worse\n", c.Worse())
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write comparison: %w", err)
	}
	return nil
}

func maybe(n *float64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprintf("%.6g", *n)
}

func (d *Difference) percent() string {
	if d.Change == 0 {
		return ""
	}
	return fmt.Sprintf("%+.1f %%", d.Change*100)
}

func (d *Difference) mark() string {
	switch {
	case d.Worse:
		return "worse"
	case d.Better:
		return "better"
	}
	return ""
}
