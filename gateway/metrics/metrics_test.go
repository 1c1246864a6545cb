package metrics

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/fleetcast/fleetcast/devices/latency"
)

type inner struct {
	Bytes int64 `json:"bytes"`
}

type tree struct {
	inner
	Kind    string            `json:"kind"`
	Open    int               `json:"open"`
	LagMS   int64             `json:"lag_ms"`
	Failing bool              `json:"failing"`
	Hidden  int               `json:"-"`
	Part    *inner            `json:"part,omitempty"`
	Absent  *inner            `json:"absent,omitempty"`
	Ended   map[string]uint64 `json:"ended"`
	Deep    map[string]inner  `json:"deep"`
}

func sample() any {
	return tree{
		inner: inner{Bytes: 7}, Kind: "disk", Open: 3, LagMS: 1500, Failing: true, Hidden: 9, Part: &inner{Bytes: 8},
		Ended: map[string]uint64{"gone": 4, "stalled": 0, "panicked": 1}, Deep: map[string]inner{"a": {Bytes: 5}},
	}
}

var table = []Metric{
	{Path: "bytes", Name: "written_bytes", Help: "Bytes."},
	{Path: "open", Name: "streams", Kind: Gauge, Help: "Streams."},
	{Path: "lag_ms", Name: "lag_seconds", Kind: Gauge, Help: "Lag.", Scale: 0.001},
	{Path: "failing", Name: "failing", Kind: Gauge, Help: "1 where it fails."},
	{Path: "part.bytes", Name: "part_bytes", Kind: Gauge, Help: "Bytes of the part."},
	{Path: "ended.*", Name: "ended", Help: "Ended.", Label: "reason"},
	{Path: "ended.*", Key: "panicked", Name: "panics", Help: "Panics."},
	{Path: "deep.a.bytes", Name: "deep_bytes", Kind: Gauge, Help: "Deep."},
}

func scrape(t *testing.T, o Options) string {
	t.Helper()
	h, err := Handler(o)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	problems, err := promlint.New(strings.NewReader(w.Body.String())).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, Namespace) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	return w.Body.String()
}

func TestEveryNumberOfTheTreeIsShownAsTheTableSays(t *testing.T) {
	var h latency.Histogram
	h.Observe(3 * time.Millisecond)
	h.Observe(2 * time.Hour)
	got := scrape(t, Options{Stats: sample, Metrics: table, Version: "1.2.3", Histograms: func() []Histogram {
		return []Histogram{{Name: "write_seconds", Help: "Writes.", Labels: map[string]string{"stage": "write", "fleet": "north"}, Value: h.Snapshot()}}
	}})
	for _, want := range []string{
		`fleetcast_written_bytes_total 7`, `fleetcast_streams 3`, `fleetcast_lag_seconds 1.5`, `fleetcast_failing 1`, `fleetcast_part_bytes 8`,
		`fleetcast_ended_total{reason="gone"} 4`, `fleetcast_ended_total{reason="stalled"} 0`, `fleetcast_panics_total 1`, `fleetcast_deep_bytes 5`,
		`fleetcast_build_info{version="1.2.3"} 1`,
		`fleetcast_write_seconds_bucket{fleet="north",stage="write",le="0.005"} 1`, `fleetcast_write_seconds_bucket{fleet="north",stage="write",le="+Inf"} 2`,
		`fleetcast_write_seconds_count{fleet="north",stage="write"} 2`, "# TYPE fleetcast_ended_total counter", "go_goroutines", "process_open_fds",
	} {
		if !strings.Contains(got, want+"\n") && !strings.Contains(got, want+" ") {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, `reason="panicked"`) {
		t.Error("what has a metric of its own is counted twice")
	}
}

func TestWhatTheTableDoesNotNameIsTold(t *testing.T) {
	if missing := Missing(sample(), table); missing != nil {
		t.Errorf("missing are %v", missing)
	}
	if got, want := Missing(sample(), table[1:5]), []string{"bytes", "ended.*", "deep.a.bytes"}; !slices.Equal(got, want) {
		t.Errorf("missing are %v, want %v", got, want)
	}
	if _, err := Handler(Options{Metrics: append(table[:1:1], table[0])}); err == nil {
		t.Error("a path with two metrics was taken")
	}
}
