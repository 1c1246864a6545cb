package bench

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

func TestEachViewerHasAListOfItsOwn(t *testing.T) {
	o := Filters{List: 100}
	seen := map[string]bool{}
	for viewer := range 50 {
		list := o.list(viewer, 1000)
		query, err := url.ParseQuery(list)
		if err != nil || len(query["device"]) != 100 || seen[list] || list != o.list(viewer, 1000) {
			t.Fatalf("viewer %d: %v, %d devices", viewer, err, len(query["device"]))
		}
		seen[list] = true
	}
	if list := o.list(1, 20); strings.Count(list, "device=") != 20 {
		t.Errorf("of a small fleet: %s", list)
	}
}

func TestARectangleHoldsAsManyDevicesAsAreWanted(t *testing.T) {
	var points [][2]float64
	for i := range 1000 {
		points = append(points, [2]float64{float64(i%40) - 20, float64(i/40) + 40})
	}
	for _, centre := range []int{0, 500, 999} {
		var edges [4]float64
		for i, text := range strings.Split(boxAround(points, points[centre], 30), ",") {
			var err error
			if edges[i], err = strconv.ParseFloat(text, 64); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for _, p := range points {
			if p[0] >= edges[0] && p[0] <= edges[2] && p[1] >= edges[1] && p[1] <= edges[3] {
				n++
			}
		}
		if n < 30 || n > 90 {
			t.Errorf("around %v: %d", points[centre], n)
		}
	}
}

func TestFiltersAreJudgedByTheFleetsSize(t *testing.T) {
	row := func(kind string, devices int, cores float64) *FilterRow {
		r := &FilterRow{Kind: kind, Devices: devices, With: Sample{Cores: cores, Error: 0.001}, Viewers: Crowding{Updates: 10_000}}
		r.conclude(Sample{Cores: 0.1, Error: 0.001}, Sample{Cores: 0.1, Error: 0.001})
		return r
	}
	for cores, want := range map[float64]Met{0.22: Yes, 1.1: No} {
		s := (&Filters{}).section([]*FilterRow{row("no filter", 100, 0.15), row("device lists", 1000, 0.2), row("device lists", 10000, cores)})
		if len(s.Marks) != 1 || s.Marks[0].Met != want {
			t.Errorf("%g: %+v", cores, s.Marks)
		}
	}
}

func TestCompressionIsJudgedByProcessorTimeAndBytes(t *testing.T) {
	plain := &GzipRow{Kind: "plain", Cores: 0.4, Updates: 1000, Bytes: 200_000, RawBytes: 200_000}
	packed := &GzipRow{Kind: "gzip", Cores: 0.3, Updates: 1000, Bytes: 60_000, RawBytes: 60_000}
	for _, r := range []*GzipRow{plain, packed} {
		r.conclude(0.1, 2)
	}
	if math.Abs(plain.Cores-0.1) > 1e-9 || packed.Updates != 500 {
		t.Errorf("%+v %+v", plain, packed)
	}
	s := (&Gzip{Viewers: 10}).section(plain, packed, 0.001)
	if s.Marks[0].Met != Yes || s.Marks[1].Met != No || !strings.Contains(s.Marks[1].Got, "0.30") {
		t.Errorf("%+v", s.Marks)
	}
}

func TestSlowRunsAreComparedByTheirMedians(t *testing.T) {
	run := func(slow int, resident, p99 float64) *SlowRun {
		return &SlowRun{Slow: slow, Resident: resident, Fast: Latency{P99: p99}, LeastBytes: 900}
	}
	o := &Slow{Viewers: 10, Share: 0.1, Pace: 1000}
	with, without := []*SlowRun{run(1, 104, 90), run(1, 106, 110), run(1, 500, 100)}, []*SlowRun{run(0, 100, 95), run(0, 103, 105)}
	s := o.section(with, without)
	if s.Marks[0].Met != Yes || !strings.Contains(s.Marks[0].Got, "+4.4 %") || s.Marks[1].Got != "100 ms with, 100 ms without" || s.Marks[2].Met != Yes {
		t.Errorf("%+v", s.Marks)
	}
	if s := o.section(with, nil); len(s.Marks) != 0 {
		t.Errorf("half a comparison: %+v", s.Marks)
	}
}

func TestAStormIsToldWithWhatItTook(t *testing.T) {
	s := (&Storm{Devices: 10, Viewers: 5, Rate: 1}).section([]*StormRow{
		{Viewers: 5, Kind: "with the last id", Back: measure.Percentiles{Max: 1500}, Before: 10e6, Peak: 11e6},
		{Viewers: 5, Kind: "without an id", Missing: 1},
	}, []string{"a lie"})
	if s.Marks[0].Met != Yes || s.Marks[1].Met != No || !strings.Contains(s.Marks[0].Got, "1.5 s; +1 MB") || len(s.Notes) != 1 {
		t.Errorf("%+v %q", s.Marks, s.Notes)
	}
}

func TestASickGeneratorIsTold(t *testing.T) {
	h := measure.Health{Share: 0.3, Notes: []string{"tired"}}
	if text := healthText("here", &h); text != "Generator here: 30 % of its cores, wake-ups 0.0 ms late at p99. Tired." {
		t.Error(text)
	}
}
