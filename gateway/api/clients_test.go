package api

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

func TestOnlyATrustedProxyIsBelievedWhenItSaysForWhomItAsks(t *testing.T) {
	proxies := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"203.0.113.9:1", "198.51.100.1", "203.0.113.9"}, // nobody's proxy
		{"10.1.2.3:1", "", "10.1.2.3"},
		{"10.1.2.3:1", "198.51.100.1", "198.51.100.1"},
		{"10.1.2.3:1", "1.1.1.1, 198.51.100.1, 10.9.9.9", "198.51.100.1"}, // what stands before it is an invention
		{"10.1.2.3:1", "10.9.9.9, 10.8.8.8", "10.9.9.9"},                  // only ours: the farthest of them
		{"10.1.2.3:1", "198.51.100.1:4711", "198.51.100.1"},
		{"10.1.2.3:1", "[2001:db8::1]:4711", "2001:db8::1"},
		{"10.1.2.3:1", "garbage, 10.8.8.8", "10.8.8.8"},
		{"10.1.2.3:1", "198.51.100.1, unknown", "10.1.2.3"},
		{"[fd00::1]:1", "::ffff:198.51.100.1", "198.51.100.1"},
		{"127.0.0.1:1", strings.Repeat("10.0.0.1,", 10_000) + "10.0.0.1", "10.0.0.1"},
		{"@", "198.51.100.1", "invalid IP"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			first, rest, _ := strings.Cut(c.forwarded, ", ")
			r.Header.Add("X-Forwarded-For", first)
			if rest != "" {
				r.Header.Add("X-Forwarded-For", rest) // several lines are one list
			}
		}
		if got := proxies.Address(r).String(); got != c.want {
			t.Errorf("%s for %.60s: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

// limited is a world whose callers have a limit, and whose clock stands.
func limited(t *testing.T, o LimitOptions, change func(*Options)) (*world, *time.Time) {
	t.Helper()
	now := time.Unix(1_800_000_000, 0)
	o.Now = func() time.Time { return now }
	l, err := NewLimiter(o)
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(t, func(o *Options) {
		o.Limiter = l
		if change != nil {
			change(o)
		}
	}, "a"), &now
}

func TestACallerWhoAsksTooMuchIsToldWhenToComeAgain(t *testing.T) {
	w, now := limited(t, LimitOptions{Rate: 2, Burst: 3}, nil)
	for left := 2; left >= 0; left-- {
		rec := w.do("GET", "/api/assets/a")
		want := fmt.Sprintf(`"requests";r=%d;t=%d`, left, (3-left)/2)
		if rec.Code != 200 || rec.Header().Get("RateLimit") != want || rec.Header().Get("RateLimit-Policy") != `"requests";q=3;w=1` {
			t.Errorf("%d %v, want %s", rec.Code, rec.Header(), want)
		}
	}
	rec := w.do("GET", "/api/assets/a")
	isProblem(t, rec, 429, "")
	if rec.Header().Get("Retry-After") != "1" {
		t.Errorf("%v", rec.Header())
	}
	for _, free := range []string{"/healthz", "/readyz", "/", "/stream/assets"} {
		if rec := w.do("GET", free); rec.Code == 429 {
			t.Errorf("%s is limited", free)
		}
	}
	*now = now.Add(500 * time.Millisecond)
	if rec := w.do("GET", "/api/assets/a"); rec.Code != 200 {
		t.Errorf("half a second later: %d", rec.Code)
	}
	isProblem(t, w.do("GET", "/api/assets/a"), 429, "")
	if s := w.options.Limiter.Stats(); s.Refused != 2 || s.Callers != 1 {
		t.Errorf("%+v", s)
	}
}

func TestALimitIsOfAnAddressOrItsNetworkAndNotOfLoopback(t *testing.T) {
	l, err := NewLimiter(LimitOptions{Rate: 1, Burst: 1, Proxies: Proxies{netip.MustParsePrefix("10.0.0.1/32")}})
	if err != nil {
		t.Fatal(err)
	}
	from := func(peer, forwarded string, c *devices.Caller) string {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		return l.keyOf(r, c)
	}
	ann := &devices.Caller{Subject: "ann", Proof: "session/x"}
	for _, c := range []struct{ got, want string }{
		{from("203.0.113.9:1", "", nil), "203.0.113.9"},
		{from("[2001:db8::1]:1", "", nil), "2001:db8::/64"},
		{from("[2001:db8::ffff]:9", "", &openCaller), "2001:db8::/64"},
		{from("127.0.0.1:1", "", &openCaller), ""},
		{from("127.0.0.1:1", "", nil), "127.0.0.1"}, // who guesses at proofs
		{from("10.0.0.1:1", "198.51.100.1", &openCaller), "198.51.100.1"},
		{from("203.0.113.9:1", "", ann), "caller ann"},
		{from("127.0.0.1:1", "", ann), "caller ann"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestCallersWhoAreForgottenAreThoseWhoWouldBeLetIn(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l, err := NewLimiter(LimitOptions{Rate: 1, Burst: 10, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxBuckets {
		l.take(fmt.Sprint(i), l.options.Load())
	}
	for range 20 {
		l.take("busy", l.options.Load())
	}
	if s := l.Stats(); s.Callers > maxBuckets {
		t.Errorf("%+v", s)
	}
	now = now.Add(5 * time.Second) // all but the busy one are full again
	l.take("new", l.options.Load())
	if s := l.Stats(); s.Callers != 2 {
		t.Errorf("%+v", s)
	}
	if left, _, ok := l.take("busy", l.options.Load()); !ok || left > 5 {
		t.Errorf("the busy one starts anew: %d %v", left, ok)
	}
}

func TestPagesOfOtherOriginsReadNothingUnlessTheyAreListed(t *testing.T) {
	const ours, evil = "https://app.example.org", "https://evil.example"
	w := newWorld(t, func(o *Options) { o.Origins = []string{ours} }, "a")
	for _, path := range []string{"/api/assets/a", "/api/nothing", "/stream/assets", "/healthz"} {
		h := w.do("GET", path, "Origin: "+ours).Header()
		if h.Get("Access-Control-Allow-Origin") != ours || h.Get("Access-Control-Allow-Credentials") != "true" || h.Get("Vary") == "" ||
			!strings.Contains(h.Get("Access-Control-Expose-Headers"), "ETag") {
			t.Errorf("%s: %v", path, h)
		}
		for _, origin := range []string{evil, "null", "https://app.example.org.evil.example", "http://app.example.org", "HTTPS://APP.EXAMPLE.ORG", ours + ":8443", ours + "/"} {
			if h := w.do("GET", path, "Origin: "+origin).Header(); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Vary") == "" {
				t.Errorf("%s for %s: %v", path, origin, h)
			}
		}
	}
	rec := w.do("OPTIONS", "/api/assets/a", "Origin: "+ours, "Access-Control-Request-Method: DELETE", "Access-Control-Request-Headers: authorization")
	if h := rec.Header(); rec.Code != 204 || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "DELETE") || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") || h.Get("Access-Control-Max-Age") == "" {
		t.Errorf("%d %v", rec.Code, h)
	}
	if rec := w.do("OPTIONS", "/api/assets/a", "Origin: "+evil, "Access-Control-Request-Method: DELETE"); rec.Code == 204 || rec.Header().Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	if rec := w.do("DELETE", "/api/assets/a", "Origin: "+ours, "Sec-Fetch-Site: cross-site"); rec.Code != 202 {
		t.Errorf("a page of ours: %d %s", rec.Code, rec.Body)
	}
	isProblem(t, w.do("DELETE", "/api/assets/a", "Origin: "+evil, "Sec-Fetch-Site: cross-site"), 403, "")
	none := newWorld(t, nil, "a")
	if h := none.do("GET", "/api/assets/a", "Origin: "+ours).Header(); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Vary") != "" {
		t.Errorf("by default: %v", h)
	}
	for _, bad := range []string{"*", "null", "app.example.org", "https://app.example.org/", "https://*.example.org/x", "HTTPS://a", "ftp://a", "https://user@a"} {
		if err := CheckOrigin(bad); err == nil {
			t.Errorf("%q is an origin", bad)
		}
	}
}

// slogLines is a logger and what it wrote.
func slogLines() (*slog.Logger, *bytes.Buffer) {
	var out bytes.Buffer
	return slog.New(slog.NewTextHandler(&out, nil)), &out
}

func TestTheAccessLogTellsWhoAskedWhatAndNoSecret(t *testing.T) {
	log, out := slogLines()
	w := newWorld(t, func(o *Options) {
		o.AccessLog, o.Logger, o.Proxies = true, log, Proxies{netip.MustParsePrefix("192.0.2.1/32")}
	}, "a")
	w.do("GET", "/stream/assets?fleet=north&ticket=s3cret", "Authorization: Bearer s3cret", "Cookie: fleetcast=s3cret", "X-Forwarded-For: 198.51.100.7")
	w.do("GET", "/api/assets?limit=x&Token=s3cret&%zz=s3cret")
	w.do("GET", "/api/assets?token=s3cret&authorization=s3cret")
	w.do("DELETE", "/api/assets/a")
	w.do("GET", "/api/"+strings.Repeat("x", 10_000))
	text := out.String()
	if strings.Contains(text, "s3cret") || len(text) > 4000 {
		t.Errorf("%s", text)
	}
	for _, want := range []string{"path=/stream/assets", "fleet=north", "ticket=redacted", "address=198.51.100.7", "status=400", "method=DELETE", "status=202", "took="} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	quiet, nothing := slogLines()
	newWorld(t, func(o *Options) { o.Logger = quiet }, "a").do("GET", "/api/assets/a")
	if nothing.Len() > 0 {
		t.Errorf("without being asked it says %s", nothing)
	}
}

func TestStreamsOfOneCallerHaveABound(t *testing.T) {
	l, err := NewLimiter(LimitOptions{StreamsPerCaller: 2})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/stream/assets", nil)
	ann, bob := &devices.Caller{Subject: "ann", Proof: "session/x"}, &devices.Caller{Subject: "bob", Proof: "key/y"}
	var ends []func()
	for range 2 {
		begin, err := l.admit(r, ann)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, begin())
	}
	if _, err := l.admit(r, ann); devices.KindOf(err) != devices.Exhausted {
		t.Errorf("a third: %v", err)
	}
	if _, err := l.admit(r, bob); err != nil {
		t.Errorf("another caller: %v", err)
	}
	ends[0]()
	if _, err := l.admit(r, ann); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
	ends[1]()
	if s := l.Stats(); s.StreamsRefused != 1 || len(l.open) != 0 {
		t.Errorf("%+v %v", s, l.open)
	}
}
