package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Gzip asks what compression costs and saves: the same viewers of the same fleet, with plain streams and compressed ones
// in turns.
type Gzip struct {
	Viewers int `help:"How many viewers." default:"1000"`
	Assets  int `help:"How many assets change in a window." default:"50"`
	Rounds  int `help:"How often both are measured, in turns." default:"2"`
	Sample  int `help:"How many of the viewers decompress and check what they read; the others count its bytes." default:"20"`
}

// wantGzipBytes is the mark: the part of the plain bytes.
const wantGzipBytes = 0.25

// Name is gzip.
func (*Gzip) Name() string { return "gzip" }

func (g *Gzip) shrink() { g.Viewers, g.Assets, g.Rounds, g.Sample = 100, 20, 1, 5 }

// GzipRow is one kind of stream.
type GzipRow struct {
	Kind      string   `json:"kind"`
	Cores     float64  `json:"viewers_cores"` // with them less without
	Updates   float64  `json:"updates_per_second_of_a_viewer"`
	Bytes     float64  `json:"bytes_per_second_of_a_viewer"`
	RawBytes  float64  `json:"bytes_per_second_of_an_unread_viewer"`
	Latency   Latency  `json:"latency_from_intended"`
	Generator []Sample `json:"samples"`
	Broken    int64    `json:"violations"`
}

func (g *Gzip) run(ctx context.Context, l *lab) (*Section, error) {
	var result *Section
	sends := int(float64(g.Assets) / l.Window.Seconds())
	err := l.withDevices(ctx, fleet.Options{Devices: sends, Rate: 1}, func(s *server, _ *devices) error {
		_, header, err := ask(ctx, s.url, http.Header{"Accept": {"text/event-stream"}, "Accept-Encoding": {"gzip"}})
		if err != nil {
			return err
		}
		if header.Get("Content-Encoding") != "gzip" {
			result = &Section{Title: "Compression"}
			result.say("This gateway does not compress streams.")
			return nil
		}
		result, err = g.rounds(ctx, l, s)
		return err
	})
	return result, err
}

func (g *Gzip) rounds(ctx context.Context, l *lab, s *server) (*Section, error) {
	plain, packed := &GzipRow{Kind: "plain"}, &GzipRow{Kind: "gzip"}
	var alone []float64
	for range g.Rounds {
		before, err := l.measureAlone(ctx, s, "without viewers", l.Measure)
		if err != nil {
			return nil, err
		}
		alone = append(alone, before.Cores)
		for _, row := range []*GzipRow{plain, packed} {
			if err := g.measure(ctx, l, s, row); err != nil {
				return nil, err
			}
		}
	}
	after, err := l.measureAlone(ctx, s, "without viewers again", l.Measure)
	if err != nil {
		return nil, err
	}
	alone = append(alone, after.Cores)
	for _, row := range []*GzipRow{plain, packed} {
		row.conclude(mean(alone), g.Rounds)
	}
	return g.section(plain, packed, standardError(alone)), nil
}

// measure opens a few viewers that read and many that count, and closes them.
func (g *Gzip) measure(ctx context.Context, l *lab, s *server, row *GzipRow) error {
	isGzip := row.Kind == "gzip"
	few, err := l.startCrowd(ctx, s, watch.Options{Viewers: g.Sample, Gzip: isGzip})
	if err != nil {
		return err
	}
	many, err := l.startCrowd(ctx, s, watch.Options{Viewers: g.Viewers - g.Sample, Gzip: isGzip, Raw: true})
	if err != nil {
		return errors.Join(err, few.stop())
	}
	err = g.look(ctx, l, s, few, many, row)
	return errors.Join(err, few.stop(), many.stop())
}

func (g *Gzip) look(ctx context.Context, l *lab, s *server, few, many *crowd, row *GzipRow) error {
	if err := pause(ctx, l.Warm); err != nil { // beside the wait of measureCrowd: the snapshots are out
		return err
	}
	before, start := many.Counts().Bytes, now()
	m, got, err := l.measureCrowd(ctx, s, few, l.Measure)
	if err != nil {
		return err
	}
	raw := float64(many.Counts().Bytes-before) / since(start)
	row.Cores += m.Cores
	row.Updates += got.Updates / float64(few.viewers)
	row.Bytes += got.Bytes / float64(few.viewers)
	row.RawBytes += raw / float64(many.viewers)
	row.Latency = Latency{max(row.Latency.P50, got.Latency.P50), max(row.Latency.P99, got.Latency.P99), max(row.Latency.Max, got.Latency.Max)}
	row.Generator = append(row.Generator, m)
	row.Broken += got.Violations
	return nil
}

func (r *GzipRow) conclude(alone float64, rounds int) {
	n := float64(rounds)
	r.Cores, r.Updates, r.Bytes, r.RawBytes = r.Cores/n-alone, r.Updates/n, r.Bytes/n, r.RawBytes/n
}

func (g *Gzip) section(plain, packed *GzipRow, drift float64) *Section {
	s := &Section{Title: fmt.Sprintf("Compression: %d viewers, %d assets a window", g.Viewers, g.Assets), Result: []*GzipRow{plain, packed}}
	s.say("%d of the viewers decompress and check; the others count what comes over the wire. %d rounds, in turns.", g.Sample, g.Rounds)
	t := Table{Head: []string{"", "plain", "gzip", "gzip / plain"}}
	row := func(name, format string, value func(*GzipRow) float64) {
		a, b := value(plain), value(packed)
		t.add(name, fmt.Sprintf(format, a), fmt.Sprintf(format, b), fmt.Sprintf("%.2f", over(b, a)))
	}
	for _, r := range []*GzipRow{plain, packed} {
		for i := range r.Generator {
			s.say("%s, round %d: %s", r.Kind, i+1, healthText("meanwhile", &r.Generator[i].Generator))
		}
	}
	row("cores of the viewers", "%.3f", func(r *GzipRow) float64 { return r.Cores })
	row("kB/s a viewer, read", "%.2f", func(r *GzipRow) float64 { return r.Bytes / 1000 })
	row("kB/s a viewer, counted only", "%.2f", func(r *GzipRow) float64 { return r.RawBytes / 1000 })
	row("updates/s a viewer", "%.0f", func(r *GzipRow) float64 { return r.Updates })
	row("publish to viewer p50, ms", "%.0f", func(r *GzipRow) float64 { return r.Latency.P50 })
	row("publish to viewer p99, ms", "%.0f", func(r *GzipRow) float64 { return r.Latency.P99 })
	s.Tables = append(s.Tables, t)
	s.say("The use without viewers moved by %.3f cores (a standard error).", drift)
	s.mark(fmt.Sprintf("gzip, %d viewers and %d assets a window: CPU over plain", g.Viewers, g.Assets), "≤ 1", met(packed.Cores <= plain.Cores+drift), "%.2f ± %.2f",
		over(packed.Cores, plain.Cores), over(drift, plain.Cores))
	s.mark("gzip: bytes over plain", fmt.Sprintf("≤ %.2f", wantGzipBytes), met(packed.RawBytes <= wantGzipBytes*plain.RawBytes), "%.2f", over(packed.RawBytes, plain.RawBytes))
	if broken := plain.Broken + packed.Broken; broken > 0 {
		s.note("%d broken promises", broken)
	}
	return s
}

// over is a ratio, 0 where there is none.
func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
