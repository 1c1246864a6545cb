package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

// histogramsVersion is that of Histograms. It grows when the form of a histogram changes.
const histogramsVersion = 1

// Histograms are all that the percentiles of a report were made of, which unlike them can be added to those of another
// report. Encoding and Unit say what a histogram is to other programs.
type Histograms struct {
	Version  int                          `json:"version"`
	Encoding string                       `json:"encoding"`
	Unit     string                       `json:"unit"`
	All      map[string]string            `json:"all"`    // by stage, as Latencies
	Groups   map[string]map[string]string `json:"groups"` // by group and stage
}

// Errors of a report's histograms. They come wrapped.
var (
	errNoHistograms  = errors.New("it holds no histograms, as those that an older simulator wrote, and percentiles cannot be added")
	errNewHistograms = errors.New("its histograms are of a form that this simulator does not know")
)

// byStage are histograms by the names of their stages, and byGroup these by the name of their group.
type (
	byStage = map[string]*measure.Histogram
	byGroup = map[string]byStage
)

// together are the histograms of all groups.
func together(groups byGroup) byStage {
	parts := map[string][]*measure.Histogram{}
	for _, stages := range groups {
		for name, h := range stages {
			parts[name] = append(parts[name], h)
		}
	}
	all := byStage{}
	for name, p := range parts {
		all[name] = measure.Merge(p...)
	}
	return all
}

// MarshalJSON writes the report with its histograms.
func (r *Report) MarshalJSON() ([]byte, error) {
	type plain Report // without this method
	out := plain(*r)
	if r.held != nil {
		var err error
		if out.Histograms, err = encode(r.held); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(&out)
	if err != nil {
		return nil, fmt.Errorf("write report: %w", err)
	}
	return text, nil
}

func encode(groups byGroup) (*Histograms, error) {
	out := &Histograms{Version: histogramsVersion, Encoding: measure.Encoding, Unit: measure.Unit, Groups: map[string]map[string]string{}}
	var err error
	if out.All, err = encoded(together(groups)); err != nil {
		return nil, err
	}
	for group, stages := range groups {
		if out.Groups[group], err = encoded(stages); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func encoded(stages byStage) (map[string]string, error) {
	out := map[string]string{}
	for name, h := range stages {
		text, err := h.Encode()
		if err != nil {
			return nil, fmt.Errorf("keep %s: %w", name, err)
		}
		out[name] = text
	}
	return out, nil
}

func (h *Histograms) check() error {
	switch {
	case h == nil:
		return errNoHistograms
	case h.Version != histogramsVersion || h.Encoding != measure.Encoding || h.Unit != measure.Unit:
		return fmt.Errorf("%w: version %d, %q in %q", errNewHistograms, h.Version, h.Encoding, h.Unit)
	}
	return nil
}

func decoded(stages map[string]string) (byStage, error) {
	out := byStage{}
	for _, name := range slices.Sorted(maps.Keys(stages)) {
		h, err := measure.Decode(stages[name])
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		out[name] = h
	}
	return out, nil
}

// histograms returns the histograms of all groups together.
func (r *Report) histograms() (byStage, error) {
	if r.held != nil {
		return together(r.held), nil
	}
	if err := r.Histograms.check(); err != nil {
		return nil, err
	}
	return decoded(r.Histograms.All)
}

// groupHistograms returns those of each group. What they count must be what the report says that it counted.
func (r *Report) groupHistograms() (byGroup, error) {
	if r.held != nil {
		return r.held, nil
	}
	if err := r.Histograms.check(); err != nil {
		return nil, err
	}
	groups := byGroup{}
	for group, stages := range r.Histograms.Groups {
		var err error
		if groups[group], err = decoded(stages); err != nil {
			return nil, fmt.Errorf("group %s: %w", group, err)
		}
	}
	whole := together(groups)
	names := slices.Concat(slices.Collect(maps.Keys(whole)), slices.Collect(maps.Keys(r.Latencies)))
	for _, name := range names {
		if got, want := measure.SumOf(whole[name]).Count, r.Latencies[name].Count; got != want {
			return nil, fmt.Errorf("its histograms of %s hold %d, and it says that %d were counted", name, got, want)
		}
	}
	return groups, nil
}

// measured sets what is said of latencies, and all other values: of all, and as values of each group.
func (r *Report) measured(groups byGroup) {
	r.held, r.Latencies, r.Curves = groups, map[string]measure.Percentiles{}, map[string][]measure.Point{}
	for name, h := range together(groups) {
		r.Latencies[name] = measure.Sum(h)
		if curve := h.Curve(); len(curve) > 0 {
			r.Curves[name] = curve
		}
	}
	r.fill()
	for group, stages := range groups {
		one := Report{Latencies: map[string]measure.Percentiles{}, Values: map[string]float64{}}
		for name, h := range stages {
			one.Latencies[name] = measure.Sum(h)
		}
		one.fillLatencies()
		maps.Copy(r.Values, prefixed(group, one.Values))
	}
}
