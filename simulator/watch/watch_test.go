package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func asset(id, fleet string, at, received int64) string {
	return fmt.Sprintf("data: {\"id\":%q,\"fleet\":%q,\"status\":\"online\",\"at\":%d,\"received\":%d,\"metrics\":{\"seq\":1}}\n\n", id, fleet, at, received)
}

const (
	retry     = "retry: 1\n\n"
	ready     = "event: ready\ndata: {\"sid\":\"x\",\"assets\":2,\"position\":\"p\"}\nid: p\n\n"
	heartbeat = "event: heartbeat\ndata: {\"now\":5,\"lag_ms\":12}\n\n"
)

// watchScripts runs one viewer against a server that answers the n-th request with the n-th script and holds the last.
func watchScripts(t *testing.T, o Options, scripts ...string) (Report, error) {
	t.Helper()
	var requests atomic.Int32
	last := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(requests.Add(1))
		w.Header().Set("Content-Type", "text/event-stream")
		if _, err := io.WriteString(w, scripts[min(n, len(scripts))-1]); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush() // the viewer may be gone
		if n == len(scripts) {
			close(last)
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	o.URL = server.URL + "/stream/assets"
	if o.Viewers == 0 {
		o.Viewers = 1
	}
	o.CheckShare = 1
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	<-last
	// The last script ends with a heartbeat, behind which the viewer has seen everything.
	testbroker.Eventually(t, "the last heartbeat is seen", func() bool { return w.Counts().Heartbeats == 1 })
	cancel()
	err = <-done
	return w.Report(), err
}

func TestAnHonestStreamHasNoViolation(t *testing.T) {
	now := time.Now().UnixMilli()
	r, err := watchScripts(t, Options{},
		retry+asset("a", "f", now-5000, now-4000)+asset("b", "f", now-5000, now-4000)+ready+asset("a", "f", now-50, now-40)+asset("a", "f", now-50, now),
		asset("b", "f", now-30, now)+ready+"event: removed\ndata: {\"id\":\"b\",\"fleet\":\"f\"}\n\n"+asset("b", "f", 7, 8)+
			"event: reset\ndata: {\"reason\":\"epoch\"}\n\n"+asset("a", "f", 5, 6)+ready+
			"event: batch\ndata: ["+strings.TrimSpace(strings.TrimPrefix(asset("a", "f", 9, 9), "data: "))+"]\n\n"+"event: alert\ndata: {}\n\n"+heartbeat)
	if err != nil {
		t.Errorf("%v: %q", err, r.Examples)
	}
	if r.Updates != 4 || r.Snapshots != 4 || r.Ready != 3 || r.Resets != 1 || r.Removed != 1 || r.Others != 1 || r.MaxLag != 12 {
		t.Errorf("%+v", r.Counts)
	}
	if r.Opened != 2 || r.Broken != 1 || r.Devices != 2 || r.Bytes == 0 {
		t.Errorf("%+v", r)
	}
	// Of the live updates one repeats its position, which says nothing about how long it took.
	if r.Latency.Count != 3 || r.Latency.P50 < 45 {
		t.Errorf("latency %+v", r.Latency)
	}
}

func TestBrokenPromisesAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		want   Violations
	}{
		"at goes back":             {asset("a", "f", 10, 20) + ready + asset("a", "f", 9, 21), Violations{Backwards: 1}},
		"received goes back":       {asset("a", "f", 10, 20) + asset("a", "f", 10, 19), Violations{Backwards: 1}},
		"another device's removal": {asset("a", "f", 10, 20) + "event: removed\ndata: {\"id\":\"a\",\"fleet\":\"g\"}\n\n" + asset("a", "f", 1, 2), Violations{Backwards: 1}},
		"cut JSON":                 {"data: {\"id\":\"a\"\n\n", Violations{Malformed: 1}},
		"no JSON in a batch":       {"event: batch\ndata: x\n\n", Violations{Malformed: 1}},
		"an odd removal":           {"event: removed\ndata: {}\n\n", Violations{Malformed: 1}},
		"an odd heartbeat":         {"event: heartbeat\ndata: {}\n\n", Violations{Malformed: 1}},
		"at after received":        {asset("a", "f", 10, 9), Violations{Malformed: 1}},
	} {
		r, err := watchScripts(t, Options{}, retry+c.stream+heartbeat)
		if !errors.Is(err, ErrViolations) || r.Violations != c.want || len(r.Examples) != 1 {
			t.Errorf("%s: %+v, %v, %q", name, r.Violations, err, r.Examples)
		}
	}
}

func TestTimeMustNotGoBackOverAResumeEither(t *testing.T) {
	r, err := watchScripts(t, Options{}, retry+asset("a", "f", 10, 20)+ready, asset("a", "f", 5, 20)+ready+heartbeat)
	if !errors.Is(err, ErrViolations) || r.Violations.Backwards != 1 {
		t.Errorf("%+v, %v", r.Violations, err)
	}
}

func TestAnErrorPageIsAViolation(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	w, err := New(Options{URL: server.URL, Viewers: 3, ConnectRate: 10000})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	testbroker.Eventually(t, "all viewers ended", func() bool { return w.Counts().Violations.Ended == 3 })
	cancel()
	if err := <-done; !errors.Is(err, ErrViolations) {
		t.Error(err)
	}
}

func TestNothingToWatchIsAnError(t *testing.T) {
	w, err := New(Options{URL: "http://" + testbroker.FreeAddress(t) + "/", Viewers: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	testbroker.Eventually(t, "a connection failed", func() bool { return w.Counts().Broken > 0 })
	cancel()
	if err := <-done; !errors.Is(err, ErrNoStream) {
		t.Error(err)
	}
	if err := w.Run(ctx); !errors.Is(err, ErrRunTwice) {
		t.Error(err)
	}
}

func TestViewersResumeAndSomeAreSlow(t *testing.T) {
	now := time.Now().UnixMilli()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if _, err := io.WriteString(w, retry+asset("a", "f", now, now)+ready+asset("b", "f", now, now)); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush() // the viewer may be gone
		<-r.Context().Done()
	}))
	defer server.Close()
	var progress bytes.Buffer
	w, err := New(Options{
		URL: server.URL, Viewers: 10, ConnectRate: 10000, ResumeEvery: 20 * time.Millisecond, SlowShare: 0.2, SlowRate: 20000, Progress: &progress,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	testbroker.Eventually(t, "resumes", func() bool { c := w.Counts(); return c.Cut >= 30 && c.Updates > 20 })
	testbroker.Eventually(t, "slow viewers are live", func() bool { return w.viewers[4].count.updates.Load() > 0 && w.viewers[9].count.updates.Load() > 0 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	r := w.Report()
	// Every viewer saw b anew once: what it holds it keeps over a resume.
	if r.Latency.Count != 8 || r.SlowLatency.Count != 2 || r.Slow != 2 || r.SlowReady != 2 {
		t.Errorf("%d and %d latencies", r.Latency.Count, r.SlowLatency.Count)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil || !strings.HasPrefix(text.String(), "generator") || !strings.Contains(text.String(), "slow viewers") {
		t.Errorf("%v: %s", err, text.String())
	}
	if b, err := json.Marshal(r); err != nil || !bytes.Contains(b, []byte(`"updates_per_second"`)) {
		t.Errorf("%v: %s", err, b)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"no viewers":           {URL: "http://x/"},
		"no address":           {Viewers: 1},
		"slow without a pace":  {URL: "http://x/", Viewers: 1, SlowShare: 0.5},
		"more than one can be": {URL: "http://x/", Viewers: MaxViewers + 1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
