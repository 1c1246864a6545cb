package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/units"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Path asks what the whole path of a common installation costs: devices, viewers, and all that is between them.
type Path struct {
	Devices int        `help:"How many devices, at QoS 1." default:"2000"`
	Rate    units.Rate `help:"How often each sends." default:"1/s"`
	Viewers int        `help:"How many viewers of all of it." default:"100"`
}

// The marks of the whole path, in cores.
const (
	wantPathCores  = 0.15
	wantSplitCores = 0.25
)

// Name is path.
func (*Path) Name() string { return "path" }

func (p *Path) shrink() { p.Devices, p.Viewers = 200, 10 }

// PathRow is what an installation used.
type PathRow struct {
	Installation string   `json:"installation"`
	Alone        float64  `json:"cores_without_viewers"`
	With         Sample   `json:"with_viewers"`
	Viewers      Crowding `json:"viewers"`
	Acked        float64  `json:"acked_per_second"`
	Puback99     float64  `json:"puback_p99_ms"`
}

func (p *Path) run(ctx context.Context, l *lab) (*Section, error) {
	var rows []*PathRow
	g, err := l.startGateway(ctx)
	if err != nil {
		return nil, err
	}
	row, err := p.measure(ctx, l, g, "single process")
	g.stop()
	if err != nil {
		return nil, err
	}
	rows = append(rows, row)
	redis := find("redis-server")
	if redis == "" {
		s := p.section(rows)
		s.note("redis-server is not installed: split roles were not measured")
		return s, nil
	}
	split, err := l.startSplit(ctx, redis)
	if err != nil {
		return p.section(rows), err
	}
	defer split.stop()
	row, err = p.measure(ctx, l, split, "split roles and Redis")
	if err == nil {
		rows = append(rows, row)
	}
	return p.section(rows), err
}

func (p *Path) measure(ctx context.Context, l *lab, s *server, name string) (*PathRow, error) {
	d, err := l.startFleet(ctx, s, fleet.Options{Devices: p.Devices, Rate: p.Rate, QoS: 1})
	if err != nil {
		return nil, err
	}
	row := &PathRow{Installation: name}
	err = p.look(ctx, l, s, d, row)
	return row, errors.Join(err, d.stop())
}

func (p *Path) look(ctx context.Context, l *lab, s *server, d *devices, row *PathRow) error {
	alone, err := l.measureAlone(ctx, s, "without viewers", l.Measure)
	if err != nil {
		return err
	}
	row.Alone = alone.Cores
	c, err := l.startCrowd(ctx, s, watch.Options{Viewers: p.Viewers})
	if err != nil {
		return err
	}
	before, start := d.Counts().Acked, now()
	row.With, row.Viewers, err = l.measureCrowd(ctx, s, c, l.Measure)
	row.Acked = float64(d.Counts().Acked-before) / since(start)
	row.Puback99 = d.Summary().Puback.P99
	return errors.Join(err, c.stop())
}

func (p *Path) section(rows []*PathRow) *Section {
	s := &Section{Title: fmt.Sprintf("The whole path: %d devices at %g/s QoS 1, %d viewers", p.Devices, float64(p.Rate), p.Viewers), Result: rows}
	t := Table{Head: []string{"", "cores with viewers", "without", "of these", "acked/s", "updates/s", "publish to viewer p50 / p99", "PUBACK p99", "MB resident"}}
	for i, r := range rows {
		s.say("%s: %s", r.Installation, healthText("meanwhile", &r.With.Generator))
		t.add(r.Installation, fmt.Sprintf("**%.3f**", r.With.Cores), fmt.Sprintf("%.3f", r.Alone), partsText(r.With.Parts), fmt.Sprintf("%.0f", r.Acked), fmt.Sprintf("%.0f", r.Viewers.Updates),
			fmt.Sprintf("%.0f / %.0f ms", r.Viewers.Latency.P50, r.Viewers.Latency.P99), fmt.Sprintf("%.1f ms", r.Puback99), fmt.Sprintf("%.0f", float64(r.With.Resident)/1e6))
		want := []float64{wantPathCores, wantSplitCores}[i]
		s.mark(fmt.Sprintf("whole path, %d devices at %g/s and %d viewers, %s", p.Devices, float64(p.Rate), p.Viewers, r.Installation),
			fmt.Sprintf("≤ %.2f core", want), met(r.With.Cores <= want), "%.3f core", r.With.Cores)
		if r.Viewers.Violations > 0 {
			s.note("%s: %d broken promises: %s", r.Installation, r.Viewers.Violations, strings.Join(r.Viewers.Examples, "; "))
		}
	}
	s.Tables = append(s.Tables, t)
	return s
}

func partsText(parts map[string]float64) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		all = append(all, fmt.Sprintf("%s %.3f", name, parts[name]))
	}
	return strings.Join(all, ", ")
}
