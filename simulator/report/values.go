package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

// unit is what a value counts.
type unit uint8

const (
	count unit = iota
	milliseconds
	share     // of 1
	perSecond // of messages or updates
)

// value is one that a threshold may name. A run that did not measure it has no such value.
type value struct {
	name   string
	unit   unit
	better int // -1: less is better; 1: more is; 0: neither
	about  string
}

// latencies are the histograms, each with the values name_p50, name_p99 and so on.
var latencies = []struct{ name, about string }{
	{"connect", "dialling to CONNACK"},
	{"send", "the instant a device meant to the system call"},
	{"ack", "the instant a device meant to the PUBACK"},
	{"ack_from_sent", "the system call to the PUBACK"},
	{"edge", "the instant a device meant to the gateway's receipt"},
	{"view", "the gateway's receipt to the viewer"},
	{"fresh", "the instant a device meant to the viewer"},
	{"fresh_sse", "the same, of viewers over SSE with HTTP/1.1, where a group has several transports"},
	{"fresh_http2", "over HTTP/2, connections shared"},
	{"fresh_http2_own", "over HTTP/2 with a connection of their own"},
	{"fresh_websocket", "over WebSocket"},
	{"fresh_slow", "the same, of viewers that read slowly on purpose"},
	{"returned", "a viewer's lost connection to the ready of its next"},
}

var statistics = []struct {
	name string
	of   func(measure.Percentiles) float64
}{
	{"mean", func(p measure.Percentiles) float64 { return p.Mean }},
	{"p50", func(p measure.Percentiles) float64 { return p.P50 }},
	{"p90", func(p measure.Percentiles) float64 { return p.P90 }},
	{"p95", func(p measure.Percentiles) float64 { return p.P95 }},
	{"p99", func(p measure.Percentiles) float64 { return p.P99 }},
	{"p999", func(p measure.Percentiles) float64 { return p.P999 }},
	{"max", func(p measure.Percentiles) float64 { return p.Max }},
}

var plain = []value{
	{"silent_loss", count, -1, "acknowledged messages that nobody was shown, or that a later state lacks (ledger), and devices whose last acknowledged state is not there (audit)"},
	{"breaches", count, -1, "broken promises that the ledger found"},
	{"violations", count, -1, "broken promises that a viewer found by itself"},
	{"resets", count, -1, "resets that viewers were told"},
	{"offered", count, 0, "messages whose instant came in the steady time"},
	{"offered_rate", perSecond, 0, "the same a second"},
	{"achieved_rate", perSecond, 1, "messages sent a second in the steady time"},
	{"achieved_share", share, 1, "sent of offered, in the steady time"},
	{"late_share", share, -1, "sent more than 50 ms late, of sent"},
	{"skipped", count, -1, "messages of the steady time that were not sent"},
	{"acked_share", share, 1, "acknowledged of sent, in the whole run; at QoS 1"},
	{"refused", count, -1, "CONNACKs that say no"},
	{"connect_failures", count, -1, "connections that were not made"},
	{"lost_connections", count, -1, "connections that the broker or the network ended"},
	{"connected", count, 1, "devices connected at the end of the run"},
	{"updates", count, 0, "assets that live viewers were told"},
	{"updates_rate", perSecond, 1, "the same a second"},
	{"live_share", share, 1, "viewers past ready at the end, of those that had not left"},
	{"ready_share", share, 1, "viewers that were past ready at least once"},
	{"broken_streams", count, -1, "streams that the server or the network ended, or that were not opened"},
	{"max_lag", milliseconds, -1, "the largest lag that a heartbeat told"},
	{"faults", count, 0, "faults that were made"},
	{"missing_shards", count, 0, "shards of the run that a merged report lacks"},
	{"generator_share", share, -1, "of the machine's processors that the simulator used"},
	{"generator_late_p99", milliseconds, -1, "how late the simulator woke up"},
}

// allValues are what may be named without a group.
var allValues = func() map[string]value {
	all := map[string]value{}
	for _, v := range plain {
		all[v.name] = v
	}
	for _, l := range latencies {
		for _, s := range statistics {
			name := l.name + "_" + s.name
			all[name] = value{name, milliseconds, -1, l.about}
		}
		all[l.name+"_count"] = value{l.name + "_count", count, 0, l.about}
	}
	return all
}()

// describe returns what a name says; a name may have a group of devices or viewers before it, as in far.fresh_p99.
func describe(name string, groups []string) (value, error) {
	bare := name
	if group, rest, found := strings.Cut(name, "."); found {
		if !slices.Contains(groups, group) {
			return value{}, fmt.Errorf("there is no group %q; there are %s", group, strings.Join(groups, ", "))
		}
		bare = rest
	}
	v, ok := allValues[bare]
	if !ok {
		return value{}, fmt.Errorf("there is no value %q; simulator values lists them", bare)
	}
	v.name = name
	return v, nil
}

// DescribeValues returns a line for each value: what thresholds may name.
func DescribeValues() (lines []string) {
	for _, v := range plain {
		lines = append(lines, fmt.Sprintf("%-20s %s", v.name, v.about))
	}
	for _, l := range latencies {
		lines = append(lines, fmt.Sprintf("%-20s %s", l.name+"_…", l.about))
	}
	var names []string
	for _, s := range statistics {
		names = append(names, s.name)
	}
	return append(lines, "", "… is one of "+strings.Join(names, ", ")+" and count")
}

// fill computes the values.
func (r *Report) fill() {
	r.Values = map[string]float64{
		"faults": float64(len(r.Events)), "generator_share": r.Health.Share, "generator_late_p99": r.Health.WakeUp.P99,
	}
	r.fillLatencies()
	for i := range r.Devices {
		maps.Copy(r.Values, prefixed(r.Devices[i].Name, devicesValues(r.Devices[i:i+1])))
	}
	for i := range r.Viewers {
		maps.Copy(r.Values, prefixed(r.Viewers[i].Name, viewersValues(r.Viewers[i:i+1])))
	}
	maps.Copy(r.Values, devicesValues(r.Devices))
	maps.Copy(r.Values, viewersValues(r.Viewers))
	if r.Ledger != nil {
		r.Values["breaches"] = float64(r.Ledger.Breached())
		r.Values["silent_loss"] = float64(r.Ledger.Lost + r.Ledger.Overtaken)
	}
	if r.Audit != nil {
		r.Values["silent_loss"] += float64(r.Audit.Missing)
	}
	if r.Merged != nil {
		r.Values["missing_shards"] = float64(len(r.Merged.Missing))
	}
}

func (r *Report) fillLatencies() {
	for name, p := range r.Latencies {
		r.Values[name+"_count"] = float64(p.Count)
		if p.Count == 0 {
			continue // no percentile is 0 because nothing was measured
		}
		for _, s := range statistics {
			r.Values[name+"_"+s.name] = s.of(p)
		}
	}
}

func prefixed(group string, values map[string]float64) map[string]float64 {
	out := map[string]float64{}
	if group == "" {
		return out
	}
	for name, v := range values {
		out[group+"."+name] = v
	}
	return out
}

func devicesValues(all []Devices) map[string]float64 {
	v := map[string]float64{}
	if len(all) == 0 {
		return v
	}
	var sent, late, acked, atQoS1 float64
	for i := range all {
		d := &all[i].Summary
		v["offered"] += float64(d.Steady.Offered)
		v["offered_rate"] += d.OfferedRate
		v["achieved_rate"] += d.AchievedRate
		v["skipped"] += float64(d.Steady.Skipped.Total())
		v["refused"] += float64(d.Whole.Trouble.Refused)
		v["connect_failures"] += float64(d.Whole.Trouble.Dial + d.Whole.Trouble.Handshake + d.Whole.Trouble.Refused)
		v["lost_connections"] += float64(d.Whole.Trouble.Lost)
		v["connected"] += float64(d.Whole.Connected)
		sent += float64(d.Steady.Sent)
		late += float64(d.Steady.Late)
		if d.QoS == 1 {
			acked += float64(d.Whole.Acked)
			atQoS1 += float64(d.Whole.Sent)
		}
	}
	setShare(v, "achieved_share", sent, v["offered"])
	setShare(v, "late_share", late, sent)
	setShare(v, "acked_share", acked, atQoS1)
	return v
}

func viewersValues(all []Viewers) map[string]float64 {
	v := map[string]float64{}
	if len(all) == 0 {
		return v
	}
	var stay, live, ready, viewers float64
	for i := range all {
		w := &all[i].Report
		v["violations"] += float64(w.Violations.Total())
		v["resets"] += float64(w.Resets)
		v["updates"] += float64(w.Updates)
		v["updates_rate"] += w.UpdatesPerSecond
		v["broken_streams"] += float64(w.Broken)
		v["max_lag"] = max(v["max_lag"], float64(w.MaxLag))
		viewers += float64(w.Viewers)
		stay += float64(w.Viewers) - float64(w.Gone)
		live += float64(w.Live)
		ready += float64(w.EverReady)
	}
	setShare(v, "live_share", live, stay)
	setShare(v, "ready_share", ready, viewers)
	return v
}

func setShare(v map[string]float64, name string, part, whole float64) {
	if whole > 0 {
		v[name] = part / whole
	}
}
