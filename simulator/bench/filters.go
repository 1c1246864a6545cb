package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/units"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Filters asks whether a filter of one's own costs what one receives: as many viewers, each with another list of devices
// or another rectangle, in a small fleet and a large one, against viewers of a fleet that is no larger than a list.
type Filters struct {
	Devices int        `help:"Devices of the large fleet; the small one has a tenth." default:"10000"`
	Rate    units.Rate `help:"How often each sends." default:"1/10s"`
	Viewers int        `help:"How many viewers, each with a filter of its own." default:"1000"`
	List    int        `help:"Devices of each filter." default:"100"`
}

// Name is filters.
func (*Filters) Name() string { return "filters" }

func (o *Filters) shrink() { o.Devices, o.Viewers, o.List, o.Rate = 500, 50, 20, 1 }

// FilterRow is one kind of filter in one fleet.
type FilterRow struct {
	Kind    string   `json:"kind"`
	Devices int      `json:"devices"`
	Alone   float64  `json:"cores_without_viewers"`
	With    Sample   `json:"with_viewers"`
	Viewers Crowding `json:"viewers"`
	Cost    float64  `json:"viewers_cpu_seconds_per_million"`
	Error   float64  `json:"viewers_cpu_seconds_per_million_error"`
}

// filterPrefix is the start of the devices' ids.
const filterPrefix = "d"

func (o *Filters) run(ctx context.Context, l *lab) (*Section, error) {
	var rows []*FilterRow
	for _, fleetSize := range []int{o.List, o.Devices / 10, o.Devices} {
		err := l.withDevices(ctx, fleet.Options{Devices: fleetSize, Rate: o.Rate, Prefix: filterPrefix}, func(s *server, _ *devices) error {
			more, err := o.fleet(ctx, l, s, fleetSize)
			rows = append(rows, more...)
			return err
		})
		if err != nil {
			return o.section(rows), err
		}
	}
	return o.section(rows), nil
}

// fleet measures all kinds of filters in one fleet.
func (o *Filters) fleet(ctx context.Context, l *lab, s *server, size int) ([]*FilterRow, error) {
	if err := pause(ctx, o.Rate.Interval()); err != nil { // until every device has spoken
		return nil, err
	}
	kinds := []*FilterRow{{Kind: "no filter", Devices: size}}
	addresses := []func(int) string{func(int) string { return s.url }}
	if size > o.List {
		kinds = []*FilterRow{{Kind: "device lists", Devices: size}}
		addresses = []func(int) string{func(i int) string { return s.url + "?" + o.list(i, size) }}
		boxes, err := o.boxes(ctx, l, s)
		if err != nil {
			return nil, err
		}
		if boxes != nil {
			kinds = append(kinds, &FilterRow{Kind: "rectangles", Devices: size})
			addresses = append(addresses, func(i int) string { return s.url + "?bbox=" + boxes[i] })
		}
	}
	alone, err := l.measureAlone(ctx, s, "without viewers", l.Measure)
	if err != nil {
		return nil, err
	}
	for i, row := range kinds {
		if err := o.measure(ctx, l, s, row, addresses[i]); err != nil {
			return kinds[:i], err
		}
	}
	after, err := l.measureAlone(ctx, s, "without viewers again", l.Measure)
	for _, row := range kinds {
		row.conclude(alone, after)
	}
	return kinds, err
}

func (r *FilterRow) conclude(before, after Sample) {
	r.Alone = (before.Cores + after.Cores) / 2
	alone := max(math.Abs(before.Cores-after.Cores)/2, math.Hypot(before.Error, after.Error)/2)
	r.Cost = perMillion(r.With.Cores-r.Alone, r.Viewers.Updates)
	r.Error = perMillion(math.Hypot(r.With.Error, alone), r.Viewers.Updates)
}

func (o *Filters) measure(ctx context.Context, l *lab, s *server, row *FilterRow, address func(int) string) error {
	c, err := l.startCrowd(ctx, s, watch.Options{Viewers: o.Viewers, Address: address})
	if err != nil {
		return err
	}
	row.With, row.Viewers, err = l.measureCrowd(ctx, s, c, l.Measure)
	return errors.Join(err, c.stop())
}

// list is the filter of a viewer: devices of the fleet at random, others for each viewer and the same in each run.
func (o *Filters) list(viewer, size int) string {
	var ids []string
	for _, device := range rand.New(rand.NewPCG(uint64(viewer), 1)).Perm(size)[:min(o.List, size)] {
		ids = append(ids, fmt.Sprintf("device=%s%d", filterPrefix, device))
	}
	return strings.Join(ids, "&")
}

// boxes are rectangles with as many devices as a list has, each around another device; nil where the gateway knows none.
func (o *Filters) boxes(ctx context.Context, l *lab, s *server) ([]string, error) {
	status, _, err := ask(ctx, s.url+"?bbox="+url.QueryEscape("-1,-1,1,1"), http.Header{"Accept": {"text/event-stream"}})
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		l.say("this gateway knows no bbox: %d", status)
		return nil, nil
	}
	var places struct {
		Features []struct {
			Geometry struct {
				Coordinates []float64 `json:"coordinates"`
			} `json:"geometry"`
		} `json:"features"`
	}
	if err := s.get(ctx, "/api/assets.geojson", &places); err != nil {
		return nil, err
	}
	var points [][2]float64
	for _, f := range places.Features {
		if c := f.Geometry.Coordinates; len(c) >= 2 {
			points = append(points, [2]float64{c[0], c[1]})
		}
	}
	if len(points) == 0 {
		return nil, fmt.Errorf("make rectangles: %w", errNothingDelivered)
	}
	boxes := make([]string, o.Viewers)
	for i := range boxes {
		boxes[i] = boxAround(points, points[i*len(points)/o.Viewers], o.List)
	}
	return boxes, nil
}

// boxAround is the square around a place that holds count of the points, at least.
func boxAround(points [][2]float64, centre [2]float64, count int) string {
	far := make([]float64, len(points))
	for i, p := range points {
		far[i] = max(math.Abs(p[0]-centre[0]), math.Abs(p[1]-centre[1]))
	}
	slices.Sort(far)
	half := far[min(count, len(far))-1] + 1e-6
	return fmt.Sprintf("%.6f,%.6f,%.6f,%.6f", max(centre[0]-half, -180), max(centre[1]-half, -90), min(centre[0]+half, 180), min(centre[1]+half, 90))
}

func (o *Filters) section(rows []*FilterRow) *Section {
	s := &Section{Title: fmt.Sprintf("Filters: %d viewers, each with one of its own, of about %d devices", o.Viewers, o.List), Result: rows}
	s.say("What viewers cost is the difference to the same gateway without them. A viewer of the smallest fleet sees all of it, one of the others as many devices by a filter that nobody else has.")
	t := Table{Head: []string{"filter", "fleet", "updates/s delivered", "cores with viewers", "without", "CPU s of the viewers a million updates", "against no filter", "p50 / p99"}}
	for _, r := range rows {
		s.say("%s of %d: %s", r.Kind, r.Devices, healthText("meanwhile", &r.With.Generator))
		ratio := over(r.Cost, rows[0].Cost)
		t.add(r.Kind, fmt.Sprint(r.Devices), fmt.Sprintf("%.0f", r.Viewers.Updates), fmt.Sprintf("%.3f", r.With.Cores), fmt.Sprintf("%.3f", r.Alone),
			fmt.Sprintf("%.2f ± %.2f", r.Cost, r.Error), fmt.Sprintf("%.2f", ratio), fmt.Sprintf("%.0f / %.0f ms", r.Viewers.Latency.P50, r.Viewers.Latency.P99))
		if r.Viewers.Violations > 0 {
			s.note("%s of %d: %d broken promises: %s", r.Kind, r.Devices, r.Viewers.Violations, strings.Join(r.Viewers.Examples, "; "))
		}
	}
	s.Tables = append(s.Tables, t)
	for _, kind := range []string{"device lists", "rectangles"} {
		s.markFilter(kind, rows)
	}
	return s
}

// markFilter compares a kind of filter in the small and in the large fleet.
func (s *Section) markFilter(kind string, rows []*FilterRow) {
	var small, large *FilterRow
	for _, r := range rows {
		if r.Kind != kind {
			continue
		}
		if small == nil {
			small = r
		}
		large = r
	}
	if small == nil || small == large {
		return
	}
	verdict := met(large.Cost-large.Error <= 1.5*(small.Cost+small.Error))
	s.mark(fmt.Sprintf("%s: CPU an update in a fleet ten times as large", kind), "about 1, not 10", verdict, "%.2f (%.2f against %.2f; no filter %.2f)",
		over(large.Cost, small.Cost), large.Cost, small.Cost, rows[0].Cost)
}
