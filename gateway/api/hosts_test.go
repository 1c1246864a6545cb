package api

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestOnlyHostsThatNobodyCanPointElsewhereAreAnswered(t *testing.T) {
	g, err := newHostGuard([]string{"Fleet.Example.com", "192.0.2.7", "2001:db8::1"}, false)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"localhost": true, "localhost:8080": true, "LOCALHOST": true, "localhost.": true, "app.localhost:80": true, "localhost:": true,
		"127.0.0.1": true, "127.0.0.1:8080": true, "127.255.0.9": true, "[::1]": true, "[::1]:8080": true, "[::ffff:127.0.0.1]": true,
		"fleet.example.com": true, "FLEET.example.com.:443": true, "192.0.2.7:8080": true, "[2001:db8::1]:1": true,

		"": false, "evil.example": false, "evil.example:8080": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"evillocalhost": false, "notlocalhost:80": false, "fleet.example.com.evil": false, "x.fleet.example.com": false,
		"0.0.0.0": false, "[::]": false, "192.168.1.1": false, "128.0.0.1": false, "[2001:db8::2]": false, "[::1%25eth0]": false,
		"127.1": false, "2130706433": false, "0x7f.1": false, "127.0.0.1:8080:1": false, "localhost:80x": false, "localhost:808080": false,
		"::1": false, "[localhost]": false, "[127.0.0.1]": false, "[::1": false, "::1]": false, "localhost/": false, "a@localhost": false,
		"localhost,evil.example": false, "localhost evil": false, "localhost..": false, ".": false, ":80": false, "evil.example#.localhost:1:1": false,
	} {
		if got := g.answers(host); got != want {
			t.Errorf("Host %q is answered: %v", host, got)
		}
	}
}

func TestARefusedHostIsToldWhichSettingAllowsIt(t *testing.T) {
	for _, path := range []string{"/", "/api/assets", "/stream/assets", "/healthz", "/nothing"} {
		w := newWorld(t, nil)
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = "rebound.evil.example:8080"
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		isProblem(t, rec, 421, "Host")
		if !strings.Contains(rec.Body.String(), "http-hosts") {
			t.Errorf("%s: %s", path, rec.Body)
		}
		if strings.Contains(rec.Body.String(), "evil") {
			t.Errorf("the answer repeats the name: %s", rec.Body)
		}
	}
	w := newWorld(t, func(o *Options) { o.AnyHost = true })
	r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
	r.Host = "anything.example"
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	if rec.Code != 200 {
		t.Errorf("with AnyHost: %d", rec.Code)
	}
}

func TestAHealthCheckOverHTTP10NeedsNoHost(t *testing.T) {
	w := newWorld(t, nil)
	for proto, want := range map[string]int{"HTTP/1.0": 200, "HTTP/1.1": 421, "HTTP/2.0": 421} {
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.Host, r.Proto = "", proto
		r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(proto)
		if proto == "HTTP/2.0" {
			r.ProtoMajor, r.ProtoMinor = 2, 0
		}
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		if rec.Code != want {
			t.Errorf("%s: %d", proto, rec.Code)
		}
	}
}

func TestHostsThatAreNoNamesAreNotConfigured(t *testing.T) {
	for _, host := range []string{"", "http://a", "a/b", "*.example.com", "a b", "[a]", "a:b:c", "user@a", "."} {
		if _, err := newHostGuard([]string{host}, false); err == nil {
			t.Errorf("%q is taken", host)
		}
	}
}

// Whatever is answered is a name under localhost, or an address that is loopback, whoever reads it.
func FuzzHost(f *testing.F) {
	for _, seed := range []string{"localhost:80", "[::1]:80", "127.0.0.1", "evil.example", "a.localhost.", "::1", "[::ffff:7f00:1]:9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if !(hostGuard{}).answers(host) {
			return
		}
		name := host
		if h, _, err := net.SplitHostPort(host); err == nil {
			name = h
		}
		name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
		addr, err := netip.ParseAddr(name)
		loopback := err == nil && addr.Unmap().IsLoopback()
		if !loopback && name != "localhost" && !strings.HasSuffix(name, ".localhost") {
			t.Fatalf("%q is answered", host)
		}
	})
}
