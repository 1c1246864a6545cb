package payload

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Part is a format and its weight in a mix.
type Part struct {
	Format *Format
	Weight float64
}

// Mix says which share of the devices speaks which format. It is written as native=70,owntracks=20,teltonika=10, or as a
// name alone. The empty mix is native.
type Mix []Part

var errMix = errors.New("a mix is written as native=70,owntracks=30")

// UnmarshalText reads a mix; weights are positive.
func (m *Mix) UnmarshalText(text []byte) error {
	var mix Mix
	for part := range strings.SplitSeq(string(text), ",") {
		name, number, found := strings.Cut(strings.TrimSpace(part), "=")
		f, err := ByName(name)
		if err != nil {
			return err
		}
		weight := 1.0
		if found {
			if weight, err = strconv.ParseFloat(strings.TrimSuffix(number, "%"), 64); err != nil || !(weight > 0 && weight < 1e9) {
				return fmt.Errorf("read weight %q: %w", number, errMix)
			}
		}
		mix = append(mix, Part{f, weight})
	}
	*m = mix
	return nil
}

// MarshalText writes the mix as it is read.
func (m Mix) MarshalText() ([]byte, error) {
	var parts []string
	for _, p := range m {
		parts = append(parts, p.Format.Name+"="+strconv.FormatFloat(p.Weight, 'g', -1, 64))
	}
	return []byte(strings.Join(parts, ",")), nil
}

// Format is the format of device number index: any run of devices is near the weights.
func (m Mix) Format(index int) *Format {
	if len(m) == 0 {
		return &native
	}
	total := 0.0
	for _, p := range m {
		total += p.Weight
	}
	// Another irrational number than that by which the world deals out places, or a format would be a city's.
	_, at := math.Modf(float64(index) * math.Sqrt2)
	at *= total
	for _, p := range m {
		if at -= p.Weight; at < 0 {
			return p.Format
		}
	}
	return m[len(m)-1].Format
}

// WithTopics returns the mix with other topic templates, by the name of the format.
func (m Mix) WithTopics(templates map[string]string) (Mix, error) {
	out := append(Mix(nil), m...)
	if len(out) == 0 {
		out = Mix{{&native, 1}}
	}
	for name, template := range templates {
		if _, err := ByName(name); err != nil {
			return nil, err
		}
		for i := range out {
			if out[i].Format.Name == name {
				out[i].Format = out[i].Format.WithTopic(template)
			}
		}
	}
	return out, nil
}
