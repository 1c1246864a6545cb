package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/units"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Growth asks how processor time and memory grow with viewers, devices and updates, one at a time.
type Growth struct {
	Viewers []int         `help:"Numbers of viewers; each sees ten updates a second." default:"100,300,1000,3000,10000,15000"`
	Devices []int         `help:"Numbers of devices; each sends one QoS 1 message in ten seconds." default:"100,300,1000,3000,10000,15000"`
	Rates   []units.Rate  `name:"rate" help:"Rates of each of a thousand devices, QoS 1, with ten viewers." default:"0.1/s,0.3/s,1/s,3/s,10/s"`
	Each    time.Duration `help:"Length of the measurement of each point." default:"8s"`
}

// What stands still while another number grows.
const (
	growthFew     = 10
	growthSlow    = units.Rate(0.1)
	growthDevices = 1000
)

// Name is growth.
func (*Growth) Name() string { return "growth" }

func (o *Growth) shrink() {
	o.Viewers, o.Devices, o.Rates, o.Each = []int{50, 100, 200}, []int{50, 100, 200}, []units.Rate{0.1, 0.3}, 2*time.Second
}

// GrowthPoint is what the gateway used with so many.
type GrowthPoint struct {
	Count  float64 `json:"count"`
	Cores  float64 `json:"cores"`
	Bytes  float64 `json:"resident_bytes"`
	P99    float64 `json:"p99_ms"`
	Sample Sample  `json:"sample"`
}

// GrowthLine is the points of what grew. A slope is the exponent: 1 is linear.
type GrowthLine struct {
	What   string        `json:"what"`
	Base   GrowthPoint   `json:"base"` // without any
	Points []GrowthPoint `json:"points"`
	// The slopes are those of what is above the base; 0 where they are not known.
	CPUSlope    float64 `json:"cpu_slope"`
	MemorySlope float64 `json:"memory_slope"`
	// The steepest are those between the two last points, where a bend shows first.
	LastCPUSlope    float64 `json:"last_cpu_slope"`
	LastMemorySlope float64 `json:"last_memory_slope"`
}

func (o *Growth) run(ctx context.Context, l *lab) (*Section, error) {
	var lines []*GrowthLine
	var failed error
	for _, grow := range []func(context.Context, *lab) (*GrowthLine, error){o.viewers, o.devices, o.updates} {
		line, err := grow(ctx, l)
		if line != nil && len(line.Points) > 0 {
			line.conclude()
			lines = append(lines, line)
		}
		if failed = err; err != nil {
			break
		}
	}
	return o.section(lines), failed
}

// point measures.
func (o *Growth) point(ctx context.Context, l *lab, s *server, line *GrowthLine, count float64, look *crowd) error {
	if err := pause(ctx, l.Warm); err != nil {
		return err
	}
	if look != nil {
		look.ForgetLatencies()
	}
	l.say("measuring %g %s", count, line.What)
	m, err := l.measure(ctx, s, o.Each)
	if err != nil {
		return err
	}
	p := GrowthPoint{Count: count, Cores: m.Cores, Bytes: float64(m.Resident), Sample: m}
	if look != nil {
		p.P99 = latencyOf(look).P99
	}
	if count == 0 {
		line.Base = p
		return nil
	}
	line.Points = append(line.Points, p)
	return nil
}

// viewers opens more and more viewers of ten devices.
func (o *Growth) viewers(ctx context.Context, l *lab) (*GrowthLine, error) {
	line := &GrowthLine{What: "viewers"}
	return line, l.withDevices(ctx, fleet.Options{Devices: growthFew, Rate: 1}, func(s *server, _ *devices) error {
		err := o.point(ctx, l, s, line, 0, nil)
		open := 0
		var crowds []*crowd
		for _, count := range o.Viewers {
			if err != nil {
				break
			}
			var c *crowd
			if c, err = l.startCrowd(ctx, s, watch.Options{Viewers: count - open}); err == nil {
				open, crowds = count, append(crowds, c)
				err = o.point(ctx, l, s, line, float64(count), c)
			}
		}
		for _, c := range crowds {
			err = errors.Join(err, c.stop())
		}
		return err
	})
}

// devices connects more and more devices, before ten viewers.
func (o *Growth) devices(ctx context.Context, l *lab) (*GrowthLine, error) {
	line := &GrowthLine{What: "devices"}
	s, err := l.startGateway(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	look, err := l.startCrowd(ctx, s, watch.Options{Viewers: growthFew})
	if err != nil {
		return nil, err
	}
	err = o.point(ctx, l, s, line, 0, look)
	connected := 0
	var fleets []*devices
	for _, count := range o.Devices {
		if err != nil {
			break
		}
		var d *devices
		d, err = l.startFleet(ctx, s, fleet.Options{Devices: count - connected, StartIndex: connected, Rate: growthSlow, QoS: 1})
		if err == nil {
			connected, fleets = count, append(fleets, d)
			err = o.point(ctx, l, s, line, float64(count), look)
		}
	}
	for _, d := range fleets {
		err = errors.Join(err, d.stop())
	}
	return line, errors.Join(err, look.stop())
}

// updates has a thousand devices send more and more.
func (o *Growth) updates(ctx context.Context, l *lab) (*GrowthLine, error) {
	line := &GrowthLine{What: "updates a second"}
	s, err := l.startGateway(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	look, err := l.startCrowd(ctx, s, watch.Options{Viewers: growthFew})
	if err != nil {
		return nil, err
	}
	idle, err := l.startFleet(ctx, s, fleet.Options{Devices: growthDevices, QoS: 1})
	if err == nil {
		err = errors.Join(o.point(ctx, l, s, line, 0, look), idle.stop())
	}
	for _, rate := range o.Rates {
		if err != nil {
			break
		}
		var d *devices
		if d, err = l.startFleet(ctx, s, fleet.Options{Devices: growthDevices, Rate: rate, QoS: 1}); err == nil {
			err = errors.Join(o.point(ctx, l, s, line, math.Round(float64(rate)*growthDevices), look), d.stop())
		}
	}
	return line, errors.Join(err, look.stop())
}

// conclude computes the slopes.
func (g *GrowthLine) conclude() {
	cpu, memory := g.above()
	known := func(points [][2]float64) float64 {
		if s := slope(points); !math.IsNaN(s) {
			return s
		}
		return 0
	}
	g.CPUSlope, g.MemorySlope = known(cpu), known(memory)
	g.LastCPUSlope, g.LastMemorySlope = known(cpu[max(len(cpu)-2, 0):]), known(memory[max(len(memory)-2, 0):])
}

// leastGrowth is the part of the base from which on what is above it is known: a heap of a few MB moves by as much.
const leastGrowth = 0.1

// above are cores and bytes above the base, where they are known.
func (g *GrowthLine) above() (cpu, memory [][2]float64) {
	for _, p := range g.Points {
		if above := p.Cores - g.Base.Cores; above > max(leastGrowth*g.Base.Cores, math.Hypot(p.Sample.Error, g.Base.Sample.Error)) {
			cpu = append(cpu, [2]float64{p.Count, above})
		}
		if above := p.Bytes - g.Base.Bytes; above > leastGrowth*g.Base.Bytes {
			memory = append(memory, [2]float64{p.Count, above})
		}
	}
	return cpu, memory
}

// steep is the exponent from which growth is told to be more than linear: below it is the error of the readings.
const steep = 1.15

func (o *Growth) section(lines []*GrowthLine) *Section {
	s := &Section{Title: "Growth", Result: lines}
	s.say("One number grows and the others stand. A slope is the exponent of the growth of what is above the gateway without any, by least squares over the logarithms: 1 is linear, below 1 the first ones cost most. What is above by less than a tenth, or by less than its error, is left out. Viewers see %d updates a second; devices send one QoS 1 message in %.0f s before %d viewers; updates are sent at QoS 1 by %d devices before %d viewers.",
		growthFew, growthSlow.Interval().Seconds(), growthFew, growthDevices, growthFew)
	slopes := Table{Title: "Slopes", Head: []string{"with", "CPU", "CPU between the last two", "memory", "memory between the last two"}}
	for _, line := range lines {
		slopes.add(line.What, fmt.Sprintf("%.2f", line.CPUSlope), fmt.Sprintf("%.2f", line.LastCPUSlope), fmt.Sprintf("%.2f", line.MemorySlope), fmt.Sprintf("%.2f", line.LastMemorySlope))
		s.mark("growth with "+line.What+": slope of CPU and of memory", fmt.Sprintf("≤ 1, or why (told above %.2f)", steep),
			met(line.CPUSlope <= steep && line.MemorySlope <= steep), "%.2f and %.2f", line.CPUSlope, line.MemorySlope)
		s.addGrowth(line)
	}
	s.Tables = append([]Table{slopes}, s.Tables...)
	return s
}

func (s *Section) addGrowth(line *GrowthLine) {
	t := Table{Title: "With " + line.What, Head: []string{line.What, "cores", "MB resident", "above none: CPU µs a second each", "kB each", "p99 to the viewer, ms", "generator, % of its cores"}}
	for _, p := range append([]GrowthPoint{line.Base}, line.Points...) {
		each, kb := "", ""
		if p.Count > 0 {
			each = fmt.Sprintf("%.1f", (p.Cores-line.Base.Cores)/p.Count*1e6)
			kb = fmt.Sprintf("%.1f", (p.Bytes-line.Base.Bytes)/p.Count/1000)
		}
		t.add(fmt.Sprintf("%g", p.Count), fmt.Sprintf("%.3f", p.Cores), fmt.Sprintf("%.1f", p.Bytes/1e6), each, kb, fmt.Sprintf("%.0f", p.P99), fmt.Sprintf("%.0f", p.Sample.Generator.Share*100))
		for _, note := range p.Sample.Generator.Notes {
			s.note("%g %s: %s", p.Count, line.What, note)
		}
	}
	s.Tables = append(s.Tables, t)
	cpu, memory := line.above()
	for i := range memory {
		memory[i][1] /= 1e6
	}
	file := "growth-" + line.What[:7]
	s.Plots = append(s.Plots,
		growthPlot(file+"-cpu.svg", "Cores above none, with "+line.What, line.What, "cores", line.CPUSlope, cpu),
		growthPlot(file+"-memory.svg", "Resident MB above none, with "+line.What, line.What, "MB", line.MemorySlope, memory))
}

func growthPlot(file, title, x, y string, slope float64, points [][2]float64) Plot {
	p := Plot{File: file, Title: title, X: x, Y: y, LogX: true, LogY: true}
	p.Series = []Series{{Name: fmt.Sprintf("measured, slope %.2f", slope), Points: points}}
	if len(points) > 0 {
		last := points[len(points)-1]
		first := points[0][0]
		p.Series = append(p.Series, Series{Name: "linear, through the last", Dashed: true, Points: [][2]float64{{first, last[1] * first / last[0]}, last}})
	}
	return p
}
