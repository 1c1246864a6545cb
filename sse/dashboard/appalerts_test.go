package dashboard_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, body)
	}
}

func alertJSON(id, device, state, severity string, at int) string {
	return fmt.Sprintf(`{"id":%q,"rule":"speeding","name":"Too fast","severity":%q,"device":%q,"fleet":"north","state":%q,"at":%d,"raised":1795353543000,"text":"speed is 31 m/s"}`,
		id, severity, device, state, at)
}

const operator = `{"name":"ann","role":"operator","all_fleets":true}`

func TestAppShowsAlertsAndAcknowledgesThem(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	stream.put(asset(t, "a", 1, 1, nil), asset(t, "b", 2, 2, nil))
	var acknowledged atomic.Int32
	b := openAppWith(t, stream, map[string]http.HandlerFunc{
		"GET /api/session": says(operator),
		"GET /api/alerts":  says(`{"alerts":[` + alertJSON("old", "b", "cleared", "info", 1795353543900) + `]}`),
		"POST /api/alerts/one/acknowledge": func(w http.ResponseWriter, _ *http.Request) {
			acknowledged.Add(1)
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprint(w, alertJSON("one", "a", "acknowledged", "critical", 1795353545000))
		},
	})
	b.WaitFor(`state() === 'live' && rows().length === 2`)
	stream.announce("alert", alertJSON("one", "a", "raised", "critical", 1795353544000))
	b.WaitFor(`document.title.startsWith('(1)') && text('.rail .count') === '1' && text('.unseen').includes('Too fast')`)
	b.WaitFor(`entry('a').alert === 3 && document.querySelector('.row [data-alert="3"]')`)
	b.Eval(`location.hash = '#/alerts'`, nil)
	b.WaitFor(`[...document.querySelectorAll('.panel .alert')].map(a => a.dataset.id).join() === 'one'`)
	b.Eval(`click('.alert .face')`, nil)
	b.WaitFor(`location.hash === '#/alerts/a' && text('.details h2') === 'a'`)
	b.Eval(`click('.panel .alert .button', 'Acknowledge')`, nil)
	b.WaitFor(`document.querySelector('.panel .alert').dataset.state === 'acknowledged' && !document.title.startsWith('(')`)
	stream.announce("alert", alertJSON("one", "a", "cleared", "critical", 1795353546000))
	b.WaitFor(`document.querySelector('.panel .alert') === null && entry('a').alert === 0`)
	b.Eval(`click('.panel .chip', 'All')`, nil)
	b.WaitFor(`document.querySelectorAll('.panel .alert').length === 2`)
	if n := acknowledged.Load(); n != 1 {
		t.Errorf("it was acknowledged %d times", n)
	}
	noErrors(t, b)
}

// axe loads what looks for what keeps people out, and returns what has it look at the page.
func axe(t *testing.T, b *browsertest.Browser) (check func(what string)) {
	t.Helper()
	code, err := os.ReadFile(filepath.Join(browsertest.Packages(t), "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	b.Eval(string(code)+";0", nil)
	return func(what string) {
		t.Helper()
		var violations []string
		b.Eval(`axe.run(document, { resultTypes: ['violations'] }).then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 160) + ' ' + n.failureSummary).join(' | ')))`, &violations)
		for _, v := range violations {
			t.Errorf("%s: %s", what, v)
		}
	}
}

// axe finds nothing to object to: roles, names, contrast, in light and dark, on a phone too.
func TestAppIsAccessible(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	stream.put(asset(t, "a", 1, 1, heading(90)), asset(t, "b", 2, 2, func(a *devices.Asset) {
		a.Received -= 3600_000
		a.Status = devices.Offline
		a.Metrics = []devices.Metric{{Name: "fuel", Value: devices.NumberValue(41.5)}}
	}))
	var out atomic.Bool
	b := openAppWith(t, stream, map[string]http.HandlerFunc{
		"GET /api/alerts": says(`{"alerts":[` + alertJSON("one", "a", "raised", "critical", 1) + "," + alertJSON("two", "b", "acknowledged", "warning", 1) + `]}`),
		"GET /api/session": func(w http.ResponseWriter, r *http.Request) {
			if out.Load() {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			says(operator)(w, r)
		},
	})
	b.WaitFor(`state() === 'live' && rows().length === 2 && fleetcast.map()`)
	check := axe(t, b)
	for _, scheme := range []string{"light", "dark"} {
		b.Eval(fmt.Sprintf(`(() => { document.querySelector('.menu .opener').click(); [...document.querySelectorAll('.segments button')].find(b => b.textContent.toLowerCase() === %q).click() })()`, scheme), nil)
		b.WaitFor(fmt.Sprintf(`document.documentElement.dataset.theme === %q`, scheme))
		b.Eval(`location.hash = '#/map/b'`, nil)
		b.WaitFor(`text('.details h2') === 'b' && document.querySelector('[data-metric]')`)
		check(scheme + ", details")
		b.Eval(`location.hash = '#/alerts'`, nil)
		b.WaitFor(`document.querySelectorAll('.panel .alert').length === 2`)
		check(scheme + ", alerts")
	}
	b.Resize(390, 844)
	b.Eval(`location.hash = '#/'`, nil)
	b.WaitFor(`rows().length === 2`)
	check("phone")
	out.Store(true)
	stream.refuseAll(true)
	stream.cutAll()
	b.WaitFor(`document.querySelector('[data-view=signin]')`)
	check("sign-in")
}
