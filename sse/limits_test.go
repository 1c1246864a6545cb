package sse

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const nativeHeaders = "Accept: text/event-stream\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"

func TestAboveTheLimitAnEventSourceIsToldToComeBackAndOthersTheTruth(t *testing.T) {
	h, _ := newTestHandler(t, Options{MaxStreams: 1})
	addr := serve(t, h)
	dial(t, addr, get).until(t, "\n\n")

	native := dial(t, addr, "GET /s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+nativeHeaders+"\r\n")
	head := native.until(t, "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") || !strings.Contains(head, "Content-Type: text/event-stream\r\n") {
		t.Errorf("an EventSource gets %q", head)
	}
	body := native.until(t, "\n\n")
	m := regexp.MustCompile(`^retry: (\d+)\n\n$`).FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("and the body %q", body)
	}
	if ms, _ := strconv.Atoi(m[1]); ms < 5000 || ms > 15000 {
		t.Errorf("it comes back after %d ms", ms)
	}
	if _, err := native.r.ReadByte(); err == nil {
		t.Error("its body does not end")
	}

	for _, headers := range []string{"", "Accept: text/event-stream\r\n", "Accept: */*\r\nUser-Agent: Mozilla/5.0\r\n"} {
		head := dial(t, addr, "GET /s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+headers+"\r\n").until(t, "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.1 503 ") || !regexp.MustCompile(`Retry-After: (\d|1\d)\r\n`).MatchString(head) {
			t.Errorf("a client with %q gets %q", headers, head)
		}
	}
	if s := h.Stats(); s.Open != 1 || s.Refused[TooMany.String()] != 4 {
		t.Errorf("%+v", s)
	}
}

func TestTheLimitPerClientCountsClientsAndGivesPlacesBack(t *testing.T) {
	addr := "203.0.113.7"
	h, f := newTestHandler(t, Options{
		MaxStreamsPerClient: 2,
		Client:              func(*http.Request) netip.Addr { return netip.MustParseAddr(addr) },
	})
	open := func() int {
		t.Helper()
		c := dial(t, serve(t, h), get)
		status, _ := strconv.Atoi(c.until(t, "\r\n\r\n")[len("HTTP/1.1 "):][:3])
		if status == 200 {
			c.until(t, "\n\n")
		}
		return status
	}
	for i, c := range []struct {
		addr   string
		status int
	}{
		{"203.0.113.7", 200},
		{"203.0.113.7", 200},
		{"203.0.113.7", 503},
		{"::ffff:203.0.113.7", 503},
		{"203.0.113.8", 200},
		{"2001:db8::1", 200},
		{"2001:db8::ffff", 200},
		{"2001:db8::aaaa", 503},
		{"2001:db8:0:1::1", 200},
		{"127.0.0.1", 200},
		{"127.0.0.1", 200},
		{"127.0.0.1", 200},
		{"::1", 200},
		{"::1", 200},
		{"::1", 200},
	} {
		addr = c.addr
		if got := open(); got != c.status {
			t.Errorf("%d: %s gets %d, want %d", i, c.addr, got, c.status)
		}
	}
	if n := h.Stats().Refused[TooManyClient.String()]; n != 3 {
		t.Errorf("%d counted", n)
	}
	f.viewer(t, 0).Close()
	eventually(t, "the place is free", func() bool { return h.Stats().Ended[Stopped.String()] == 1 && h.Stats().Open == 11 })
	if addr = "203.0.113.7"; open() != 200 {
		t.Error("the place was not given back")
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhoCountsAsAClient(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1/32", "[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64", "[fe80::1%eth0]:80": "fe80::/64",
		"127.8.8.8:80": "invalid Prefix", "[::1]:80": "invalid Prefix", "@": "invalid Prefix", "": "invalid Prefix",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = in
		if got := clientOf(peer(r)).String(); got != want {
			t.Errorf("%q is %s, want %s", in, got, want)
		}
	}
}
