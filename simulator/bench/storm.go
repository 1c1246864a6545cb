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

// Storm asks what happens where many viewers are cut off and come back at once, with a resume id and without, and what
// those notice who were not.
type Storm struct {
	Devices int           `help:"How many devices." default:"10000"`
	Rate    units.Rate    `help:"How often each sends." default:"1/100s"`
	Viewers int           `help:"How many viewers drop; a fifth of them drops alone first, so that two sizes can be compared." default:"5000"`
	Stay    int           `help:"How many viewers stay." default:"100"`
	Limit   time.Duration `help:"How long to wait until all are back." default:"3m"`
}

// Name is storm.
func (*Storm) Name() string { return "storm" }

func (o *Storm) shrink() { o.Devices, o.Viewers, o.Stay, o.Rate = 500, 100, 10, 1 }

// StormRow is one storm.
type StormRow struct {
	Viewers int    `json:"viewers"`
	Kind    string `json:"kind"`
	// Back are the times from the drop until each viewer shows all that there is.
	Back      measure.Percentiles `json:"until_current"`
	Missing   int                 `json:"never_back"`
	MB        float64             `json:"megabytes_sent"`
	CPU       float64             `json:"server_cpu_seconds"`
	Before    int64               `json:"resident_bytes_before"`
	Peak      int64               `json:"resident_bytes_peak"`
	Stayed    Latency             `json:"latency_of_those_who_stayed"`
	Calm      Latency             `json:"latency_of_those_who_stayed_before"`
	Resets    int64               `json:"resets"`
	Generator measure.Health      `json:"generator"`
}

func (o *Storm) run(ctx context.Context, l *lab) (*Section, error) {
	var rows []*StormRow
	var broken []string
	err := l.withDevices(ctx, fleet.Options{Devices: o.Devices, Rate: o.Rate}, func(s *server, _ *devices) error {
		stay, err := l.startCrowd(ctx, s, watch.Options{Viewers: o.Stay})
		if err != nil {
			return err
		}
		few, err := l.startCrowd(ctx, s, watch.Options{Viewers: max(o.Viewers/5, 1), Blind: true})
		if err != nil {
			return errors.Join(err, stay.stop())
		}
		rest, err := l.startCrowd(ctx, s, watch.Options{Viewers: max(o.Viewers-few.viewers, 1), Blind: true})
		if err != nil {
			return errors.Join(err, stay.stop(), few.stop())
		}
		rows, err = o.storms(ctx, l, s, stay, few, rest)
		for _, c := range []*crowd{few, rest} {
			broken = append(broken, c.Report().Examples...)
			err = errors.Join(err, c.stop())
		}
		if err == nil {
			err = o.packed(ctx, l, s, stay, &rows)
		}
		broken = append(broken, stay.Report().Examples...)
		return errors.Join(err, stay.stop())
	})
	return o.section(rows, broken), err
}

// packed is the largest storm again, of viewers that take gzip, as browsers do. To decompress five thousand snapshots would
// take the generator longer than the gateway's whole part, so a tenth do, and tell when they are back. They are dropped
// last, so they are no sooner in turn than the others, which count what they read.
func (o *Storm) packed(ctx context.Context, l *lab, s *server, stay *crowd, rows *[]*StormRow) error {
	read := max(o.Viewers/10, 1)
	rest, err := l.startCrowd(ctx, s, watch.Options{Viewers: max(o.Viewers-read, 1), Gzip: true, Raw: true})
	if err != nil {
		return err
	}
	few, err := l.startCrowd(ctx, s, watch.Options{Viewers: read, Gzip: true, Blind: true})
	if err != nil {
		return errors.Join(err, rest.stop())
	}
	row := &StormRow{Kind: "without an id, gzip", Viewers: rest.viewers + read}
	err = o.storm(ctx, l, s, stay, []*crowd{rest, few}, true, row)
	*rows = append(*rows, row)
	return errors.Join(err, rest.stop(), few.stop())
}

func (o *Storm) storms(ctx context.Context, l *lab, s *server, stay, few, rest *crowd) ([]*StormRow, error) {
	var rows []*StormRow
	for _, kind := range []struct {
		forget bool
		crowds []*crowd
	}{{false, []*crowd{few}}, {false, []*crowd{few, rest}}, {true, []*crowd{few}}, {true, []*crowd{few, rest}}} {
		row := &StormRow{Kind: "with the last id"}
		if kind.forget {
			row.Kind = "without an id"
		}
		for _, c := range kind.crowds {
			row.Viewers += c.viewers
		}
		if err := o.storm(ctx, l, s, stay, kind.crowds, kind.forget, row); err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// storm lets it be calm for a time, drops the crowds and waits until they are back.
func (o *Storm) storm(ctx context.Context, l *lab, s *server, stay *crowd, crowds []*crowd, forget bool, row *StormRow) error {
	if err := pause(ctx, l.Warm); err != nil {
		return err
	}
	stay.ForgetLatencies()
	if err := pause(ctx, l.Measure); err != nil {
		return err
	}
	row.Calm = latencyOf(stay)
	stay.ForgetLatencies()
	probe, err := measure.NewProbe()
	if err != nil {
		return err
	}
	watching := runInBackground(ctx, func(ctx context.Context) error { probe.Run(ctx); return nil })
	bytes, resets := total(crowds)
	l.say("dropping %d viewers, %s", row.Viewers, row.Kind)
	err = o.drop(ctx, s, crowds, forget, row)
	row.Generator, _ = probe.Health() // it was made, so it can be read
	bytesAfter, resetsAfter := total(crowds)
	row.MB, row.Resets = float64(bytesAfter-bytes)/1e6, resetsAfter-resets
	row.Stayed = latencyOf(stay)
	return errors.Join(err, watching.stop())
}

func (o *Storm) drop(ctx context.Context, s *server, crowds []*crowd, forget bool, row *StormRow) error {
	pid := s.parts[0].pid()
	if err := resetPeak(pid); err != nil {
		return err
	}
	var err1, err2 error
	row.Before, err1 = residentBytes(pid)
	cpu, err2 := cpuSeconds(pid)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	for _, c := range crowds {
		c.Drop(forget)
	}
	away := func() (n int) {
		for _, c := range crowds {
			if !c.raw { // else it does not know
				n += c.Away()
			}
		}
		return n
	}
	if err := waitFor(ctx, o.Limit, "viewers are back", func() bool { return away() == 0 }); err != nil && ctx.Err() != nil {
		return err
	}
	row.Missing = away()
	after, err1 := cpuSeconds(pid)
	row.CPU = after - cpu
	row.Peak, err2 = peakBytes(pid)
	for _, c := range crowds { // the slower of the two
		if r := c.Returned(); r.Max >= row.Back.Max {
			row.Back = r
		}
	}
	return errors.Join(err1, err2)
}

func latencyOf(c *crowd) Latency {
	r := c.Report().Latency
	return Latency{r.P50, r.P99, r.Max}
}

func total(crowds []*crowd) (bytes, resets int64) {
	for _, c := range crowds {
		n := c.Counts()
		bytes, resets = bytes+n.Bytes, resets+n.Resets
	}
	return bytes, resets
}

func (o *Storm) section(rows []*StormRow, broken []string) *Section {
	s := &Section{Title: fmt.Sprintf("Reconnect storm: a fleet of %d devices, %d viewers come back at once", o.Devices, o.Viewers), Result: rows}
	s.say("All connections end in one moment and every viewer connects anew at once, from one process that also reads what they get, though only those who stay look into it: the time until all are current has the generator's own work in it. Where they take gzip a tenth of them decompress it, those who come back last, and say when they are current. The devices send %.0f updates a second.", float64(o.Devices)*float64(o.Rate))
	t := Table{Head: []string{"storm", "until current p50 / p99 / max", "never back", "resets", "MB sent", "server CPU s", "RSS before → peak", "kB more a viewer", "p99 of those who stayed, before → in the storm"}}
	for _, r := range rows {
		s.say("%d viewers %s: %s", r.Viewers, r.Kind, healthText("in the storm", &r.Generator))
		t.add(fmt.Sprintf("%d %s", r.Viewers, r.Kind), fmt.Sprintf("%.2f / %.2f / %.2f s", r.Back.P50/1000, r.Back.P99/1000, r.Back.Max/1000), fmt.Sprint(r.Missing), fmt.Sprint(r.Resets),
			fmt.Sprintf("%.0f", r.MB), fmt.Sprintf("%.2f", r.CPU), fmt.Sprintf("%.0f → %.0f MB", float64(r.Before)/1e6, float64(r.Peak)/1e6),
			fmt.Sprintf("%.1f", float64(r.Peak-r.Before)/float64(r.Viewers)/1000), fmt.Sprintf("%.0f → %.0f ms", r.Calm.P99, r.Stayed.P99))
		s.mark(fmt.Sprintf("storm of %d viewers %s: until current; peak; p99 of those who stayed", r.Viewers, r.Kind), "all are back", met(r.Missing == 0),
			"%.1f s; +%.0f MB; %.0f → %.0f ms", r.Back.Max/1000, float64(r.Peak-r.Before)/1e6, r.Calm.P99, r.Stayed.P99)
	}
	s.Tables = append(s.Tables, t)
	if len(broken) > 0 {
		s.note("broken promises: %s", strings.Join(broken, "; "))
	}
	return s
}
