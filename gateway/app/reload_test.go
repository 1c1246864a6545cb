package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// post sends a POST to the admin address, as a page of origin where that is one.
func post(t *testing.T, url, origin string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if origin != "" {
		req.Header.Set("Origin", origin)
		req.Header.Set("Sec-Fetch-Site", "cross-site")
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

// A gateway is reloaded in one test, as each start costs.
func TestAReloadChangesWhatCanBeAndSaysWhatWaitsForARestart(t *testing.T) {
	t.Parallel()
	const page = "https://app.example.org"
	var next atomic.Pointer[Options]
	var log syncBuffer
	g := startGateway(t, func(o *Options) {
		o.Admin.Listen = "127.0.0.1:0"
		o.Report.Logger, o.Report.Level = NewLogger(o.Log, &log)
		next.Store(new(*o))
		o.Report.Reload = func() (Options, error) {
			o := next.Load()
			return *o, o.Check()
		}
	})
	admin := "http://" + g.Addrs().Admin.String()
	allowed := func() string {
		return g.request("GET", "/api/assets", "Origin", page).Header.Get("Access-Control-Allow-Origin")
	}
	if got := allowed(); got != "" {
		t.Fatalf("before the reload %s may read", got)
	}

	changed := *next.Load()
	changed.Guard = GuardOptions{CORSOrigins: []string{page}, TrustedProxies: []string{"127.0.0.1"}, Rate: 1, Burst: 2, StreamsPerCaller: 3, AccessLog: true}
	changed.Log.Level, changed.Fleet.MaxDevices = slog.LevelDebug, 7
	next.Store(&changed)
	status, body := post(t, admin+"/-/reload", "")
	var done Reloaded
	if err := json.Unmarshal([]byte(body), &done); err != nil || status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", status, err, body)
	}
	if want := []string{"access-log", "cors-origins", "log-level", "max-streams-per-caller", "rate-burst", "rate-limit", "trusted-proxies"}; !slices.Equal(done.Changed, want) {
		t.Errorf("changed are %v, want %v", done.Changed, want)
	}
	if !slices.Equal(done.Restart, []string{"max-devices"}) {
		t.Errorf("for a restart are %v", done.Restart)
	}
	if got := allowed(); got != page {
		t.Errorf("after the reload %q may read", got)
	}
	g.log.Debug("a word of the tests")
	if text := log.String(); !strings.Contains(text, "a word of the tests") || !strings.Contains(text, "msg=request ") {
		t.Errorf("neither the level nor the log of requests changed: %s", text)
	}
	asked := 0
	for ; asked < 10 && g.request("GET", "/api/assets", "X-Forwarded-For", "192.0.2.7").StatusCode == http.StatusOK; asked++ {
	}
	if asked != 2 {
		t.Errorf("%d requests of one address behind a proxy are answered", asked)
	}

	wrong := changed
	wrong.Guard.CORSOrigins, wrong.Fleet.Window = nil, 0
	next.Store(&wrong)
	status, body = post(t, admin+"/-/reload", "")
	if status != http.StatusBadRequest || !strings.Contains(body, "nothing was changed: window: ") {
		t.Errorf("wrong settings: status %d, %s", status, body)
	}
	if got := allowed(); got != page {
		t.Errorf("wrong settings changed something: %q may read", got)
	}
	_, text := fetch(t, admin+"/metrics")
	for _, want := range []string{
		"fleetcast_config_last_reload_successful 0", `fleetcast_config_reloads_total{outcome="applied"} 1`, `fleetcast_config_reloads_total{outcome="refused"} 1`,
		"fleetcast_config_last_reload_success_timestamp_seconds 1",
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("%s is missing", want)
		}
	}

	next.Store(&changed)
	again, err := g.Reload(t.Context(), "test")
	if err != nil || len(again.Changed) != 0 || !slices.Equal(again.Restart, []string{"max-devices"}) {
		t.Errorf("nothing new: %+v, %v", again, err)
	}
	if status, _ := post(t, admin+"/-/reload", page); status != http.StatusForbidden {
		t.Errorf("a page of another site may reload: status %d", status)
	}
	if status, _ := post(t, admin+"/-/compact", page); status != http.StatusForbidden {
		t.Errorf("a page of another site may compact: status %d", status)
	}
	if status, body := post(t, admin+"/-/compact", ""); status != http.StatusNoContent {
		t.Errorf("compacting: status %d, %s", status, body)
	}
	if status, _ := fetch(t, admin+"/-/reload"); status != http.StatusMethodNotAllowed {
		t.Errorf("a GET reloads: status %d", status)
	}
	for _, said := range []string{"settings reloaded", "needs_restart=[max-devices]", "the settings were not reloaded, and nothing changed"} {
		if !strings.Contains(log.String(), said) {
			t.Errorf("the log does not say %q", said)
		}
	}
	if err := g.Alive(t.Context()); err != nil {
		t.Errorf("it is not alive: %v", err)
	}
	if got := g.Status(); got != "ready: broker,bridge,edge" {
		t.Errorf("its status is %q", got)
	}
}

func TestAGatewayThatCannotReadItsSettingsAgainSaysSo(t *testing.T) {
	o := testOptions(t)
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Reload(t.Context(), "test"); !errors.Is(err, errNotNow) {
		t.Errorf("error is %v", err)
	}
}

func TestAliveFailsWithAPartAndWithCountersThatDoNotAnswer(t *testing.T) {
	a, err := New(testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	a.asked <- struct{}{} // an answer that does not come
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Alive(ctx); err == nil {
		t.Error("it is alive though an answer is waited for")
	}
	a.runner.fail("hub", errors.New("broken"))
	if err := a.Alive(t.Context()); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("error is %v", err)
	}
}

func TestEverySettingThatAReloadChangesIsComparedAndUsed(t *testing.T) {
	const reloadable = 7 // what App.use changes, and the test of a reload above
	o := Defaults()
	values, err := valuesOf(&o)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, v := range values {
		if v.reload {
			n++
		}
	}
	if n != reloadable {
		t.Errorf("%d settings say that a reload changes them; App.use changes %d", n, reloadable)
	}
	var shown bytes.Buffer
	if err := WriteDocs(&shown); err != nil || strings.Count(shown.String(), "| yes |") != n {
		t.Errorf("the list does not name %d of them: %v", n, err)
	}
}
