package report

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/prove"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sampleReport is a run of two groups with everything in it.
func sampleReport(thresholds ...string) *Report {
	h := measure.NewHistogram()
	for i := range 1000 {
		h.Record(time.Duration(i) * 100 * time.Microsecond)
	}
	r := &Report{
		Version: Version, Name: "sample <run>", Began: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), Seconds: 20, Host: ThisHost(),
		Latencies: map[string]measure.Percentiles{"fresh": measure.Sum(h), "ack": measure.Sum(h), "edge": {}},
		Curves:    map[string][]measure.Point{"fresh": h.Curve()},
		Events:    []Event{{5, "storm & <b>thunder</b>"}},
		Devices: []Devices{
			{"near", fleet.Summary{QoS: 1, OfferedRate: 100, AchievedRate: 99, Steady: fleet.Counts{Offered: 2000, Sent: 1980, Late: 10, Skipped: fleet.Skipped{Busy: 20}}, Whole: fleet.Counts{Sent: 2100, Acked: 2090}}},
			{"far", fleet.Summary{OfferedRate: 10, AchievedRate: 10, Steady: fleet.Counts{Offered: 200, Sent: 200}, Whole: fleet.Counts{Sent: 200, Trouble: fleet.Trouble{Dial: 3}}}},
		},
		Viewers: []Viewers{{"desk", watch.Report{Viewers: 10, EverReady: 9, Counts: watch.Counts{Live: 8, Gone: 1, MaxLag: 120, Violations: watch.Violations{Leaked: 2}}}}},
		Ledger:  &prove.Report{Totals: prove.Totals{Lost: 1, Overtaken: 2}, Breaches: map[prove.Kind]int64{prove.Lost: 1}},
		Audit:   &Audit{Owed: 5, Kept: 4, Missing: 1},
	}
	for i := range 20 {
		r.Series = append(r.Series, Sample{At: float64(i), Offered: 100, Sent: 99, Live: 8, Fresh99: 90})
	}
	r.fill()
	var all []Threshold
	for _, text := range thresholds {
		t, err := ParseThreshold(text, []string{"near", "far", "desk"})
		if err != nil {
			panic(err)
		}
		all = append(all, t)
	}
	r.judge(all)
	return r
}

func TestValuesAreThoseOfAllGroupsAndOfEach(t *testing.T) {
	v := sampleReport().Values
	for name, want := range map[string]float64{
		"silent_loss": 4, "breaches": 1, "violations": 2, "offered_rate": 110, "achieved_share": 2180.0 / 2200, "near.achieved_share": 0.99,
		"skipped": 20, "acked_share": 2090.0 / 2100, "connect_failures": 3, "far.connect_failures": 3, "live_share": 8.0 / 9, "ready_share": 0.9,
		"max_lag": 120, "fresh_count": 1000, "edge_count": 0, "faults": 1,
	} {
		if got, ok := v[name]; !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := v["fresh_p99"]; got < 98 || got > 100 {
		t.Errorf("fresh_p99 is %v", got)
	}
	for _, name := range []string{"edge_p99", "far.acked_share"} {
		if got, ok := v[name]; ok {
			t.Errorf("%s was not measured and is %v", name, got)
		}
	}
}

func TestThresholdsAreJudged(t *testing.T) {
	for text, want := range map[string]bool{
		"fresh_p99<250ms": true, "fresh_p99 <= 0.05s": false, "fresh_p99>=98": true, "silent_loss==0": false, "silent_loss!=0": true,
		"achieved_share>99%": true, "near.achieved_share>99.5%": false, "achieved_rate>=100/s": true, "ack_max<1s": true,
		"edge_p99<1s": false, // nothing was measured
	} {
		r := sampleReport(text)
		if r.Thresholds[0].Kept != want || errors.Is(r.Err(), ErrThreshold) == want {
			t.Errorf("%s: %+v, %v", text, r.Thresholds[0], r.Err())
		}
	}
	for _, wrong := range []string{"", "fresh_p99", "fresh_p99<", "fresh_p99<fast", "freshness<1s", "middle.fresh_p99<1s", "silent_loss==none", "achieved_rate>5/h"} {
		if _, err := ParseThreshold(wrong, []string{"near"}); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
	if err := sampleReport().Err(); err != nil {
		t.Errorf("without a threshold: %v", err)
	}
}

func TestAReportIsWrittenInEveryWayAndReadAgain(t *testing.T) {
	r, dir := sampleReport("fresh_p99<250ms", "edge_p99<1s"), t.TempDir()
	h := measure.NewHistogram()
	h.Record(3 * time.Millisecond)
	r.held = byGroup{"near": {"fresh": h}}
	files := Files{JSON: filepath.Join(dir, "r.json"), HTML: filepath.Join(dir, "r.html"), HGRM: filepath.Join(dir, "hgrm"), Prometheus: filepath.Join(dir, "r.prom")}
	if err := files.Write(r); err != nil {
		t.Fatal(err)
	}
	back, err := Read(files.JSON)
	if err != nil || back.Values["silent_loss"] != 4 || len(back.Series) != 20 || back.Devices[1].Name != "far" || back.Thresholds[1].Value != nil {
		t.Errorf("%+v, %v", back, err)
	}
	for file, wants := range map[string][]string{
		files.HTML:                              {"sample &lt;run&gt;", "<polyline", "storm &amp;", "fresh_p99&lt;250ms  kept", "prefers-color-scheme"},
		filepath.Join(files.HGRM, "fresh.hgrm"): {"Percentile", "3.00", "Total count"},
		files.Prometheus: {
			`fleetcast_simulator_achieved_share_ratio{group="near"} 0.99`, "# TYPE fleetcast_simulator_silent_loss gauge\nfleetcast_simulator_silent_loss 4",
			`fleetcast_simulator_latency_seconds_count{stage="fresh"} 1000`, `fleetcast_simulator_max_lag_seconds 0.12`,
		},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %q", filepath.Base(file), want)
			}
		}
	}
	page, _ := os.ReadFile(files.HTML) // it was read above
	if bytes.Contains(page, []byte("<script")) || bytes.Contains(page, []byte("<b>thunder")) || bytes.Contains(page, []byte("http://")) {
		t.Error("the page runs or fetches something")
	}
	svg := page[bytes.Index(page, []byte("<svg")):]
	if err := xml.Unmarshal(svg[:bytes.Index(svg, []byte("</svg>"))+6], new(any)); err != nil && !strings.Contains(err.Error(), "unknown type") {
		t.Errorf("the drawing is no XML: %v", err)
	}
	for _, wrong := range []string{"{}", "[]", `{"version":99,"values":{"a":1}}`} {
		name := filepath.Join(dir, "wrong.json")
		if err := os.WriteFile(name, []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(name); err == nil {
			t.Errorf("%s is read as a report", wrong)
		}
	}
	if _, err := Read(filepath.Join(dir, "absent")); err == nil {
		t.Error("a file that is not there is read")
	}
}

func TestMetricsStandTogetherAndHaveOneTypeEach(t *testing.T) {
	var b bytes.Buffer
	if err := sampleReport().WritePrometheus(&b); err != nil {
		t.Fatal(err)
	}
	typed, last := map[string]bool{}, ""
	for line := range strings.SplitSeq(strings.TrimSpace(b.String()), "\n") {
		if name, isType := strings.CutPrefix(line, "# TYPE "); isType {
			name, _, _ = strings.Cut(name, " ")
			if typed[name] {
				t.Errorf("%s has two types", name)
			}
			typed[name], last = true, name
			continue
		}
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, last) {
			t.Errorf("%s stands under %s", line, last)
		}
	}
	if len(typed) < 20 {
		t.Errorf("%d metrics", len(typed))
	}
}

func TestAComparisonSaysWhatIsWorse(t *testing.T) {
	before, after := sampleReport(), sampleReport()
	after.Values["fresh_p99"] *= 1.5
	after.Values["ack_p99"] *= 1.02
	after.Values["achieved_rate"] *= 1.5
	after.Values["silent_loss"]++
	after.Values["offered_rate"] *= 2
	after.Name = "other"
	delete(after.Values, "max_lag")
	c := Compare(before, after, 0.1)
	worse := map[string]bool{}
	for _, d := range c.Values {
		if d.Worse {
			worse[d.Name] = true
		}
		if d.Name == "achieved_rate" && !d.Better {
			t.Errorf("%+v", d)
		}
	}
	if len(worse) != 3 || !worse["fresh_p99"] || !worse["silent_loss"] || !worse["max_lag"] || c.Worse() != 3 {
		t.Errorf("%v", worse)
	}
	if len(c.Notes) != 2 {
		t.Errorf("%q", c.Notes)
	}
	var b bytes.Buffer
	if err := c.WriteText(&b); err != nil || !strings.Contains(b.String(), "+50.0 %  worse") || !strings.Contains(b.String(), "3 values are worse") {
		t.Errorf("%v: %s", err, &b)
	}
	if text, err := json.Marshal(c); err != nil || !bytes.Contains(text, []byte(`"worse":true`)) {
		t.Errorf("%v", err)
	}
	if c := Compare(before, sampleReport(), 0); c.Worse() != 0 || len(c.Notes) != 0 {
		t.Errorf("a report is %d worse than itself: %q", c.Worse(), c.Notes)
	}
}

func TestARecorderSamplesARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := fleet.New(fleet.Options{MQTT: "nowhere:1", Devices: 3, Rate: 1})
		if err != nil {
			t.Fatal(err)
		}
		w, err := watch.New(watch.Options{URL: "http://nowhere/", Viewers: 2})
		if err != nil {
			t.Fatal(err)
		}
		var screen bytes.Buffer
		threshold, err := ParseThreshold("desk.violations==0", []string{"desk"})
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewRecorder(Options{
			Name: "test", Devices: []DeviceGroup{{"cars", f}}, Viewers: []ViewerGroup{{"desk", w}}, Thresholds: []Threshold{threshold},
			Screen: &screen, Lines: func() []string { return []string{"more"} },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Run(ctx)
		}()
		<-time.After(3 * time.Second)
		r.Event("storm")
		r.Note("a note")
		<-done
		out := r.Report(nil, nil)
		if len(out.Series) != 10 || out.Seconds < 9.9 || len(out.Events) != 1 || math.Abs(out.Events[0].At-3) > 0.1 || out.Notes[0] != "a note" {
			t.Errorf("%+v", out)
		}
		if !out.Thresholds[0].Kept || out.Values["cars.connected"] != 0 {
			t.Errorf("%+v", out.Thresholds)
		}
		if got := strings.Count(screen.String(), "devices"); got != 2 {
			t.Errorf("%d lines where no terminal is: %s", got, &screen)
		}
		if lines := r.lines(&Sample{}); len(lines) != 5 || lines[3] != "more" || !strings.Contains(lines[4], "storm") {
			t.Errorf("%q", lines)
		}
		for range 2 * maxSamples {
			r.keep(Sample{})
		}
		if n := len(r.Report(nil, nil).Series); n > maxSamples || n < maxSamples/2 {
			t.Errorf("%d samples are kept", n)
		}
	})
}

func TestMetricsAreServedWhileItRuns(t *testing.T) {
	r, err := NewRecorder(Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	address := testbroker.FreeAddress(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, address) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var body []byte
	testbroker.Eventually(t, "metrics", func() bool {
		response, err := client.Get("http://" + address + "/metrics")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		body, err = io.ReadAll(response.Body)
		return err == nil && response.StatusCode == http.StatusOK
	})
	if !bytes.Contains(body, []byte("fleetcast_simulator_generator_share_ratio")) {
		t.Errorf("%s", body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := r.Serve(t.Context(), "256.0.0.1:1"); err == nil {
		t.Error("an address that is none is served")
	}
}

func TestEveryValueIsDescribed(t *testing.T) {
	text := strings.Join(DescribeValues(), "\n")
	for _, want := range []string{"silent_loss", "fresh_…", "p999"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}
