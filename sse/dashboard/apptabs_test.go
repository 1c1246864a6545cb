package dashboard_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// Over plain http from another host a page has no Web Locks, and its tabs share a stream all the same: when the one that
// holds it closes, the other goes on from its position.
func TestAppTabsOnPlainHTTPShareOneStream(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	stream.put(asset(t, "a", 1, 1, nil))
	url := serveApp(t, stream, map[string]http.HandlerFunc{
		"GET /opener": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<!doctype html><title>Opens tabs</title>")
		},
	})
	b := browsertest.Start(t)
	b.Open(strings.Replace(url, "127.0.0.1", browsertest.InsecureHost, 1) + "/opener")
	var secure bool
	if b.Eval(`isSecureContext || 'locks' in navigator`, &secure); secure {
		t.Fatal("this is no plain page")
	}
	b.Eval(`(() => {
		window.tabs = [0, 1].map(() => window.open('/'))
		window.live = tab => tab.document.documentElement.dataset.stream === 'live'
		window.lat = tab => tab.fleetcast.fleet.get('a').asset.lat
		window.leaders = () => tabs.filter(tab => tab.fleetcast.connection.leading)
	})()`, nil)
	b.WaitFor(`tabs.every(tab => live(tab) && lat(tab) === 1) && leaders().length === 1`)
	before := stream.streams()
	stream.put(asset(t, "a", 2, 1, nil))
	b.WaitFor(`tabs.every(tab => lat(tab) === 2)`)

	b.Eval(`(() => { window.leader = leaders()[0]; tabs = tabs.filter(tab => tab !== leader); window.position = tabs[0].fleetcast.connection.position; leader.close() })()`, nil)
	b.WaitFor(`leaders().length === 1 && live(tabs[0])`)
	stream.put(asset(t, "a", 3, 1, nil))
	b.WaitFor(`lat(tabs[0]) === 3`)
	var position string
	b.Eval(`position`, &position)
	if got := stream.lastResume().id; position == "" || got != position {
		t.Errorf("the next leader went on from %q, the tabs were at %q", got, position)
	}
	if stream.streams() == before {
		t.Error("no stream was opened for the one that closed")
	}
	// A page that stood still for longer than its lease opens one more and ends the other, so what is open counts.
	for give := time.Now().Add(time.Minute); stream.open() != 1; b.Eval(`void 0`, nil) {
		if time.Now().After(give) {
			t.Fatalf("%d streams are open for one tab", stream.open())
		}
	}
	b.Eval(`void tabs[0].close()`, nil)
	noErrors(t, b)
}
