package watch

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
	"github.com/fleetcast/fleetcast/simulator/measure"
)

// dashboards serves the same two assets over each transport, and takes viewports.
type dashboards struct {
	wants   string // Authorization; "" is none
	mu      sync.Mutex
	protos  map[string]int
	moved   map[string]int // by stream
	streams atomic.Int64
	http2   int // connections
	conns   map[string]bool
}

func (d *dashboards) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if want := d.wants; want != "" && r.Header.Get("Authorization") != want {
		http.Error(w, "who are you", http.StatusUnauthorized)
		return
	}
	now := time.Now().UnixMilli()
	text := fmt.Sprintf(`{"id":"a","fleet":"f","status":"online","at":%d,"received":%d,"metrics":{"seq":1}}`, now-20, now-5)
	switch {
	case r.Method == http.MethodPut:
		var view struct{ BBox [4]float64 }
		if json.NewDecoder(r.Body).Decode(&view) != nil || view.BBox[0] >= view.BBox[2] {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		d.mu.Lock()
		d.moved[r.URL.Path]++
		d.mu.Unlock()
	case r.URL.Path == webSocketPath:
		d.count("websocket")
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow() //nolint:errcheck // the viewer may be gone
		_, _, _ = conn.Read(r.Context())
		for _, m := range []string{`{"event":"ready","data":{"sid":"x"}}`, `{"event":"assets","position":"p","data":[` + text + `]}`} {
			_ = conn.Write(r.Context(), websocket.MessageText, []byte(m))
		}
		_, _, _ = conn.Read(r.Context())
	default:
		d.count(r.Proto)
		if r.ProtoMajor == 2 {
			d.mu.Lock()
			if !d.conns[r.RemoteAddr] {
				d.conns[r.RemoteAddr] = true
				d.http2++
			}
			d.mu.Unlock()
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "%sevent: ready\ndata: {\"sid\":\"s%d\",\"assets\":0,\"position\":\"p\"}\n\ndata: %s\n\n", retry, d.streams.Add(1), text)
		_ = http.NewResponseController(w).Flush() // the viewer may be gone
		<-r.Context().Done()
	}
}

func (d *dashboards) count(proto string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.protos[proto]++
}

func startDashboards(t *testing.T) (*dashboards, string) {
	t.Helper()
	d, server := newDashboards(t)
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	return d, server.URL + "/stream/assets"
}

func newDashboards(t *testing.T) (*dashboards, *httptest.Server) {
	t.Helper()
	d := &dashboards{protos: map[string]int{}, conns: map[string]bool{}, moved: map[string]int{}}
	server := httptest.NewUnstartedServer(d)
	t.Cleanup(server.Close)
	return d, server
}

// A transport of HTTP/2 writes into its configuration what it speaks: with the same one the others would ask for it too.
func TestViewersOverTLSSpeakWhatTheyAreToSpeak(t *testing.T) {
	d, server := newDashboards(t)
	server.EnableHTTP2 = true
	server.StartTLS()
	o := Options{URL: server.URL + "/stream/assets?bbox=1,2,3,4", Viewers: 20, ConnectRate: 1000, HTTP2Share: 0.3, HTTP2OwnShare: 0.1, WebSocketShare: 0.3, PanEvery: 20 * time.Millisecond}
	o.TLS = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12}
	if r, err := runUntil(t, o, "all saw the asset and views moved", func(w *Watch) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return w.Counts().Updates == 20 && len(d.moved) > 0
	}); err != nil || r.Broken != 0 || len(r.Transports) != 4 {
		t.Errorf("%+v, %v", r, err)
	}
}

func runUntil(t *testing.T, o Options, what string, holds func(*Watch) bool) (Report, error) {
	t.Helper()
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	testbroker.Eventually(t, what, func() bool { return holds(w) })
	cancel()
	err = <-done
	return w.Report(), err
}

func TestViewersListenOverEachTransport(t *testing.T) {
	d, url := startDashboards(t)
	r, err := runUntil(t, Options{URL: url, Viewers: 30, ConnectRate: 1000, HTTP2Share: 0.2, HTTP2OwnShare: 0.2, WebSocketShare: 0.3}, "all saw the asset", func(w *Watch) bool {
		return w.Counts().Updates == 30
	})
	if err != nil {
		t.Error(err)
	}
	for name, viewers := range r.Transports { // one update each
		if p := r.ByTransport[name]; p.Count != int64(viewers) || p.P50 < 14 {
			t.Errorf("%d viewers over %s have %+v", viewers, name, p)
		}
	}
	if len(r.ByTransport) != len(r.Transports) || len(r.Transports) != 4 {
		t.Errorf("latencies of %v, viewers of %v", r.ByTransport, r.Transports)
	}
	r.Transports["http2"] += r.Transports["http2_own"]
	for name, n := range map[string]int{"sse": d.protos["HTTP/1.1"], "http2": d.protos["HTTP/2.0"], "websocket": d.protos["websocket"]} {
		if r.Transports[name] != n || math.Abs(float64(n)-10) > 3 {
			t.Errorf("%d viewers are over %s, and the server saw %d", r.Transports[name], name, n)
		}
	}
	if own := r.Transports["http2_own"]; d.http2 != own+1 {
		t.Errorf("%d viewers have a connection of HTTP/2 each and the others share one: the server saw %d", own, d.http2)
	}
	if r.Latency.Count != 30 || r.Edge.Count != 30 || r.View.Count != 30 || r.Edge.P50 < 14 || r.Edge.P50 > 16 || r.Violations.Total() != 0 {
		t.Errorf("%+v", r)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "websocket") {
		t.Errorf("%v: %s", err, &text)
	}
}

func TestAnAssetOfAnotherFleetIsALeak(t *testing.T) {
	_, url := startDashboards(t)
	r, err := runUntil(t, Options{URL: url + "?fleet=g&fleet=h", Viewers: 2}, "updates", func(w *Watch) bool { return w.Counts().Updates == 2 })
	if !errors.Is(err, ErrViolations) || r.Violations.Leaked != 2 {
		t.Errorf("%+v, %v", r.Violations, err)
	}
	if r, err := runUntil(t, Options{URL: url + "?fleet=g&fleet=f", Viewers: 2}, "updates", func(w *Watch) bool { return w.Counts().Updates == 2 }); err != nil || r.Violations.Leaked != 0 {
		t.Errorf("%+v, %v", r.Violations, err)
	}
}

func TestSomeViewersNeverReturn(t *testing.T) {
	_, url := startDashboards(t)
	r, err := runUntil(t, Options{URL: url, Viewers: 10, GoneShare: 0.3, ConnectRate: 1000, For: time.Second}, "three are gone", func(w *Watch) bool { return w.Counts().Gone == 3 })
	if err != nil || r.Opened != 10 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestOnlyAShareIsCutAndResumes(t *testing.T) {
	_, url := startDashboards(t)
	r, err := runUntil(t, Options{URL: url, Viewers: 10, ConnectRate: 1000, ResumeEvery: 10 * time.Millisecond, ResumeShare: 0.2}, "many were cut", func(w *Watch) bool { return w.Counts().Cut >= 20 })
	if err != nil || r.Opened < 28 || r.Opened > 8+2*(r.Cut+2) {
		t.Errorf("%+v, %v", r.Counts, err)
	}
}

func TestViewportsMoveWithoutReconnecting(t *testing.T) {
	d, url := startDashboards(t)
	r, err := runUntil(t, Options{URL: url + "?bbox=1,2,3,4", Viewers: 4, ConnectRate: 1000, PanEvery: 20 * time.Millisecond, HTTP2Share: 0.25}, "all moved", func(*Watch) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.moved) == 4 && d.moved["/stream/s1/view"] > 2
	})
	if err != nil || r.Opened != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, wrong := range []string{"1,2,3", "a,b,c,d"} {
		if _, err := New(Options{URL: url + "?bbox=" + wrong, Viewers: 1, PanEvery: time.Second}); err == nil {
			t.Errorf("bbox %s is accepted", wrong)
		}
	}
}

func TestAViewThatMovedIsCounted(t *testing.T) {
	r, err := watchScripts(t, Options{}, retry+ready+"event: view\ndata: {\"seq\":1}\n\n"+heartbeat)
	if err != nil || r.Views != 1 || r.Others != 0 {
		t.Errorf("%+v, %v", r.Counts, err)
	}
}

func TestWhatStoodInABoxThatMovedIsNoLateUpdate(t *testing.T) {
	now := time.Now().UnixMilli()
	r, err := watchScripts(t, Options{}, retry+ready+"event: view\ndata: {\"seq\":1}\n\n"+asset("a", "f", now-5000, now-4900)+ready+asset("b", "f", now-20, now-10)+heartbeat)
	if err != nil || r.Latency.Count != 1 || r.Latency.Max > 4000 || r.Updates != 1 || r.Snapshots != 1 {
		t.Errorf("%+v, %+v, %v", r.Latency, r.Counts, err)
	}
}

func TestEveryTransportSaysWhoAsks(t *testing.T) {
	d, url := startDashboards(t)
	d.wants = "Bearer secret"
	o := Options{URL: url + "?bbox=1,2,3,4", Viewers: 12, ConnectRate: 1000, HTTP2Share: 0.3, WebSocketShare: 0.3, PanEvery: 20 * time.Millisecond, Header: http.Header{"Authorization": {d.wants}}}
	r, err := runUntil(t, o, "all saw the asset and one moved", func(w *Watch) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return w.Counts().Updates == 12 && len(d.moved) > 0
	})
	if err != nil || len(r.Transports) != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAnAssetOfAnotherPlaceIsALeak(t *testing.T) {
	at := func(lat, lon string) string {
		return "data: {\"id\":\"a\",\"fleet\":\"f\",\"status\":\"online\",\"received\":9,\"lat\":" + lat + ",\"lon\":" + lon + "}\n\n"
	}
	script := retry + at("48", "2") + at("48", "4") + at("51", "2") + at("1", "179") + at("1", "-179") + asset("a", "f", 9, 9) + ready + heartbeat
	for bounds, want := range map[string]int64{"1,47,3,49": 4, "-180,-90,180,90": 0, "178,0,-178,2": 3} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, script)
			_ = http.NewResponseController(w).Flush() // the viewer may be gone
			<-r.Context().Done()
		}))
		r, err := runUntil(t, Options{URL: server.URL + "?bbox=" + bounds, Viewers: 1}, "all", func(w *Watch) bool { return w.Counts().Heartbeats == 1 })
		if r.Violations.Leaked != want || errors.Is(err, ErrViolations) != (want > 0) {
			t.Errorf("%s: %d leaks, %v", bounds, r.Violations.Leaked, err)
		}
		server.Close()
	}
}

func TestLatenciesOfTransportsAreSetFromHistograms(t *testing.T) {
	one, none := measure.NewHistogram(), measure.NewHistogram()
	one.Record(5 * time.Millisecond)
	var r Report
	r.SetLatencies(map[string]*measure.Histogram{"fresh": one, "fresh_websocket": one, "fresh_http2_own": none})
	if len(r.ByTransport) != 2 || r.ByTransport["websocket"].Count != 1 || r.ByTransport["http2_own"].Count != 0 || r.Latency.Count != 1 {
		t.Errorf("%+v", r.ByTransport)
	}
	r.SetLatencies(map[string]*measure.Histogram{"fresh": one})
	if r.ByTransport != nil {
		t.Errorf("%+v", r.ByTransport)
	}
}
