package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/fleetcast/fleetcast/gateway/metrics"
)

// fill puts something wherever a tree can have something, so that a walk over it meets every path.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case reflect.Map:
		one := reflect.New(v.Type().Elem()).Elem()
		fill(one)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("any").Convert(v.Type().Key()), one)
	default:
	}
}

func TestEveryCounterIsAMetric(t *testing.T) {
	var all Stats
	fill(reflect.ValueOf(&all).Elem())
	if missing := metrics.Missing(all, metricsTable); missing != nil {
		t.Errorf("metricsTable does not say what these are: %s", strings.Join(missing, ", "))
	}
	if idle := metrics.Idle(all, metricsTable); idle != nil {
		t.Errorf("metricsTable names what nobody counts: %s", strings.Join(idle, ", "))
	}
}

// adminClient is one whose connections do not outlive a test.
var adminClient = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// fetch returns the status and the body of a GET.
func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := adminClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestOperatorsSeeMetricsHealthProfilesAndWhoIsStale(t *testing.T) {
	g := startGateway(t, func(o *Options) { o.Admin.Listen = "127.0.0.1:0" })
	g.publish("-q", "1", "-t", "fleets/north/devices/truck-17/telemetry", "-m", fmt.Sprintf(`{"lat":48.9,"lon":2.3,"at":%d}`, time.Now().UnixMilli()))
	g.waitAsset("truck-17", has("lat", 48.9))
	admin := "http://" + g.Addrs().Admin.String()
	status, text := fetch(t, admin+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, text)
	}
	for _, want := range []string{
		`fleetcast_freshness_seconds_bucket{fleet="north",stage="device",`, `fleetcast_freshness_seconds_count{fleet="north",stage="owner"} 1`,
		`fleetcast_freshness_seconds_count{fleet="north",stage="bus"} `, "fleetcast_mqtt_commit_seconds_count ", "fleetcast_bridge_readings_total 1\n",
		`fleetcast_mqtt_decode_failures_total{reason="unknown_topic"} 0`, `fleetcast_sse_streams_ended_total{reason="gone"} `, "fleetcast_hub_lag_seconds ",
		"fleetcast_build_info{", "go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, metrics.Namespace) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for path, want := range map[string]string{
		"/healthz": `"ok"`, "/readyz": `"ready"`, "/readyz?role=edge": `"ready"`, "/stalest?limit=1": `"id":"truck-17"`, "/debug/pprof/": "goroutine",
		"/debug/pprof/goroutine?debug=1": "goroutine profile",
	} {
		if status, text := fetch(t, admin+path); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: status %d, %.200s", path, status, text)
		}
	}
	if status, _ := fetch(t, admin+"/api/assets"); status != http.StatusNotFound {
		t.Errorf("the admin address has the API: status %d", status)
	}
	if status, _ := fetch(t, "http://"+g.Addrs().HTTP.String()+"/metrics"); status == http.StatusOK {
		t.Errorf("the main address has metrics")
	}
}

// Who watches a process that stops sees it stop: it is alive, not ready, and says for how long it has been at it.
func TestOperatorsSeeAProcessStop(t *testing.T) {
	var log syncBuffer
	g := startGateway(t, func(o *Options) {
		o.Admin.Listen = "127.0.0.1:0"
		o.Report.Logger, _ = NewLogger(o.Log, &log)
	})
	admin := "http://" + g.Addrs().Admin.String()
	if status, text := fetch(t, admin+"/metrics"); status != http.StatusOK || !strings.Contains(text, "fleetcast_stopping_seconds 0\n") {
		t.Errorf("while it runs: status %d", status)
	}
	looked := 0
	look := func(context.Context) error {
		looked++
		for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/readyz?role=edge": 503, "/stalest?limit=1": 200} {
			if status, text := fetch(t, admin+path); status != want || want == 503 && !strings.Contains(text, "it stops") {
				t.Errorf("look %d, %s: status %d, %.300s", looked, path, status, text)
			}
		}
		_, text := fetch(t, admin+"/metrics")
		if !strings.Contains(text, "fleetcast_stopping_seconds ") || strings.Contains(text, "fleetcast_stopping_seconds 0\n") {
			t.Errorf("look %d: the metrics do not say that it stops", looked)
		}
		return nil
	}
	s := g.open("/stream/assets", "")
	g.stack.push("before all else", time.Minute, look)
	at := slices.IndexFunc(g.stack.entries, func(e stackEntry) bool { return e.name == "admin" })
	g.stack.slide(at+1, "after all else", time.Minute, look)
	g.stop()
	<-s.done
	if looked != 2 {
		t.Errorf("%d looks", looked)
	}
	if text := log.String(); !strings.Contains(text, "msg=stopped") || !strings.Contains(text, "told_to_come_back=1 left_open=0") {
		t.Errorf("it said:\n%s", text)
	}
}

func TestAnAdminAddressThatOthersReachAsksForAProof(t *testing.T) {
	for _, c := range []struct {
		name    string
		open    bool
		metrics int
	}{{"as it is", false, http.StatusUnauthorized}, {"with open metrics", true, http.StatusOK}} {
		t.Run(c.name, func(t *testing.T) {
			g := startGateway(t, func(o *Options) {
				o.People.Viewer, o.Admin.Listen, o.Admin.Open = AuthRequired, "0.0.0.0:0", c.open
			})
			_, port, _ := strings.Cut(g.Addrs().Admin.String(), "]:")
			admin := "http://127.0.0.1:" + port
			for path, want := range map[string]int{
				"/metrics": c.metrics, "/stalest": http.StatusUnauthorized, "/debug/pprof/": http.StatusUnauthorized, "/debug/pprof/heap": http.StatusUnauthorized, "/backup": http.StatusUnauthorized,
				"/healthz": http.StatusOK, "/readyz": http.StatusOK,
			} {
				if status, text := fetch(t, admin+path); status != want {
					t.Errorf("%s: status %d, want %d: %.200s", path, status, want, text)
				}
			}
		})
	}
	t.Run("without anybody being asked", func(t *testing.T) {
		o := testOptions(t)
		o.Admin.Listen = "0.0.0.0:0"
		if err := o.Check(); err == nil {
			t.Error("an address that others reach was taken")
		}
		o.Admin.Open = true
		if err := o.Check(); err != nil {
			t.Errorf("open metrics were refused: %v", err)
		}
		g := startGateway(t, func(o *Options) { o.Admin.Listen, o.Admin.Open = "0.0.0.0:0", true })
		_, port, _ := strings.Cut(g.Addrs().Admin.String(), "]:")
		for path, want := range map[string]int{"/metrics": http.StatusOK, "/stalest": http.StatusForbidden, "/debug/pprof/": http.StatusForbidden, "/backup": http.StatusForbidden} {
			if status, _ := fetch(t, "http://127.0.0.1:"+port+path); status != want {
				t.Errorf("%s: status %d, want %d", path, status, want)
			}
		}
	})
}

func TestAnAdminAddressThatIsForThisMachineAnswersNoOtherNames(t *testing.T) {
	g := startGateway(t, func(o *Options) { o.Admin.Listen = "127.0.0.1:0" })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.Addrs().Admin.String()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	res, err := adminClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("status %d", res.StatusCode)
	}
}
