package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Plot is lines over a plane. A logarithmic axis leaves out what is not above 0.
type Plot struct {
	File   string   `json:"file"`
	Title  string   `json:"title"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	LogX   bool     `json:"log_x,omitempty"`
	LogY   bool     `json:"log_y,omitempty"`
	Series []Series `json:"series"`
}

// Series is a named line.
type Series struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"`
	Dashed bool         `json:"dashed,omitempty"` // what is to be reached, or a floor
}

// The sheet, in units of SVG.
const (
	plotWidth, plotHeight                       = 640, 360
	marginLeft, marginRight, marginTop, marginB = 64, 16, 34, 46
	legendLine                                  = 16
)

// colours keep their difference for most who do not see all colours.
var colours = []string{"#1f5fa8", "#d1661c", "#2b8a5a", "#8a3f8f", "#5b5b5b"}

// axis maps values to places on the sheet.
type axis struct {
	low, high float64
	log       bool
	from, to  float64
}

func (a axis) place(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log10(v), math.Log10(low), math.Log10(high)
	}
	return a.from + (v-low)/(high-low)*(a.to-a.from)
}

// ticks are where a value is written: decades with 2 and 5 between few of them, or five round steps.
func (a axis) ticks() []float64 {
	var ticks []float64
	if a.log {
		steps := []float64{1, 2, 5}
		if math.Log10(a.high/a.low) > 3 {
			steps = steps[:1]
		}
		for decade := math.Pow(10, math.Floor(math.Log10(a.low))); decade <= a.high; decade *= 10 {
			for _, step := range steps {
				if v := decade * step; v >= a.low*0.999 && v <= a.high*1.001 {
					ticks = append(ticks, v)
				}
			}
		}
		return ticks
	}
	step := roundStep((a.high - a.low) / 5)
	for v := math.Ceil(a.low/step) * step; v <= a.high+step/1000; v += step {
		ticks = append(ticks, v)
	}
	return ticks
}

// roundStep is the next of 1, 2 and 5 times a power of ten.
func roundStep(least float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(least)))
	for _, step := range []float64{1, 2, 5} {
		if decade*step >= least {
			return decade * step
		}
	}
	return decade * 10
}

// span is the axis that holds all values; a linear one begins at 0.
func span(values []float64, isLog bool, from, to float64) axis {
	a := axis{log: isLog, from: from, to: to}
	for _, v := range values {
		if a.high == 0 || v > a.high {
			a.high = v
		}
		if a.low == 0 || v < a.low {
			a.low = v
		}
	}
	if !isLog {
		a.low = min(a.low, 0)
		a.high *= 1.05
	}
	if isLog && a.low <= 0 { // nothing to show
		a.low, a.high = 1, 10
	}
	if a.high <= a.low {
		a.high = a.low + 1
	}
	return a
}

// SVG draws the plot.
func (p *Plot) SVG() string {
	var xs, ys []float64
	kept := make([][][2]float64, len(p.Series))
	for i, s := range p.Series {
		for _, at := range s.Points {
			if (p.LogX && at[0] <= 0) || (p.LogY && at[1] <= 0) {
				continue
			}
			kept[i] = append(kept[i], at)
			xs, ys = append(xs, at[0]), append(ys, at[1])
		}
	}
	x := span(xs, p.LogX, marginLeft, plotWidth-marginRight)
	y := span(ys, p.LogY, plotHeight-marginB, marginTop)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	text(&b, plotWidth/2, 18, "middle", "font-size=\"13\" font-weight=\"bold\"", p.Title)
	p.drawAxes(&b, x, y)
	for i, s := range p.Series {
		drawSeries(&b, x, y, kept[i], colours[i%len(colours)], s.Dashed)
		top := float64(marginTop + 8 + i*legendLine)
		fmt.Fprintf(&b, `<rect x="%d" y="%.0f" width="12" height="4" fill="%s"/>`+"\n", marginLeft+12, top-4, colours[i%len(colours)])
		text(&b, marginLeft+30, top, "start", "", s.Name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (p *Plot) drawAxes(b *strings.Builder, x, y axis) {
	for _, v := range x.ticks() {
		at := x.place(v)
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#e4e4e4"/>`+"\n", at, y.from, at, y.to)
		text(b, at, y.from+15, "middle", "", tickText(v))
	}
	for _, v := range y.ticks() {
		at := y.place(v)
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#e4e4e4"/>`+"\n", x.from, at, x.to, at)
		text(b, x.from-6, at+4, "end", "", tickText(v))
	}
	fmt.Fprintf(b, `<path d="M%.1f %.1fV%.1fH%.1f" fill="none" stroke="#444"/>`+"\n", x.from, y.to, y.from, x.to)
	text(b, (x.from+x.to)/2, plotHeight-12, "middle", "", p.X)
	middle := (y.from + y.to) / 2
	text(b, 14, middle, "middle", fmt.Sprintf(`transform="rotate(-90 14 %.1f)"`, middle), p.Y)
}

func drawSeries(b *strings.Builder, x, y axis, points [][2]float64, colour string, dashed bool) {
	dash := ""
	if dashed {
		dash = ` stroke-dasharray="6 4"`
	}
	var line strings.Builder
	for _, at := range points {
		fmt.Fprintf(&line, "%.1f,%.1f ", x.place(at[0]), y.place(at[1]))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n", strings.TrimSpace(line.String()), colour, dash)
	for _, at := range points {
		if !dashed {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x.place(at[0]), y.place(at[1]), colour)
		}
	}
}

func text(b *strings.Builder, x, y float64, anchor, more, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, more, html.EscapeString(s))
}

func tickText(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", round(v/1e6))
	case v >= 1e4:
		return fmt.Sprintf("%gk", round(v/1e3))
	}
	return fmt.Sprintf("%g", round(v))
}

// round drops what additions of floating point left.
func round(v float64) float64 { return math.Round(v*1e6) / 1e6 }

// slope is the exponent of the growth: the slope of the line of least squares through the logarithms. 1 is linear. It is
// NaN with fewer than two points above 0.
func slope(points [][2]float64) float64 {
	var n, sx, sy, sxx, sxy float64
	for _, p := range points {
		if p[0] <= 0 || p[1] <= 0 {
			continue
		}
		x, y := math.Log(p[0]), math.Log(p[1])
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if n < 2 {
		return math.NaN()
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}
