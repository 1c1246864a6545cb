package report

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/prove"
	"github.com/fleetcast/fleetcast/simulator/proxy"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// maxSamples bounds a report: of a longer run every other sample is left out, as often as it needs.
const maxSamples = 3600

// DeviceGroup is a fleet that a recorder looks at.
type DeviceGroup struct {
	Name  string
	Fleet *fleet.Fleet
}

// ViewerGroup are viewers that a recorder looks at.
type ViewerGroup struct {
	Name  string
	Watch *watch.Watch
}

// ProxyGroup is a bad network that a recorder looks at.
type ProxyGroup struct {
	Name  string
	Proxy *proxy.Proxy
}

// Options of a recorder.
type Options struct {
	Name       string
	Command    []string
	Devices    []DeviceGroup
	Viewers    []ViewerGroup
	Proxies    []ProxyGroup
	Thresholds []Threshold
	Run        Run // of which this is the report; without a shard it is of one process
	// Screen shows how it goes; nil is quiet.
	Screen io.Writer
	// Lines are shown below, as of the ledger.
	Lines func() []string
}

// Recorder samples a run. Run is called once; the other methods may be called from any goroutine.
type Recorder struct {
	options Options
	began   time.Time
	probe   *measure.Probe

	// Owned by the goroutine of Run.
	before totals
	fresh  measure.Since
	acks   measure.Since

	mu      sync.Mutex // guards what follows
	series  []Sample
	skip    int // of how many samples one is kept
	seen    int
	events  []Event
	notes   []string
	seconds float64 // of the run, once it has ended
	live    []int64 // of each group of viewers, where Settled was called
	health  measure.Health
}

// totals are what a sample is the difference of.
type totals struct {
	at                            time.Time
	offered, sent, acked, skipped int64
	updates                       int64
	cpu                           float64
}

// NewRecorder begins to count. It starts nothing.
func NewRecorder(o Options) (*Recorder, error) {
	probe, err := measure.NewProbe()
	if err != nil {
		return nil, fmt.Errorf("make recorder: %w", err)
	}
	return &Recorder{options: o, began: time.Now(), probe: probe, skip: 1, before: totals{at: time.Now()}}, nil
}

// Run samples until ctx ends.
func (r *Recorder) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { r.probe.Run(ctx) })
	screen := measure.NewScreen(r.options.Screen)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	shown := time.Now()
	for {
		select {
		case <-ctx.Done():
			r.end()
			return
		case <-tick.C:
		}
		s := r.sample()
		if time.Since(shown) >= screen.Every()-10*time.Millisecond {
			shown = time.Now()
			screen.Show(r.lines(&s))
		}
	}
}

func (r *Recorder) end() {
	health, err := r.probe.Health()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.notes = append(r.notes, err.Error())
	}
	r.health, r.seconds = health, time.Since(r.began).Seconds()
}

// Event notes what was done to the installation.
func (r *Recorder) Event(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, Event{time.Since(r.began).Seconds(), name})
}

// Note adds a sentence to the report.
func (r *Recorder) Note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, text)
}

// Settled says how many viewers of each group were live when the run was over: when the report is made they have ended.
func (r *Recorder) Settled(live []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live = live
}

// sample takes the difference to the sample before.
func (r *Recorder) sample() Sample {
	now := totals{at: time.Now()}
	s := Sample{At: now.at.Sub(r.began).Seconds()}
	var fresh, acks []*measure.Histogram
	for _, d := range r.options.Devices {
		c := d.Fleet.Counts()
		s.Connected += c.Connected
		now.offered, now.sent, now.acked, now.skipped = now.offered+c.Offered, now.sent+c.Sent, now.acked+c.Acked, now.skipped+c.Skipped.Total()
		acks = append(acks, d.Fleet.Latencies()["ack"])
	}
	for _, v := range r.options.Viewers {
		c := v.Watch.Counts()
		s.Live, s.Resets = s.Live+c.Live, s.Resets+c.Resets
		now.updates += c.Updates
		fresh = append(fresh, v.Watch.Latencies()["fresh"])
	}
	if cpu, err := measure.SelfCPU(); err == nil {
		now.cpu = cpu.Total()
	}
	seconds := now.at.Sub(r.before.at).Seconds()
	rate := func(a, b int64) float64 { return float64(a-b) / seconds }
	s.Offered, s.Sent = rate(now.offered, r.before.offered), rate(now.sent, r.before.sent)
	s.Acked, s.Skipped = rate(now.acked, r.before.acked), rate(now.skipped, r.before.skipped)
	s.Updates, s.CPU = rate(now.updates, r.before.updates), (now.cpu-r.before.cpu)/seconds
	r.before = now
	p := r.fresh.Look(fresh...)
	s.Fresh50, s.Fresh99, s.Ack99 = p.P50, p.P99, r.acks.Look(acks...).P99
	r.keep(s)
	return s
}

func (r *Recorder) keep(s Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen++; r.seen%r.skip != 0 {
		return
	}
	if r.series = append(r.series, s); len(r.series) > maxSamples {
		r.skip *= 2
		kept := r.series[:0]
		for i := 1; i < len(r.series); i += 2 {
			kept = append(kept, r.series[i])
		}
		r.series = kept
	}
}

// lines are what the screen shows: the first says the most, since elsewhere than on a terminal it stands alone.
func (r *Recorder) lines(s *Sample) []string {
	lines := []string{fmt.Sprintf("%5.0fs  devices %d  sent %.0f/s of %.0f  acked %.0f/s  viewers %d  updates %.0f/s  fresh p99 %.0f ms  generator %.1f cores",
		s.At, s.Connected, s.Sent, s.Offered, s.Acked, s.Live, s.Updates, s.Fresh99, s.CPU)}
	for _, d := range r.options.Devices {
		c := d.Fleet.Counts()
		lines = append(lines, fmt.Sprintf("  devices %-12s connected %d  sent %d  acked %d  late %d  skipped %d  reconnects %d  trouble %d",
			d.Name, c.Connected, c.Sent, c.Acked, c.Late, c.Skipped.Total(), c.Reconnects, c.Trouble.Dial+c.Trouble.Handshake+c.Trouble.Refused+c.Trouble.Lost))
	}
	for _, v := range r.options.Viewers {
		c := v.Watch.Counts()
		lines = append(lines, fmt.Sprintf("  viewers %-12s live %d  updates %d  snapshots %d  resets %d  broken %d  violations %d",
			v.Name, c.Live, c.Updates, c.Snapshots, c.Resets, c.Broken, c.Violations.Total()))
	}
	if r.options.Lines != nil {
		lines = append(lines, r.options.Lines()...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.events); n > 0 {
		lines = append(lines, fmt.Sprintf("  last event    %s, %.0f s ago", r.events[n-1].Name, s.At-r.events[n-1].At))
	}
	return lines
}

// groups are copies of all groups' histograms.
func (r *Recorder) groups() byGroup {
	all := byGroup{}
	for _, d := range r.options.Devices {
		addGroups(all, byGroup{d.Name: d.Fleet.Latencies()})
	}
	for _, v := range r.options.Viewers {
		addGroups(all, byGroup{v.Name: v.Watch.Latencies()})
	}
	return all
}

// Report makes the report of what was so far; ledger and audit may be nil.
func (r *Recorder) Report(ledger *prove.Report, audit *Audit) *Report {
	out := &Report{
		Version: Version, Name: r.options.Name, Began: r.began.UTC().Truncate(time.Millisecond), Command: r.options.Command, Host: ThisHost(),
		Ledger: ledger, Audit: audit,
	}
	run := r.options.Run
	run.Shard.Part, run.Shard.Of = max(run.Shard.Part, 1), max(run.Shard.Of, 1)
	out.Run = &run
	r.mu.Lock()
	out.Series, out.Events, out.Notes = slices.Clone(r.series), slices.Clone(r.events), slices.Clone(r.notes)
	out.Seconds, out.Health = r.seconds, r.health
	live := r.live
	r.mu.Unlock()
	if out.Seconds == 0 { // it is going on
		out.Seconds = time.Since(r.began).Seconds()
		out.Health, _ = r.probe.Health() // the end says what is wrong with it
	}
	for _, d := range r.options.Devices {
		out.Devices = append(out.Devices, Devices{d.Name, d.Fleet.Summary()})
	}
	for i, v := range r.options.Viewers {
		seen := v.Watch.Report()
		if live != nil {
			seen.Live = live[i]
		}
		out.Viewers = append(out.Viewers, Viewers{v.Name, seen})
	}
	for _, p := range r.options.Proxies {
		out.Proxies = append(out.Proxies, Proxy{p.Name, p.Proxy.Counts()})
	}
	out.measured(r.groups())
	out.judge(r.options.Thresholds)
	return out
}
