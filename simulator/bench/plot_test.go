package bench

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

func TestASlopeIsTheExponentOfTheGrowth(t *testing.T) {
	for _, exponent := range []float64{0.5, 1, 2} {
		var points [][2]float64
		for _, x := range []float64{100, 1000, 15000} {
			points = append(points, [2]float64{x, 3 * math.Pow(x, exponent)})
		}
		if got := slope(append(points, [2]float64{7, 0}, [2]float64{0, 7}, [2]float64{5, -1})); math.Abs(got-exponent) > 1e-9 {
			t.Errorf("%g is %g", exponent, got)
		}
	}
	if got := slope([][2]float64{{1, 1}}); !math.IsNaN(got) {
		t.Errorf("one point has a slope of %g", got)
	}
}

func TestTicksStandAtRoundValues(t *testing.T) {
	for _, c := range []struct {
		a    axis
		want string
	}{
		{axis{low: 0, high: 1.05}, "[0 0.5 1]"},
		{axis{low: 0, high: 42}, "[0 10 20 30 40]"},
		{axis{low: 100, high: 15000, log: true}, "[100 200 500 1000 2000 5000 10000]"},
		{axis{low: 0.01, high: 1000, log: true}, "[0.01 0.1 1 10 100 1000]"},
	} {
		var got []float64
		for _, v := range c.a.ticks() {
			got = append(got, round(v))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%+v: %v", c.a, got)
		}
	}
	for v, want := range map[float64]string{0.1: "0.1", 5000: "5000", 10000: "10k", 2e6: "2M"} {
		if got := tickText(v); got != want {
			t.Errorf("%g is %s", v, got)
		}
	}
}

func TestPlotsAreXMLWhateverTheirPoints(t *testing.T) {
	for name, p := range map[string]Plot{
		"nothing": {Title: "a < b & c"},
		"a point": {LogX: true, LogY: true, Series: []Series{{Points: [][2]float64{{1, 1}}}}},
		"zeros":   {LogX: true, LogY: true, Series: []Series{{Points: [][2]float64{{0, 1}, {1, 0}, {-1, -1}}}}},
		"linear":  {Series: []Series{{Points: [][2]float64{{0, 0}, {1, -5}, {2, 7}}}, {Name: "<&>", Dashed: true, Points: [][2]float64{{0, 1}, {2, 1}}}}},
	} {
		svg := p.SVG()
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, svg)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s:\n%s", name, svg)
		}
	}
}

func TestGrowthIsWhatIsAboveTheBase(t *testing.T) {
	line := GrowthLine{What: "viewers", Base: GrowthPoint{Cores: 0.1, Bytes: 1e7, Sample: Sample{Error: 0.05}}}
	line.Points = append(line.Points, GrowthPoint{Count: 100, Cores: 0.13, Bytes: 1.05e7}) // not known well enough
	for _, n := range []float64{10_000, 20_000, 50_000} {
		line.Points = append(line.Points, GrowthPoint{Count: n, Cores: 0.1 + n/1e5, Bytes: 1e7 + n*n})
	}
	line.conclude()
	if math.Abs(line.CPUSlope-1) > 1e-6 || math.Abs(line.LastMemorySlope-2) > 1e-6 {
		t.Errorf("%+v", line)
	}
	s := (&Growth{}).section([]*GrowthLine{&line})
	if s.Marks[0].Met != No || len(s.Plots) != 2 || len(s.Tables) != 2 || len(s.Tables[1].Rows) != 5 {
		t.Errorf("%+v", s)
	}
}
