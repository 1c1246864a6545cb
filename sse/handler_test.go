package sse

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

func TestTheBytesOnTheWireAreTheHeadARetryAndTheHubs(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff") // as middleware does
		w.Header().Set("Content-Length", "5")
		w.Header()["X-Two"] = []string{"a", "b"}
		h.ServeHTTP(w, r)
	}))
	for proto, request := range map[string]string{
		"HTTP/1.1": get,
		"HTTP/1.0": "GET /stream/assets?format=batch HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	} {
		c := dial(t, addr, request)
		head := c.until(t, "\r\n\r\n")
		head = regexp.MustCompile(`Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT`).ReplaceAllString(head, "Date: now")
		want := proto + " 200 OK\r\n" +
			"Cache-Control: no-cache, no-transform\r\n" +
			"Connection: close\r\n" +
			"Content-Type: text/event-stream\r\n" +
			"Date: now\r\n" +
			"Vary: Accept-Encoding\r\n" +
			"X-Accel-Buffering: no\r\n" +
			"X-Content-Type-Options: nosniff\r\n" +
			"X-Two: a\r\n" +
			"X-Two: b\r\n\r\n"
		if head != want {
			t.Errorf("%s: head\n%q\nwant\n%q", proto, head, want)
		}
		if retry := c.until(t, "\n\n"); !regexp.MustCompile(`^retry: [2-5]\d{3}\n\n$`).MatchString(retry) {
			t.Errorf("%s: the stream begins with %q", proto, retry)
		}
		v := f.viewer(t, len(f.viewers)-1)
		v.chunks <- []byte("data: 1\n\n")
		v.chunks <- []byte("data: 2\n\n")
		if got := c.until(t, "data: 2\n\n"); got != "data: 1\n\ndata: 2\n\n" {
			t.Errorf("%s: %q", proto, got)
		}
		eventually(t, "the viewer heard what it took", func() bool { return v.total() == 18 })
	}
}

func TestTheViewerIsWhatTheRequestAsksFor(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	addr := serve(t, h)
	dial(t, addr, "GET /s?fleet=north&every=500&format=batch&last_event_id=q HTTP/1.1\r\nHost: x\r\nLast-Event-ID: hd\r\n\r\n").until(t, "\n\n")
	v := f.viewer(t, 0)
	if v.lastID != "hd" || v.format != Batch || v.query.Every != 500*time.Millisecond || len(v.query.Fleets) != 1 {
		t.Errorf("%+v", v)
	}
}

func TestWrongRequestsAreProblemsBeforeTheStreamStarts(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	for _, c := range []struct {
		method, target string
		status         int
		want           string
	}{
		{"GET", "/s?bbox=1,4,3,2", 400, `"parameter":"bbox"`},
		{"HEAD", "/s?bbox=1,4,3,2", 400, ""},
		{"GET", "/s?every=1", 400, `"parameter":"every"`},
		{"POST", "/s", 405, "method_not_allowed"},
		{"DELETE", "/s", 405, "method_not_allowed"},
		{"HEAD", "/s?fleet=north", 200, ""},
		{"OPTIONS", "/s", 204, ""},
	} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(c.method, c.target, nil))
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.want) || (c.want == "" && rec.Body.Len() > 0) {
			t.Errorf("%s %s: %d %s", c.method, c.target, rec.Code, rec.Body)
		}
		if got := rec.Header(); (c.status == 405 || c.status == 204) != (got.Get("Allow") == "GET, HEAD, OPTIONS") {
			t.Errorf("%s %s: Allow is %q", c.method, c.target, got.Get("Allow"))
		}
		if c.method == "HEAD" && c.status == 200 && rec.Header().Get("Content-Type") != ContentType {
			t.Errorf("HEAD says %v", rec.Header())
		}
	}
	if len(f.viewers) != 0 || h.Stats().Refused[BadRequest.String()] != 5 {
		t.Errorf("%d viewers, %v", len(f.viewers), h.Stats())
	}
}

func TestAClientThatGoesIsGoneAfterTheNextWrites(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	c := dial(t, serve(t, h), get)
	c.until(t, "\n\n")
	c.Close()
	v := f.viewer(t, 0)
	eventually(t, "the viewer is closed", func() bool {
		select {
		case v.chunks <- []byte("event: heartbeat\ndata: {}\n\n"):
		default:
		}
		return v.isClosed()
	})
	ended(t, h, Gone, 1)
}

func TestWhenTheHubStopsTheClientIsToldWhenToComeBack(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	c := dial(t, serve(t, h), get)
	c.until(t, "\n\n")
	f.viewer(t, 0).Close()
	rest, err := io.ReadAll(c.r)
	if err != nil || !regexp.MustCompile(`^retry: \d{4}\n\n$`).Match(rest) {
		t.Errorf("%q, %v", rest, err)
	}
	ended(t, h, Stopped, 1)
}

func TestAPanicEndsOneStreamOnly(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	addr := serve(t, h)
	good := dial(t, addr, get)
	good.until(t, "\n\n")
	f.mu.Lock()
	f.panics = true
	f.mu.Unlock()
	if _, err := io.ReadAll(dial(t, addr, get).r); err != nil {
		t.Errorf("the connection was not closed: %v", err)
	}
	eventually(t, "the panic is counted", func() bool { return h.Stats().Ended[Panicked.String()] == 1 })
	f.viewer(t, 0).chunks <- []byte("data: still here\n\n")
	good.until(t, "still here\n\n")
	eventually(t, "one stream is left", func() bool { return h.Stats().Open == 1 })
}

func TestAPanicOfTheHubAtTheDoorGivesThePlaceBack(t *testing.T) {
	h, err := newHandler(Options{}, nil) // a nil func panics when it is called
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it did not panic")
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/s", nil))
	}()
	if h.Stats().Open != 0 {
		t.Error("the place is lost")
	}
}

func TestOverHTTP2TheStreamGoesThroughTheHandler(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/s", nil)
	req.Header.Set("Accept-Encoding", "identity")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 || res.Header.Get("Content-Type") != ContentType || res.Header.Get("Connection") != "" {
		t.Errorf("%s %v", res.Proto, res.Header)
	}
	v := f.viewer(t, 0)
	big := append(bytes.Repeat([]byte("x"), 3*pieceBytes+5), "\n\n"...)
	v.chunks <- big
	buf := make([]byte, len("retry: 2000\n\n")+len(big))
	if _, err := io.ReadFull(res.Body, buf); err != nil || !bytes.HasSuffix(buf, big) {
		t.Errorf("%v: %d bytes", err, len(buf))
	}
	eventually(t, "the viewer heard what it took", func() bool { return v.total() == len(big) })
	cancel() // the client leaves: seen at once, without a write
	ended(t, h, Gone, 1)
}

func TestOverTLSAndHTTP1TheConnectionIsTakenOver(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{NextProtos: []string{"http/1.1"}}
	srv.StartTLS()
	defer srv.Close()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	req.Header.Set("Accept-Encoding", "identity")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	v := f.viewer(t, 0)
	big := append(bytes.Repeat([]byte("x"), 3*pieceBytes+5), "\n\n"...)
	v.chunks <- big
	buf := make([]byte, len("retry: 2000\n\n")+len(big))
	if _, err := io.ReadFull(res.Body, buf); err != nil || !bytes.HasSuffix(buf, big) || res.ProtoMajor != 1 {
		t.Errorf("%v: %s %d bytes", err, res.Proto, len(buf))
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	ended(t, h, Drained, 1)
}

// noHijack is a writer as some middleware makes it.
type noHijack struct{ w http.ResponseWriter }

func (n noHijack) Header() http.Header         { return n.w.Header() }
func (n noHijack) Write(p []byte) (int, error) { return n.w.Write(p) }
func (n noHijack) WriteHeader(status int)      { n.w.WriteHeader(status) }
func (n noHijack) Flush()                      { n.w.(http.Flusher).Flush() }

func TestAWriterThatCannotBeTakenOverStillStreams(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(noHijack{w}, r)
	})), get)
	if head := c.until(t, "\r\n\r\n"); !strings.Contains(head, "Content-Type: text/event-stream\r\n") || !strings.Contains(head, "chunked") {
		t.Errorf("head %q", head)
	}
	c.until(t, "\n\n")
	f.viewer(t, 0).chunks <- []byte("data: 1\n\n")
	c.until(t, "data: 1\n\n")
	f.viewer(t, 0).Close()
	c.until(t, "0\r\n\r\n")
	ended(t, h, Stopped, 1)
}

// brokenHijack says that the connection is lost.
type brokenHijack struct{ http.ResponseWriter }

func (brokenHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, errors.New("lost")
}

func TestAConnectionThatCannotBeginIsCountedAndGivesItsPlaceBack(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	h.ServeHTTP(brokenHijack{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/s", nil))
	server, client := net.Pipe()
	client.Close()
	h.ServeHTTP(&pipeWriter{header: http.Header{}, conn: server}, httptest.NewRequest(http.MethodGet, "/s", nil))
	if s := h.Stats(); s.Open != 0 || s.Refused[NoConnection.String()] != 2 || !f.viewer(t, 0).isClosed() || !f.viewer(t, 1).isClosed() {
		t.Errorf("%+v", s)
	}
}

func TestErrorsOfTheHubAreProblemsOrComeBackLater(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	for _, c := range []struct {
		err    error
		accept string
		status int
	}{
		{devices.Errorf(devices.Exhausted, "", "full"), "*/*", 503},
		{devices.Errorf(devices.Unavailable, "", "stopping"), ContentType, 200},
		{errors.New("secret"), ContentType, 500},
	} {
		f.refuse = c.err
		r := httptest.NewRequest(http.MethodGet, "/s", nil)
		r.Header.Set("Accept", c.accept)
		r.Header.Set("User-Agent", "Mozilla/5.0")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != c.status || strings.Contains(rec.Body.String(), "secret") {
			t.Errorf("%v: %d %s", c.err, rec.Code, rec.Body)
		}
	}
	if s := h.Stats(); s.Refused[HubRefused.String()] != 3 || s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a handler without a hub")
	}
	if _, err := newHandler(Options{MaxStreams: -1}, nil); err == nil {
		t.Error("a negative limit")
	}
}
