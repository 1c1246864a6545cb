package webhook

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/rulebook"
	"github.com/fleetcast/fleetcast/devices/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// receiver is a server that remembers what it took.
type receiver struct {
	*httptest.Server
	t      *testing.T
	secret *rulebook.Webhook // by which it checks

	mu     sync.Mutex
	ids    []string // taken, in order
	tries  int
	answer func(try int) int
	came   chan struct{}
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, secret: &rulebook.Webhook{Secret: rulebook.NewWebhookSecret()}, came: make(chan struct{}, 1)}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	key, _ := r.secret.Key()
	seconds, _ := strconv.ParseInt(req.Header.Get("webhook-timestamp"), 10, 64)
	var m struct {
		Type string
		Data struct{ ID, State string }
	}
	if err != nil || json.Unmarshal(body, &m) != nil || req.Header.Get("webhook-signature") != sign(key, req.Header.Get("webhook-id"), seconds, body) {
		r.t.Errorf("a request that is not signed right: %v %s", req.Header, body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(r.tries)
	}
	if status == http.StatusNoContent {
		r.ids = append(r.ids, m.Data.ID)
	}
	w.Header().Set("Location", r.URL+"/elsewhere")
	w.WriteHeader(status)
	token(r.came)
}

func (r *receiver) wait(what string, holds func() bool) {
	r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		r.mu.Lock()
		done := holds()
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-r.came:
		case <-tick.C:
		case <-deadline.C:
			r.t.Fatalf("waited in vain for %s; took %v in %d tries", what, r.ids, r.tries)
		}
	}
}

func (r *receiver) waitIDs(want ...string) {
	r.t.Helper()
	r.wait(fmt.Sprint(want), func() bool { return slices.Equal(r.ids, want) })
}

// place is a store with a book that runs.
type place struct {
	t    *testing.T
	book *rulebook.Book
	r    *receiver
}

func newPlace(t *testing.T) *place {
	t.Helper()
	s := store.NewMemory(store.MemoryOptions{})
	book, err := rulebook.New(rulebook.Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = book.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; _ = s.Close() })
	if err := book.Wait(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return &place{t, book, newReceiver(t)}
}

func (p *place) hook(id string, change func(*rulebook.Webhook)) {
	p.t.Helper()
	h := rulebook.Webhook{ID: id, URL: p.r.URL + "/hook", Secret: p.r.secret.Secret, Events: []string{"alert"}}
	if change != nil {
		change(&h)
	}
	if _, err := p.book.CreateWebhook(p.t.Context(), h); err != nil {
		p.t.Fatal(err)
	}
}

// run runs a sender until stop is called.
func (p *place) run(change func(*Options)) (s *Sender, stop func()) {
	p.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(p.r.Certificate())
	o := Options{
		Book: p.book, Guard: Guard{Allow: []string{"127.0.0.1/32"}}, Roots: roots,
		FirstRetry: time.Millisecond, LastRetry: 5 * time.Millisecond, SaveEvery: time.Millisecond,
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	p.t.Cleanup(stop)
	return s, stop
}

var epoch = bus.Position{Epoch: 7}

func at(offset uint64) bus.Position { return bus.Position{Epoch: epoch.Epoch, Offset: offset} }

func event(t *testing.T, fleet, id string) bus.Event {
	t.Helper()
	f, err1 := devices.ParseFleetID(fleet)
	d, err2 := devices.ParseDeviceID("truck-1")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return bus.Event{Name: "alert", Fleet: f, Device: d, Data: fmt.Appendf(nil, `{"id":%q,"state":"raised","at":5}`, id)}
}

// begun waits until the store knows where a webhook begins.
func (p *place) begun(id string) {
	p.r.wait("a place of "+id, func() bool { return len(p.book.WebhookStates(id)) > 0 })
}

func TestEventsAreSentSignedInOrderAndTriedAgain(t *testing.T) {
	p := newPlace(t)
	p.r.answer = func(try int) int {
		if try == 2 || try == 3 {
			return http.StatusServiceUnavailable
		}
		return http.StatusNoContent
	}
	p.hook("pager", func(h *rulebook.Webhook) { h.Fleets = []devices.FleetID{event(t, "north", "x").Fleet} })
	s, stop := p.run(nil)
	s.Owned(0, at(3), []bus.VersionedEvent{{Event: event(t, "north", "before"), Offset: 3}})
	p.begun("pager")
	s.Published(0, at(4), []bus.Event{event(t, "north", "a"), event(t, "south", "b")})
	s.Published(0, at(5), []bus.Event{event(t, "north", "c")})
	p.r.waitIDs("a", "c")
	p.r.wait("the place", func() bool { st := p.book.WebhookStates("pager"); return st[0].Offset == 5 && st[0].Failing == 0 })
	stop()
	if st := s.Stats(); st.Delivered != 2 || st.Failed != 2 {
		t.Errorf("%+v", st)
	}
	// Another process goes on there: what was sent is not sent again, what came meanwhile is.
	next, _ := p.run(nil)
	next.Owned(0, at(6), []bus.VersionedEvent{
		{Event: event(t, "north", "c"), Offset: 5}, {Event: event(t, "north", "d"), Offset: 6},
	})
	p.r.waitIDs("a", "c", "d")
	// In another history everything that there is counts.
	next.Lost(0)
	next.Owned(0, bus.Position{Epoch: 8, Offset: 1}, []bus.VersionedEvent{{Event: event(t, "north", "e"), Offset: 1}})
	p.r.waitIDs("a", "c", "d", "e")
}

// What waits is not told any more, even where it was tried already; what came with other devices is.
func TestAnErasedDeviceIsToldToNobody(t *testing.T) {
	p := newPlace(t)
	p.r.answer = func(int) int { return http.StatusServiceUnavailable }
	p.hook("pager", nil)
	s, _ := p.run(nil)
	s.Owned(0, at(0), nil)
	p.begun("pager")
	other := event(t, "north", "other")
	other.Device, _ = devices.ParseDeviceID("truck-2")
	s.Published(0, at(1), []bus.Event{event(t, "north", "a"), event(t, "north", "b"), other})
	p.r.wait("a try", func() bool { return p.r.tries > 1 })
	s.Erased(0, []devices.DeviceID{event(t, "north", "a").Device})
	s.Erased(1, nil) // of a partition that is another's
	p.r.mu.Lock()
	p.r.answer = nil
	p.r.mu.Unlock()
	p.r.wait("the other", func() bool { return slices.Contains(p.r.ids, "other") })
	p.r.wait("the place", func() bool { st := p.book.WebhookStates("pager"); return st[0].Offset == 1 })
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	// The one that was under way may have been taken.
	if ids := slices.DeleteFunc(slices.Clone(p.r.ids), func(id string) bool { return id == "a" }); !slices.Equal(ids, []string{"other"}) {
		t.Errorf("told are %v", p.r.ids)
	}
}

func TestAWebhookThatIsGoneOrFailsForLongIsDisabled(t *testing.T) {
	p := newPlace(t)
	p.r.answer = func(int) int { return http.StatusGone }
	p.hook("gone", nil)
	s, stop := p.run(nil)
	s.Owned(0, at(0), nil)
	p.begun("gone")
	s.Published(0, at(1), []bus.Event{event(t, "north", "a")})
	disabled := func(id string) func() bool {
		return func() bool { k, ok := p.book.Webhook(id); return ok && k.Value.Disabled && k.Value.Reason != "" }
	}
	p.r.wait("it is disabled", disabled("gone"))
	stop()
	p.r.mu.Lock()
	p.r.answer = func(int) int { return http.StatusInternalServerError }
	p.r.mu.Unlock()
	p.hook("broken", nil)
	s, _ = p.run(func(o *Options) { o.GiveUp = 20 * time.Millisecond })
	s.Owned(0, at(1), nil)
	p.begun("broken")
	s.Published(0, at(2), []bus.Event{event(t, "north", "b")})
	p.r.wait("it is disabled", disabled("broken"))
	if st := p.book.WebhookStates("broken"); st[0].Status != 500 || st[0].Error == "" || st[0].Failing == 0 {
		t.Errorf("%+v", st)
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	p := newPlace(t)
	open := make(chan struct{})
	p.r.answer = func(try int) int {
		if try == 1 {
			<-open
		}
		return http.StatusNoContent
	}
	p.hook("slow", nil)
	s, _ := p.run(func(o *Options) { o.MaxQueue = 5 })
	s.Owned(0, at(0), nil)
	p.begun("slow")
	s.Published(0, at(1), []bus.Event{event(t, "north", "first")})
	waitUntil(t, func() bool { return s.Stats().Waiting == 1 })
	for i := range 20 {
		s.Published(0, at(uint64(i)+2), []bus.Event{event(t, "north", fmt.Sprint(i))})
	}
	close(open)
	p.r.wait("the last", func() bool { return slices.Contains(p.r.ids, "19") })
	waitUntil(t, func() bool { return s.Stats().Dropped > 0 })
	if n := s.Stats().Waiting; n > 5 {
		t.Errorf("%d wait", n)
	}
}

func waitUntil(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("waited in vain")
		}
	}
}

// What people type must not reach what the gateway alone can: the address that is dialled is checked, not its name.
func TestWebhooksReachOnlyWhatTheyMay(t *testing.T) {
	g, err := (&Guard{}).compile()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"1.1.1.1": true, "2606:4700:4700::1111": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "0.1.2.3": false, "224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false, "198.18.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "fc00::1": false, "ff02::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false,
		"::127.0.0.1": false, "64:ff9b::a00:1": false, "2002:7f00:1::": false, "2001:0:1::1": false, "fec0::1": false, "2001:db8::1": false,
	} {
		if got := g.allows(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for url, want := range map[string]bool{
		"https://hooks.example.org/x": true, "http://hooks.example.org/x": false, "https://127.0.0.1/": false, "https://[::1]/": false,
		"https://169.254.169.254/latest": false, "https://1.1.1.1:8443/": true, "gopher://x/": false,
	} {
		if got := g.check(url) == nil; got != want {
			t.Errorf("%s: %v", url, got)
		}
	}
	for _, bad := range []string{"", "a/b", "https://x", "*.example.org"} {
		if (&Guard{Allow: []string{bad}}).Check() == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestANameIsCheckedWhereItLeads(t *testing.T) {
	p := newPlace(t)
	byName := strings.Replace(p.r.URL, "127.0.0.1", "localhost", 1)
	hook := rulebook.Webhook{ID: "x", URL: byName, Secret: p.r.secret.Secret, Events: []string{"alert"}}
	s, _ := p.run(func(o *Options) { o.Guard.Allow = nil })
	if err := s.Check(&hook); err != nil {
		t.Fatal(err) // a name may be anything
	}
	if r := s.Test(t.Context(), &hook); r.Delivered || r.Error != "dial tcp 127.0.0.1:"+byName[strings.LastIndex(byName, ":")+1:]+": "+errRefused.Error() && !strings.Contains(r.Error, errRefused.Error()) {
		t.Errorf("%+v", r)
	}
	if s.Stats().Guarded == 0 || p.r.tries != 0 {
		t.Errorf("%+v, %d tries", s.Stats(), p.r.tries)
	}
	// Nor does a redirect lead on.
	s, _ = p.run(func(o *Options) { o.Guard.Allow = []string{"127.0.0.1"} })
	p.r.answer = func(int) int { return http.StatusFound }
	hook.URL = p.r.URL
	if r := s.Test(t.Context(), &hook); r.Delivered || r.Status != http.StatusFound || p.r.tries != 1 {
		t.Errorf("%+v, %d tries", r, p.r.tries)
	}
	p.r.answer = nil
	if r := s.Test(t.Context(), &hook); !r.Delivered || r.Status != http.StatusNoContent {
		t.Errorf("%+v", r)
	}
	allowed, _ := p.run(func(o *Options) { o.Guard.Allow = []string{"LOCALHOST"} })
	hook.URL = byName
	if r := allowed.Test(t.Context(), &hook); r.Status != 0 && !r.Delivered || strings.Contains(r.Error, errRefused.Error()) {
		t.Errorf("%+v", r)
	}
}

// The example of the specification: https://github.com/standard-webhooks/standard-webhooks.
func TestTheSignatureIsThatOfStandardWebhooks(t *testing.T) {
	w := rulebook.Webhook{Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	key, err := w.Key()
	if err != nil {
		t.Fatal(err)
	}
	got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
