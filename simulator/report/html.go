package report

import (
	_ "embed" // the page's template
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

//go:embed page.html
var pageText string

// page is parsed when it is first needed, and its functions draw the plots.
func page() (*template.Template, error) {
	t, err := template.New("page").Funcs(template.FuncMap{
		"plots": plots, "curves": curves, "ms": measure.Millis, "shard": shardName, "outcome": func(o Outcome) string { return o.text() },
		"stages": func() any { return stageNames() }, "text": func(r *Report) (string, error) {
			var b strings.Builder
			err := r.WriteText(&b)
			return b.String(), err
		},
	}).Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	return t, nil
}

func stageNames() (all []struct{ Name, About string }) {
	for _, l := range latencies {
		all = append(all, struct{ Name, About string }{l.name, l.about})
	}
	return all
}

// WriteHTML writes one file that needs nothing else: no script, no font, no network.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := page()
	if err != nil {
		return err
	}
	if err := t.Execute(w, r); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// Plot is a drawing with its legend.
type Plot struct {
	Title, Unit string
	SVG         template.HTML
	Lines       []Legend
}

// Legend names a line of a plot.
type Legend struct{ Name, Key string }

// Sizes of a plot in its own units.
const (
	plotWidth, plotHeight = 720.0, 210.0
	plotLeft, plotBottom  = 58.0, 24.0
)

type drawn struct {
	name string
	of   func(*Sample) float64
}

// plots are what happened second by second, with a mark at each event.
func plots(r *Report) (all []Plot) {
	if len(r.Series) < 2 {
		return nil
	}
	for _, p := range []struct {
		title, unit string
		lines       []drawn
	}{
		{"Messages", "a second", []drawn{
			{"offered", func(s *Sample) float64 { return s.Offered }},
			{"sent", func(s *Sample) float64 { return s.Sent }},
			{"acknowledged", func(s *Sample) float64 { return s.Acked }},
			{"skipped", func(s *Sample) float64 { return s.Skipped }},
		}},
		{"Updates at viewers", "a second", []drawn{{"updates", func(s *Sample) float64 { return s.Updates }}}},
		{"Connections", "", []drawn{
			{"devices", func(s *Sample) float64 { return float64(s.Connected) }}, {"live viewers", func(s *Sample) float64 { return float64(s.Live) }},
		}},
		{r.latencyTitle(), "ms", []drawn{
			{"fresh p50", func(s *Sample) float64 { return s.Fresh50 }},
			{"fresh p99", func(s *Sample) float64 { return s.Fresh99 }},
			{"PUBACK p99", func(s *Sample) float64 { return s.Ack99 }},
		}},
		{"Processors that the generator used", "cores", []drawn{{"cores", func(s *Sample) float64 { return s.CPU }}}},
	} {
		if plot := overTime(r, p.title, p.unit, p.lines); plot.SVG != "" {
			all = append(all, plot)
		}
	}
	return all
}

func (r *Report) latencyTitle() string {
	if r.Merged != nil {
		return "Latency of each second in the worst shard"
	}
	return "Latency of each second"
}

func overTime(r *Report, title, unit string, lines []drawn) Plot {
	top, end := 0.0, r.Series[len(r.Series)-1].At
	for i := range r.Series {
		for _, l := range lines {
			top = max(top, l.of(&r.Series[i]))
		}
	}
	if top == 0 {
		return Plot{}
	}
	c := newCanvas()
	top = c.grid(top, func(v float64) string { return short(v) })
	x := func(at float64) float64 { return plotLeft + at/end*(plotWidth-plotLeft) }
	for _, e := range r.Events {
		if e.At <= end {
			fmt.Fprintf(&c.b, `<line class="event" x1="%.1f" x2="%.1f" y1="0" y2="%.1f"><title>%s</title></line>`,
				x(e.At), x(e.At), plotHeight-plotBottom, template.HTMLEscapeString(e.Name))
		}
	}
	for at := 0.0; at <= end; at += timeStep(end) {
		c.label(x(at), short(at)+" s")
	}
	plot := Plot{Title: title, Unit: unit}
	for i, l := range lines {
		class := "l" + strconv.Itoa(i)
		plot.Lines = append(plot.Lines, Legend{l.name, "k" + class[1:]})
		c.start(class)
		for j := range r.Series {
			c.point(x(r.Series[j].At), l.of(&r.Series[j])/top)
		}
		c.end()
	}
	plot.SVG = c.done()
	return plot
}

// timeStep is the distance of the marks below a run of so many seconds.
func timeStep(end float64) float64 {
	for _, step := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800} {
		if end/step <= 8 {
			return step
		}
	}
	return 3600 * math.Ceil(end/3600/8)
}

// curves are the distributions: to the right the rarer, upwards the slower, both in powers of ten.
func curves(r *Report) (all []Plot) {
	c, plot := newCanvas(), Plot{Title: "Latency by percentile", Unit: "ms"}
	top, deepest := 1.0, 1.0
	for _, curve := range r.Curves {
		for _, p := range curve {
			top = max(top, p.Value)
			if p.Quantile < 1 {
				deepest = max(deepest, -math.Log10(1-p.Quantile))
			}
		}
	}
	if len(r.Curves) == 0 {
		return nil
	}
	decades := math.Ceil(math.Log10(top)) + 1 // from a tenth of a millisecond
	for d := range int(decades) + 1 {
		c.rule(float64(d)/decades, short(math.Pow(10, float64(d)-1)))
	}
	nines := math.Ceil(deepest)
	const labelWidth = 100 // of the longest
	every := max(1, int(math.Ceil(labelWidth*nines/(plotWidth-plotLeft))))
	for n := int(nines) % every; n <= int(nines); n += every {
		c.label(plotLeft+float64(n)/nines*(plotWidth-plotLeft), strconv.FormatFloat(100-100*math.Pow(10, -float64(n)), 'g', 8, 64)+" %")
	}
	i := 0
	for _, l := range latencies {
		curve := r.Curves[l.name]
		if len(curve) == 0 {
			continue
		}
		class := "l" + strconv.Itoa(i%8)
		if i >= 8 { // the same colours again
			class += " dashed"
		}
		i++
		plot.Lines = append(plot.Lines, Legend{l.name, "k" + class[1:]})
		c.start(class)
		for _, p := range curve {
			deep := nines
			if p.Quantile < 1 {
				deep = -math.Log10(1 - p.Quantile)
			}
			c.point(plotLeft+deep/nines*(plotWidth-plotLeft), (math.Log10(max(p.Value, 0.1))+1)/decades)
		}
		c.end()
	}
	plot.SVG = c.done()
	return []Plot{plot}
}

// canvas draws one plot.
type canvas struct{ b strings.Builder }

func newCanvas() *canvas {
	c := &canvas{}
	fmt.Fprintf(&c.b, `<svg viewBox="0 -8 %.0f %.0f" role="img">`, plotWidth+28, plotHeight+8)
	return c
}

// y is the height of a part of the top.
func (c *canvas) y(part float64) float64 { return (1 - part) * (plotHeight - plotBottom) }

// grid draws four rules below a top that is rounded up, and returns it.
func (c *canvas) grid(top float64, text func(float64) string) float64 {
	scale := math.Pow(10, math.Floor(math.Log10(top)))
	for _, nice := range []float64{1, 2, 2.5, 5, 10} {
		if nice*scale >= top {
			top = nice * scale
			break
		}
	}
	for i := range 5 {
		c.rule(float64(i)/4, text(top*float64(i)/4))
	}
	return top
}

func (c *canvas) rule(part float64, text string) {
	y := c.y(part)
	fmt.Fprintf(&c.b, `<line class="rule" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/><text class="y" x="%.0f" y="%.1f">%s</text>`,
		plotLeft, plotWidth, y, y, plotLeft-6, y+4, text)
}

func (c *canvas) label(x float64, text string) {
	class := "x"
	if x > plotWidth-40 { // it would be cut at the edge
		class = "last"
	}
	fmt.Fprintf(&c.b, `<text class="%s" x="%.1f" y="%.0f">%s</text>`, class, x, plotHeight-6, text)
}

func (c *canvas) start(class string) {
	fmt.Fprintf(&c.b, `<polyline class="%s" points="`, class)
}

func (c *canvas) point(x, part float64) { fmt.Fprintf(&c.b, "%.1f,%.1f ", x, c.y(part)) }
func (c *canvas) end()                  { c.b.WriteString(`"/>`) }

// done returns the drawing. Nothing in it is of a user's making but names of events, which were escaped.
func (c *canvas) done() template.HTML {
	c.b.WriteString("</svg>")
	return template.HTML(c.b.String()) //nolint:gosec // see above
}

// short writes a number in as few characters as do.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + "M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'g', 3, 64) + "k"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
