package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/units"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Compare is what SSE and WebSocket cost side by side, at one gateway with the same filter and tick, and what proxies make
// of them.
type Compare struct {
	Devices int        `help:"How many devices." default:"200"`
	Rate    units.Rate `help:"How often each sends." default:"1/s"`
	Viewers int        `help:"How many viewers of each transport." default:"300"`
	Proxied int        `help:"How many viewers go through each proxy." default:"50"`
	Every   int        `help:"The viewers' tick in ms." default:"1000"`
}

// Name is part of the files' names.
func (o *Compare) Name() string { return "compare" }

func (o *Compare) shrink() { o.Devices, o.Viewers, o.Proxied = 20, 10, 4 }

// way is a transport as viewers take it.
type way struct {
	name string
	o    watch.Options
}

func (o *Compare) ways() []way {
	return []way{
		{"SSE", watch.Options{}},
		{"SSE, gzip", watch.Options{Gzip: true}},
		{"WebSocket", watch.Options{WebSocketShare: 1}},
	}
}

func (o *Compare) address(server string) string { return fmt.Sprintf("%s?every=%d", server, o.Every) }

// CompareRow is a transport at the gateway itself.
type CompareRow struct {
	Way            string   `json:"transport"`
	Sample         Sample   `json:"with_viewers"`
	Crowding       Crowding `json:"viewers"`
	BytesPerUpdate float64  `json:"bytes_per_update"`
	CPUPerMillion  float64  `json:"cpu_seconds_per_million_updates"` // of the viewers: less what the gateway takes without any
	CPUPerViewer   float64  `json:"cpu_ms_per_viewer_and_second"`
	KB             float64  `json:"kb_resident_per_idle_viewer"`
}

// ProxyRow is a transport behind a proxy.
type ProxyRow struct {
	Proxy   string              `json:"proxy"`
	Way     string              `json:"transport"`
	Works   bool                `json:"works"`
	Why     string              `json:"why_not,omitempty"`
	Latency Latency             `json:"latency_from_intended"`
	Back    measure.Percentiles `json:"until_current_after_a_cut"`
	Missing int                 `json:"never_back"`
	Resets  int64               `json:"resets"`
	Broken  []string            `json:"broken,omitempty"`
}

type compared struct {
	Alone   Sample        `json:"without_viewers"`
	Rows    []*CompareRow `json:"transports"`
	Proxies []*ProxyRow   `json:"proxies"`
}

func (o *Compare) run(ctx context.Context, l *lab) (*Section, error) {
	found := &compared{}
	sizes := map[string]float64{}
	for _, w := range o.ways() {
		kb, err := o.memory(ctx, l, w)
		if err != nil {
			return o.section(found), err
		}
		sizes[w.name] = kb
	}
	err := l.withDevices(ctx, fleet.Options{Devices: o.Devices, Rate: o.Rate}, func(s *server, _ *devices) (err error) {
		if found.Alone, err = l.measureAlone(ctx, s, "without viewers", l.Measure); err != nil {
			return err
		}
		for _, w := range o.ways() {
			row := &CompareRow{Way: w.name, KB: sizes[w.name]}
			found.Rows = append(found.Rows, row)
			if err := o.measure(ctx, l, s, w, found.Alone, row); err != nil {
				return err
			}
		}
		return o.throughProxies(ctx, l, s, found)
	})
	return o.section(found), err
}

// memory is what an idle viewer takes of a fresh gateway.
func (o *Compare) memory(ctx context.Context, l *lab, w way) (float64, error) {
	s, err := l.startGateway(ctx)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	row := &MemoryRow{Server: "gateway", What: w.name, Count: o.Viewers}
	err = l.grown(ctx, s, row, func() (func() error, error) {
		v := w.o
		v.Viewers, v.URL = o.Viewers, o.address(s.url)
		c, err := l.startCrowd(ctx, s, v)
		if err != nil {
			return nil, err
		}
		return c.stop, nil
	})
	return row.Bytes / 1000, err
}

func (o *Compare) measure(ctx context.Context, l *lab, s *server, w way, alone Sample, row *CompareRow) error {
	v := w.o
	v.Viewers, v.Blind, v.URL = o.Viewers, true, o.address(s.url)
	c, err := l.startCrowd(ctx, s, v)
	if err != nil {
		return err
	}
	row.Sample, row.Crowding, err = l.measureCrowd(ctx, s, c, l.Measure)
	if err := errors.Join(err, c.stop()); err != nil {
		return err
	}
	more := row.Sample.Cores - alone.Cores
	row.CPUPerViewer = more * 1000 / float64(o.Viewers)
	if row.Crowding.Updates > 0 {
		row.BytesPerUpdate = row.Crowding.Bytes / row.Crowding.Updates
		row.CPUPerMillion = more / row.Crowding.Updates * 1e6
	}
	return nil
}

// throughProxies looks at each transport at the gateway itself and behind each proxy that is installed.
func (o *Compare) throughProxies(ctx context.Context, l *lab, s *server, found *compared) error {
	rows, err := o.behind(ctx, l, "none", s.url)
	found.Proxies = append(found.Proxies, rows...)
	for i := range comparedProxies {
		p := &comparedProxies[i]
		if err != nil {
			return err
		}
		program := find(p.program)
		if program == "" {
			l.say("%s is not installed", p.program)
			continue
		}
		err = o.behindProxy(ctx, l, s, p, program, found)
	}
	return err
}

func (o *Compare) behindProxy(ctx context.Context, l *lab, s *server, p *proxied, program string, found *compared) error {
	c, address, err := p.start(ctx, l, program, s.http)
	if err != nil {
		return err
	}
	defer c.stop()
	rows, err := o.behind(ctx, l, p.name, "http://"+address+"/stream/assets")
	found.Proxies = append(found.Proxies, rows...)
	return err
}

// connectsWithin is how long a transport may take to come through a proxy before it is said not to.
const connectsWithin = 15 * time.Second

func (o *Compare) behind(ctx context.Context, l *lab, proxy, address string) (rows []*ProxyRow, err error) {
	for _, w := range o.ways() {
		row := &ProxyRow{Proxy: proxy, Way: w.name}
		rows = append(rows, row)
		if err := o.lookThrough(ctx, l, w, address, row); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// lookThrough has viewers look for a time, cuts them and waits until they are current again.
func (o *Compare) lookThrough(ctx context.Context, l *lab, w way, address string, row *ProxyRow) error {
	v := w.o
	v.Viewers, v.URL, v.ConnectRate, v.CheckShare = o.Proxied, o.address(address), connectRate, 1
	l.say("%d viewers over %s, proxy: %s", o.Proxied, w.name, row.Proxy)
	c, err := openCrowd(ctx, v)
	if err != nil {
		return err
	}
	if err := waitFor(ctx, connectsWithin, "a viewer is live", func() bool { return c.Counts().Live > 0 }); err != nil {
		if ctx.Err() != nil {
			return errors.Join(err, c.stop())
		}
		row.Why = fmt.Sprintf("none of %d viewers within %v", o.Proxied, connectsWithin)
		_ = c.stop() // that nothing was opened is what is told
		return nil
	}
	if err := waitFor(ctx, connectTimeout, "viewers are live", func() bool { return c.Counts().Live >= int64(o.Proxied) }); err != nil {
		return errors.Join(err, c.stop())
	}
	row.Works = true
	c.ForgetLatencies()
	if err := pause(ctx, l.Measure); err != nil {
		return errors.Join(err, c.stop())
	}
	row.Latency = latencyOf(c)
	before := c.Counts().Resets
	c.Drop(false)
	if err := waitFor(ctx, connectTimeout, "viewers are back", func() bool { return c.Away() == 0 }); err != nil && ctx.Err() != nil {
		return errors.Join(err, c.stop())
	}
	row.Back, row.Missing, row.Resets = c.Returned(), c.Away(), c.Counts().Resets-before
	row.Broken = c.Report().Examples
	return c.stop()
}

func (o *Compare) section(found *compared) *Section {
	s := &Section{Title: "SSE and WebSocket side by side", Result: found}
	s.say("One gateway, %d devices at %g updates a second each, which every viewer sees; all viewers have a tick of %d ms. The processor time of viewers is that of the gateway with them less without.", o.Devices, float64(o.Rate), o.Every)
	costs := Table{Title: fmt.Sprintf("%d viewers of each, directly", o.Viewers), Head: []string{"transport", "bytes an update", "CPU ms a viewer and second", "CPU s a million updates", "kB an idle viewer"}}
	for _, r := range found.Rows {
		s.say("%s: %s", r.Way, healthText("with its viewers", &r.Sample.Generator))
		costs.add(r.Way, fmt.Sprintf("%.0f", r.BytesPerUpdate), fmt.Sprintf("%.2f ± %.2f", r.CPUPerViewer, r.Sample.Error*1000/float64(o.Viewers)), fmt.Sprintf("%.2f", r.CPUPerMillion), fmt.Sprintf("%.1f", r.KB))
		if len(r.Crowding.Examples) > 0 {
			s.note("%s: broken promises: %s", r.Way, strings.Join(r.Crowding.Examples, "; "))
		}
	}
	proxies := Table{Title: fmt.Sprintf("%d viewers of each through proxies; all connections are cut at once, and resume", o.Proxied), Head: []string{"proxy", "transport", "device to viewer p50 / p99", "current again after a cut p50 / p99", "resets"}}
	for _, r := range found.Proxies {
		if !r.Works {
			proxies.add(r.Proxy, r.Way, "does not come through", r.Why, "")
			continue
		}
		proxies.add(r.Proxy, r.Way, fmt.Sprintf("%.0f / %.0f ms", r.Latency.P50, r.Latency.P99), fmt.Sprintf("%.0f / %.0f ms", r.Back.P50, r.Back.P99), fmt.Sprint(r.Resets))
		if r.Missing > 0 || len(r.Broken) > 0 {
			s.note("%s through %s: %d never came back; broken promises: %s", r.Way, r.Proxy, r.Missing, strings.Join(r.Broken, "; "))
		}
	}
	s.Tables = append(s.Tables, costs, proxies)
	return s
}
