package watch

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

// Counts are what the viewers saw so far, summed.
type Counts struct {
	Live      int64 `json:"live"`      // viewers that are past ready now
	Updates   int64 `json:"updates"`   // assets after ready
	Snapshots int64 `json:"snapshots"` // assets before ready: snapshots and what changed since
	Bytes     int64 `json:"bytes"`     // as they came off the sockets, headers and chunk sizes included

	Opened int64 `json:"opened"` // streams, the first of each viewer included
	Cut    int64 `json:"cut"`    // ended by the viewer as planned
	Broken int64 `json:"broken"` // ended by the server or the network, or not opened
	Silent int64 `json:"silent"` // ended since nothing came

	Ready      int64 `json:"ready"`
	Resets     int64 `json:"resets"`
	Removed    int64 `json:"removed"`
	Heartbeats int64 `json:"heartbeats"`
	Others     int64 `json:"other_events"`
	MaxLag     int64 `json:"max_lag_ms"` // the largest that a heartbeat told
	Gone       int64 `json:"gone"`       // viewers that left for good, as planned
	Views      int64 `json:"views"`      // viewports that were moved and acknowledged
	// Ahead are latencies below zero: the devices' clock is ahead of this one.
	Ahead int64 `json:"ahead_of_clock"`

	Violations Violations `json:"violations"`
}

// Violations are broken promises.
type Violations struct {
	Backwards int64 `json:"backwards"` // a device's time went back
	Malformed int64 `json:"malformed"`
	Ended     int64 `json:"ended"`  // an answer that ends an EventSource for good
	Leaked    int64 `json:"leaked"` // an asset of a fleet or a place that the viewer had not asked for
}

// Total is the sum.
func (v Violations) Total() int64 { return v.Backwards + v.Malformed + v.Ended + v.Leaked }

// Counts returns the sums now.
func (w *Watch) Counts() Counts {
	var c Counts
	for i := range w.viewers {
		n := &w.viewers[i].count
		if n.isLive.Load() {
			c.Live++
		}
		c.Updates += n.updates.Load()
		c.Snapshots += n.snapshots.Load()
		c.Bytes += w.viewers[i].client.Bytes()
		c.Opened += n.opened.Load()
		c.Cut += n.cut.Load()
		c.Broken += n.broken.Load()
		c.Silent += n.silent.Load()
		c.Ready += n.ready.Load()
		c.Resets += n.resets.Load()
		c.Removed += n.removed.Load()
		c.Heartbeats += n.heartbeats.Load()
		c.Others += n.others.Load()
		c.Ahead += n.ahead.Load()
		c.MaxLag = max(c.MaxLag, n.maxLag.Load())
		c.Violations.Backwards += n.backwards.Load()
		c.Violations.Malformed += n.malformed.Load()
		c.Violations.Ended += n.ended.Load()
		c.Violations.Leaked += n.leaked.Load()
		c.Gone += n.gone.Load()
		c.Views += n.viewed.Load()
	}
	return c
}

// Report is what a run found.
type Report struct {
	Health  measure.Health `json:"generator"`
	URL     string         `json:"url"`
	Viewers int            `json:"viewers"`
	Seconds float64        `json:"seconds"`
	Devices int64          `json:"devices"` // ids that any viewer saw
	// Slow is how many of the viewers read slowly, and SlowReady how many of them were ever past ready: the others have
	// no latency, and their assets count as snapshots.
	Slow int `json:"slow_viewers"`
	// EverReady is how many viewers were past ready at least once.
	EverReady int `json:"viewers_past_ready"`
	// Transports are how many listen over sse (HTTP/1.1), http2, http2_own and websocket.
	Transports map[string]int `json:"transports"`
	SlowReady  int            `json:"slow_viewers_past_ready"`
	Counts
	UpdatesPerSecond float64 `json:"updates_per_second"`
	BytesPerSecond   float64 `json:"bytes_per_second"`
	// Latency is from a device's intended instant to the viewer, of live updates of simulated devices only.
	Latency     measure.Percentiles `json:"latency_from_intended"`
	SlowLatency measure.Percentiles `json:"slow_latency_from_intended"`
	// ByTransport is Latency of the viewers of each transport, where not all listen over SSE.
	ByTransport map[string]measure.Percentiles `json:"latency_by_transport,omitempty"`
	// Edge and View are its parts, up to and from the gateway's receipt, of the viewers that read as fast as they can.
	Edge     measure.Percentiles `json:"edge_from_intended"`
	View     measure.Percentiles `json:"view_from_edge"`
	Examples []string            `json:"examples,omitempty"`
}

// Report returns the report; during a run it is that of the run so far.
func (w *Watch) Report() Report {
	w.mu.Lock()
	start, probe, final := w.start, w.probe, w.final
	w.mu.Unlock()
	if final != nil {
		return *final
	}
	r := Report{
		URL: w.options.URL, Viewers: len(w.viewers), Counts: w.Counts(), Devices: w.ids.count(),
		Latency: measure.Sum(w.latencies.all()...), SlowLatency: measure.Sum(w.slow), ByTransport: w.latencies.sums(), Examples: w.someExamples(),
		Edge: measure.Sum(w.edge), View: measure.Sum(w.view), Transports: map[string]int{},
	}
	for i := range w.viewers {
		v := &w.viewers[i]
		r.Transports[v.transport.String()]++
		r.EverReady += int(min(v.count.ready.Load(), 1))
		if v.slow {
			r.Slow++
			r.SlowReady += int(min(v.count.ready.Load(), 1))
		}
	}
	if probe == nil {
		return r
	}
	r.Seconds = time.Since(start).Seconds()
	r.UpdatesPerSecond = float64(r.Updates) / r.Seconds
	r.BytesPerSecond = float64(r.Bytes) / r.Seconds
	health, err := probe.Health()
	if err != nil {
		health.Notes = append(health.Notes, err.Error())
	}
	r.Health = health
	return r
}

// Latencies are copies of the histograms by the names that a report gives them.
func (w *Watch) Latencies() map[string]*measure.Histogram {
	all := map[string]*measure.Histogram{
		"fresh": measure.Merge(w.latencies.all()...), "fresh_slow": w.slow.Copy(), "edge": w.edge.Copy(), "view": w.view.Copy(), "returned": w.returned.Copy(),
	}
	for name, some := range w.latencies.byTransport() {
		all[ofTransport(name)] = measure.Merge(some...)
	}
	return all
}

// WriteText writes the report for people, the generator's health first.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	r.Health.AppendText(&b)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-13s "+format+"\n", append([]any{name}, args...)...)
	}
	line("viewers", "%d of %s for %.1f s, %d live at the end", r.Viewers, r.URL, r.Seconds, r.Live)
	line("updates", "%d (%.0f/s) of %d devices, and %d in snapshots; %.1f MB (%.2f MB/s)",
		r.Updates, r.UpdatesPerSecond, r.Devices, r.Snapshots, float64(r.Bytes)/1e6, r.BytesPerSecond/1e6)
	if r.Latency.Count > 0 {
		line("latency", "%s, intended instant to viewer", r.Latency.Text())
	} else {
		line("latency", "none: no live update had an instant of the simulator (at and the metric seq)")
	}
	for _, name := range slices.Sorted(maps.Keys(r.ByTransport)) {
		if p := r.ByTransport[name]; p.Count > 0 {
			line("  "+name, "%s", p.Text())
		}
	}
	if r.Edge.Count > 0 {
		line("  to the edge", "%s", r.Edge.Text())
		line("  from there", "%s", r.View.Text())
	}
	if len(r.Transports) > 1 || r.Gone+r.Views > 0 {
		line("transports", "sse %d, http2 %d, http2_own %d, websocket %d; %d left for good, %d viewports were moved",
			r.Transports["sse"], r.Transports["http2"], r.Transports["http2_own"], r.Transports["websocket"], r.Gone, r.Views)
	}
	if r.Slow > 0 {
		line("slow viewers", "%d, %d of them were past ready", r.Slow, r.SlowReady)
	}
	if r.SlowLatency.Count > 0 {
		line("slow latency", "%s", r.SlowLatency.Text())
	}
	line("streams", "opened %d, cut as planned %d, broken %d, silent %d; ready %d, resets %d",
		r.Opened, r.Cut, r.Broken, r.Silent, r.Ready, r.Resets)
	line("events", "removed %d, heartbeats %d (largest lag %d ms), others %d", r.Removed, r.Heartbeats, r.MaxLag, r.Others)
	if r.Ahead > 0 {
		line("  note", "%d updates came before their instant: the clocks disagree", r.Ahead)
	}
	line("violations", "%d: time backwards %d, malformed %d, ended for good %d, leaked %d",
		r.Violations.Total(), r.Violations.Backwards, r.Violations.Malformed, r.Violations.Ended, r.Violations.Leaked)
	for _, e := range r.Examples {
		line("  example", "%s", e)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
