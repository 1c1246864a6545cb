package report

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrThreshold says that a threshold was not kept. It comes wrapped.
var ErrThreshold = errors.New("a threshold was not kept")

// ErrWrongThreshold says that a threshold of a merged report is none. It comes wrapped.
var ErrWrongThreshold = errors.New("merge reports")

// operators, the longer before those that they begin with.
var operators = []struct {
	text  string
	holds func(value, limit float64) bool
}{
	{"<=", func(v, l float64) bool { return v <= l }},
	{">=", func(v, l float64) bool { return v >= l }},
	{"==", func(v, l float64) bool { return v == l }},
	{"!=", func(v, l float64) bool { return v != l }},
	{"<", func(v, l float64) bool { return v < l }},
	{">", func(v, l float64) bool { return v > l }},
}

// Threshold is what a run has to keep, as fresh_p99<250ms, silent_loss==0, achieved_share>=99% or far.fresh_p99<2s.
type Threshold struct {
	Text  string
	name  string
	limit float64
	holds func(value, limit float64) bool
}

// ParseThreshold reads a threshold. Groups are the names of groups that there are. A name that nothing measures is
// refused here and not found out after the run.
func ParseThreshold(text string, groups []string) (Threshold, error) {
	for _, o := range operators {
		name, limit, found := strings.Cut(text, o.text)
		if !found {
			continue
		}
		v, err := describe(strings.TrimSpace(name), groups)
		if err != nil {
			return Threshold{}, fmt.Errorf("read threshold %q: %w", text, err)
		}
		n, err := parseLimit(strings.TrimSpace(limit), v.unit)
		if err != nil {
			return Threshold{}, fmt.Errorf("read threshold %q: %w", text, err)
		}
		return Threshold{text, v.name, n, o.holds}, nil
	}
	return Threshold{}, fmt.Errorf("read threshold %q: it is written as fresh_p99<250ms", text)
}

// IsCount tells whether a threshold is on a count, which no busy machine breaks, and not on a time, a share or a rate.
func IsCount(text string) bool {
	for _, o := range operators {
		if name, _, found := strings.Cut(text, o.text); found {
			name = strings.TrimSpace(name)
			v, known := allValues[name[strings.IndexByte(name, '.')+1:]]
			return known && v.unit == count
		}
	}
	return false
}

// parseLimit reads a limit in the unit of its value: a time without a unit is milliseconds.
func parseLimit(text string, u unit) (float64, error) {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return n, nil
	}
	switch u {
	case milliseconds:
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%q is no time", text)
		}
		return float64(d) / float64(time.Millisecond), nil
	case share:
		if n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64); err == nil {
			return n / 100, nil
		}
	case perSecond:
		if n, err := strconv.ParseFloat(strings.TrimSuffix(text, "/s"), 64); err == nil {
			return n, nil
		}
	case count:
	}
	return 0, fmt.Errorf("%q is no number", text)
}

// Outcome is a threshold after the run.
type Outcome struct {
	Threshold string   `json:"threshold"`
	Value     *float64 `json:"value"` // null: nothing of it was measured, which is not kept
	Kept      bool     `json:"kept"`
}

// judge sets the outcomes.
func (r *Report) judge(thresholds []Threshold) {
	r.Thresholds = []Outcome{}
	for _, t := range thresholds {
		o := Outcome{Threshold: t.Text}
		if v, ok := r.Values[t.name]; ok {
			o.Value, o.Kept = &v, t.holds(v, t.limit)
		}
		r.Thresholds = append(r.Thresholds, o)
	}
}

// Err is ErrThreshold where one was not kept.
func (r *Report) Err() error {
	var broken []string
	for _, o := range r.Thresholds {
		if !o.Kept {
			broken = append(broken, o.Threshold)
		}
	}
	if len(broken) > 0 {
		return fmt.Errorf("%w: %s", ErrThreshold, strings.Join(broken, ", "))
	}
	return nil
}
