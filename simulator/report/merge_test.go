package report

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/prove"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// shardReport is that of one of some shards, which sent 100 messages for each number of its part.
func shardReport(t *testing.T, part, of int, histograms byGroup) *Report {
	t.Helper()
	n := int64(part)
	r := &Report{
		Version: Version, Name: "sample", Began: noon.Add(time.Duration(part) * 500 * time.Millisecond), Seconds: 10, Host: Host{Name: fmt.Sprint("m", part), Cores: 2},
		Run:    &Run{Seed: 7, Config: "abc", Shard: fleet.Shard{Part: part, Of: of}},
		Health: measure.Health{Cores: 2, Share: 0.1 * float64(part), CPU: measure.CPU{User: 1}, Memory: 10, Notes: []string{fmt.Sprint("ill ", part)}},
		Notes:  []string{"all say this", fmt.Sprint("only ", part)},
		Events: []Event{{2, "storm"}},
		Devices: []Devices{{"cars", fleet.Summary{
			Devices: 10, QoS: 1, OfferedRate: 10, AchievedRate: 9, Steady: fleet.Counts{Offered: 100 * n, Sent: 100 * n}, Whole: fleet.Counts{Sent: 100 * n, Acked: 100 * n, Connects: 10, Connected: 10},
		}}},
		Viewers: []Viewers{{"desk", watch.Report{
			Viewers: 2, EverReady: 2, Devices: 20, URL: "http://a", Transports: map[string]int{"sse": 2}, UpdatesPerSecond: 5, Examples: []string{"one"},
			Counts: watch.Counts{Live: 2, Opened: 2, Updates: 50, MaxLag: 100 * n, Violations: watch.Violations{Leaked: n - 1}},
		}}},
		Ledger: &prove.Report{
			Devices: 3, Viewers: 2, Prefix: fmt.Sprint("p", part), Durable: true, Totals: prove.Totals{Sent: 30, Acked: 30, Delivered: 50, Superseded: 10, Lost: n - 1},
			Breaches: map[prove.Kind]int64{prove.Lost: n - 1}, Worst: []prove.DeviceWorst{{Device: 1, Lost: n - 1}}, Examples: []string{"lost: one"},
		},
		Audit: &Audit{Owed: 10, Kept: 10, Seconds: float64(part)},
	}
	for i := range 10 {
		r.Series = append(r.Series, Sample{At: float64(i + 1), Offered: 10, Sent: 9, Connected: 10, Live: 2, Resets: int64(i), Fresh99: float64(part), CPU: 0.5})
	}
	if histograms == nil {
		h := measure.NewHistogram()
		h.Record(time.Duration(part) * time.Millisecond)
		histograms = byGroup{"cars": {"ack": h}, "desk": {"fresh": h}}
	}
	r.measured(histograms)
	threshold, err := ParseThreshold("offered>=250", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.judge([]Threshold{threshold})
	return r
}

// filed writes reports and reads them again, as merge finds them.
func filed(t *testing.T, reports ...*Report) (sources []Source) {
	t.Helper()
	for i, r := range reports {
		file := filepath.Join(t.TempDir(), fmt.Sprint(i, ".json"))
		if err := (&Files{JSON: file}).Write(r); err != nil {
			t.Fatal(err)
		}
		back, err := Read(file)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, Source{file, back})
	}
	return sources
}

func TestShardsAreMerged(t *testing.T) {
	sources := filed(t, shardReport(t, 2, 2, nil), shardReport(t, 1, 2, nil))
	if sources[0].Report.Err() == nil {
		t.Error("half of it keeps the threshold of the whole")
	}
	r, err := Merge(sources, []string{"missing_shards==0", "desk.fresh_count==2"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Err(), r.Complete()); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]float64{
		"offered": 300, "offered_rate": 20, "achieved_rate": 18, "connected": 20, "acked_share": 1, "updates": 100, "updates_rate": 10, "max_lag": 200, "violations": 1, "live_share": 1,
		"silent_loss": 1, "breaches": 1, "faults": 1, "ack_count": 2, "cars.ack_count": 2, "desk.fresh_count": 2, "generator_share": 0.2, "missing_shards": 0, "cars.offered": 300,
	} {
		if got, ok := r.Values[name]; !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if d := r.Devices[0]; d.Devices != 20 || d.Puback.Count != 2 || d.Puback.Max < 2 {
		t.Errorf("%+v", d)
	}
	if v := r.Viewers[0]; v.Report.Devices != 20 || v.Viewers != 4 || v.Transports["sse"] != 4 || v.Latency.Count != 2 || !slices.Equal(v.Examples, []string{"shard 1/2: one", "shard 2/2: one"}) {
		t.Errorf("%+v", v)
	}
	if l := r.Ledger; l.Sent != 60 || l.Delivered+l.Superseded != 120 || l.Prefix != "p1, p2" || l.Worst[0].Prefix != "p2" || l.Examples[1] != "shard 2/2: lost: one" {
		t.Errorf("%+v", l)
	}
	if a := r.Audit; a.Owed != 20 || a.Kept != 20 || a.Seconds != 2 {
		t.Errorf("%+v", a)
	}
	if m := r.Merged; len(m.Shards) != 2 || m.Shards[0].Shard.Part != 1 || math.Abs(m.Common-9.5) > 1e-6 || m.CPU != 2 || m.Memory != 20 || r.Seconds != 10.5 || r.Host.Cores != 4 {
		t.Errorf("%+v", m)
	}
	for _, want := range []string{"all say this", "shard 1/2: only 1", "the shards ran all at the same time for 9.5 s of 10.5 s"} {
		if !slices.Contains(r.Notes, want) {
			t.Errorf("there is no %q in %q", want, r.Notes)
		}
	}
	if !slices.Contains(r.Health.Notes, "shard 2/2: ill 2") {
		t.Errorf("%q", r.Health.Notes)
	}
}

func TestAMergedReportIsWrittenInEveryWay(t *testing.T) {
	r, err := Merge(filed(t, shardReport(t, 1, 3, nil), shardReport(t, 3, 3, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Complete(); !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), "shard 2/3 is missing") {
		t.Error(err)
	}
	back := filed(t, r)[0]
	var text, html, metrics bytes.Buffer
	if err := errors.Join(back.Report.WriteText(&text), back.Report.WriteHTML(&html), back.Report.WritePrometheus(&metrics), back.Report.WriteHGRM(t.TempDir())); err != nil {
		t.Fatal(err)
	}
	for in, wants := range map[*bytes.Buffer][]string{
		&text:    {"2 of 3 merged", "NOT WHOLE: shard 2/3 is missing", "  1/3 "},
		&html:    {"<td class=\"broken\">2/3</td>", "in the worst shard"},
		&metrics: {"fleetcast_simulator_missing_shards 1", `fleetcast_simulator_latency_seconds_count{stage="ack"} 2`},
	} {
		for _, want := range wants {
			if !strings.Contains(in.String(), want) {
				t.Errorf("there is no %q in\n%s", want, in)
			}
		}
	}
	c := Compare(shardReport(t, 1, 1, nil), back.Report, 0.1)
	if notes := strings.Join(c.Notes, "\n"); !strings.Contains(notes, "1 and 2 processes") || !strings.Contains(notes, "not whole") {
		t.Error(notes)
	}
	if _, err := Merge([]Source{back}, nil); err == nil || !strings.Contains(err.Error(), back.File) {
		t.Errorf("a merged report is merged again: %v", err)
	}
}

func TestWhatIsNotOneRunIsNotMerged(t *testing.T) {
	for want, spoil := range map[string]func(*Report){
		"seed is 8":                     func(r *Report) { r.Run.Seed = 8 },
		"digest":                        func(r *Report) { r.Run.Config = "other" },
		`run "monday"`:                  func(r *Report) { r.Run.ID = "monday" },
		"one of 3 shards":               func(r *Report) { r.Run.Shard.Of = 3 },
		"it is shard 1/2, and so is":    func(r *Report) { r.Run.Shard.Part = 1 },
		"a report of another":           func(r *Report) { r.Name = "another" },
		"holds no histograms":           func(r *Report) { r.Run, r.Histograms = nil, nil },
		"does not know":                 func(r *Report) { r.Histograms.Version = 9 },
		"group cars: read ack":          func(r *Report) { r.Histograms.Groups["cars"]["ack"] = "HISTFAA" },
		"hold 1, and it says that 5":    func(r *Report) { r.Latencies["ack"] = measure.Percentiles{Count: 5} },
		"hold 0, and it says that 1 we": func(r *Report) { delete(r.Histograms.Groups["cars"], "ack") },
	} {
		sources := filed(t, shardReport(t, 1, 2, nil), shardReport(t, 2, 2, nil))
		spoil(sources[1].Report)
		if _, err := Merge(sources, nil); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), sources[1].File) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := Merge(nil, nil); err == nil {
		t.Error("nothing is merged")
	}
	if _, err := Merge(filed(t, shardReport(t, 1, 1, nil)), []string{"speed<1"}); !errors.Is(err, ErrWrongThreshold) {
		t.Error(err)
	}
}

func TestShardsThatNeverRanTogetherAreNoRun(t *testing.T) {
	late := shardReport(t, 2, 2, nil)
	late.Began = late.Began.Add(24 * time.Hour)
	r, err := Merge(filed(t, shardReport(t, 1, 2, nil), late), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Complete(); !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), "same time") || len(r.Series) > maxSamples {
		t.Errorf("%v, %d samples", err, len(r.Series))
	}
	idle := shardReport(t, 2, 2, nil)
	idle.Devices[0].Whole.Connects = 0
	if r, err = Merge(filed(t, shardReport(t, 1, 2, nil), idle), nil); err != nil || len(r.Merged.Idle) != 1 || r.Merged.Idle[0].Part != 2 {
		t.Errorf("%v: %+v", err, r.Merged)
	}
}

func TestMergedPercentilesAreThoseOfTheWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	whole, parts := measure.NewHistogram(), []byGroup{}
	for range 4 {
		h := measure.NewHistogram()
		for range 1 + r.IntN(5000) {
			d := time.Duration(r.ExpFloat64() * float64(20*time.Millisecond))
			h.Record(d)
			whole.Record(d)
		}
		parts = append(parts, byGroup{"cars": {"ack": h}})
	}
	var reports []*Report
	for i, p := range parts {
		reports = append(reports, shardReport(t, i+1, len(parts), p))
	}
	merged, err := Merge(filed(t, reports...), nil)
	if err != nil || merged.Latencies["ack"] != measure.Sum(whole) || merged.Devices[0].Puback != measure.Sum(whole) || len(merged.Curves["ack"]) == 0 {
		t.Errorf("%v: %+v, want %+v", err, merged.Latencies["ack"], measure.Sum(whole))
	}
}

func TestSeriesAreLaidOverEachOtherByTheClock(t *testing.T) {
	a, b := shardReport(t, 1, 2, nil), shardReport(t, 2, 2, nil)
	a.Began, b.Began = noon, noon.Add(2500*time.Millisecond)
	a.Events, b.Events = []Event{{3, "x"}}, []Event{{1, "y"}}
	series := mergedSeries([]*Report{a, b}, noon)
	area := 0.0
	for i := range series {
		before := 0.0
		if i > 0 {
			before = series[i-1].At
		}
		area += series[i].Offered * (series[i].At - before)
	}
	if len(series) != 13 || math.Abs(area-200) > 1e-6 {
		t.Errorf("%d samples with %v offered", len(series), area)
	}
	first, middle, last := series[0], series[5], series[12]
	if first.Offered != 10 || first.Connected != 10 || math.Abs(middle.Offered-20) > 1e-9 || middle.Connected != 20 || middle.Live != 4 || middle.Fresh99 != 2 || middle.CPU != 1 {
		t.Errorf("%+v, %+v", first, middle)
	}
	if last.At != 12.5 || last.Connected != 10 || last.Resets != 18 || math.Abs(last.Offered-10) > 1e-9 {
		t.Errorf("%+v", last)
	}
	if events := mergedEvents([]*Report{a, b}, noon); len(events) != 2 || events[0].Name != "x (shard 1/2)" || events[1].At != 3.5 {
		t.Errorf("%+v", events)
	}
	if got := mergedSeries([]*Report{{Began: noon}}, noon); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAReportWithoutHistogramsIsStillRead(t *testing.T) {
	old := sampleReport()
	old.held = nil
	back := filed(t, old)[0].Report
	if back.Histograms != nil {
		t.Errorf("%+v", back.Histograms)
	}
	if err := errors.Join(back.WriteText(new(bytes.Buffer)), back.WriteHTML(new(bytes.Buffer)), Compare(back, back, 0.1).WriteText(new(bytes.Buffer))); err != nil {
		t.Error(err)
	}
	if err := back.WriteHGRM(t.TempDir()); !errors.Is(err, errNoHistograms) {
		t.Error(err)
	}
}
