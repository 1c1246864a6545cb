package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// One test an abuse.

func TestAPageOfAnotherSiteCannotRemove(t *testing.T) {
	w := newWorld(t, nil, "a")
	for _, headers := range [][]string{
		{"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site"}, {"Origin: https://evil.example"}, {"Origin: null"},
	} {
		isProblem(t, w.do("DELETE", "/api/assets/a", headers...), 403, "")
	}
	if len(w.inlet.appends) != 0 {
		t.Fatal("it was removed")
	}
	for _, headers := range [][]string{nil, {"Sec-Fetch-Site: same-origin"}, {"Sec-Fetch-Site: none"}, {"Origin: http://localhost:8080"}} {
		if rec := w.do("DELETE", "/api/assets/a", headers...); rec.Code != 202 {
			t.Errorf("%v: %d %s", headers, rec.Code, rec.Body)
		}
	}
	if rec := w.do("GET", "/api/assets", "Sec-Fetch-Site: cross-site"); rec.Code != 200 || rec.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("reading: %d %v", rec.Code, rec.Header())
	}
}

func TestEveryAnswerSaysWhatBrowsersMustNotDo(t *testing.T) {
	w := newWorld(t, nil, "a")
	for _, path := range []string{"/", "/api/assets", "/api/assets/a", "/api/nothing", "/stream/assets", "/healthz"} {
		h := w.do("GET", path).Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
		if !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: may be framed", path)
		}
		if strings.HasPrefix(path, "/api") && h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: may be stored", path)
		}
	}
}

func TestAPanicIsAProblemWithoutInternals(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Stats = func() any { panic("secret") }
		o.Dashboard = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("half"))
			panic("secret")
		})
	})
	rec := w.do("GET", "/api/stats")
	isProblem(t, rec, 500, "")
	if strings.Contains(rec.Body.String(), "secret") {
		t.Errorf("%s", rec.Body)
	}
	srv := httptest.NewServer(w)
	defer srv.Close()
	res, err := srv.Client().Get(srv.URL + "/")
	if err == nil {
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	if err == nil {
		t.Error("half an answer looks whole")
	}
}

func TestABodyOfGigabytesIsRefusedBeforeItComes(t *testing.T) {
	srv := httptest.NewServer(newWorld(t, nil, "a"))
	defer srv.Close()
	for request, want := range map[string]string{
		"DELETE /api/assets/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2147483648\r\n\r\n": "HTTP/1.1 413 ",
		"GET /api/assets HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n":           "HTTP/1.1 413 ",
		// Of unknown length: nobody reads it, and the connection ends with the answer.
		"DELETE /api/assets/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n": "HTTP/1.1 202 ",
	} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		go func() { // a body for ever, at the connection's speed
			defer close(stop)
			if _, err := io.WriteString(conn, request); err != nil {
				return
			}
			if strings.Contains(request, "chunked") {
				for {
					if _, err := io.WriteString(conn, "1000\r\n"+strings.Repeat("x", 4096)+"\r\n"); err != nil {
						return
					}
				}
			}
		}()
		r := bufio.NewReader(conn)
		line, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("%.60q gives %q, %v", request, line, err)
		}
		// Until the server closes, cleanly or not; a server that waits for the rest of a body is the abuse.
		if _, err := io.Copy(io.Discard, r); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%.60q holds its connection", request)
		}
		conn.Close()
		<-stop
	}
}

// pipeListener accepts one connection, which is a pipe, so that all of it is in the test's bubble of time.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	conn, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.conns) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestABodyThatHardlyComesHoldsNoConnection(t *testing.T) {
	for _, path := range []string{"/api/assets", "/", "/stream/assets", "/nothing"} {
		synctest.Test(t, func(t *testing.T) {
			server, client := net.Pipe()
			l := &pipeListener{conns: make(chan net.Conn, 1)}
			l.conns <- server
			srv := &http.Server{Handler: newWorld(t, nil), ReadHeaderTimeout: time.Second}
			done := make(chan error, 1)
			go func() { done <- srv.Serve(l) }()
			go func() {
				_, _ = io.WriteString(client, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nx")
			}()
			began := time.Now()
			if _, err := io.Copy(io.Discard, client); err != nil {
				t.Error(err)
			}
			if d := time.Since(began); d > 2*readTimeout {
				t.Errorf("%s: closed after %v", path, d)
			}
			client.Close()
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
			if err := <-done; !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		})
	}
}

func TestFilterBombsAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	var query strings.Builder
	for i := range 5_000 {
		fmt.Fprintf(&query, "fleet=f%d&", i)
	}
	isProblem(t, w.do("GET", "/api/assets?"+query.String()), 400, "fleet")
	isProblem(t, w.do("GET", "/api/assets?"+strings.Repeat("x", 100_000)+"=1"), 400, strings.Repeat("x", 64)+"…")
	isProblem(t, w.do("GET", "/api/assets?fleet="+strings.Repeat("x", 100_000)), 400, "fleet")
	isProblem(t, w.do("GET", "/api/assets?bbox=NaN,1,2,3"), 400, "bbox")
	isProblem(t, w.do("GET", "/api/assets/"+strings.Repeat("x", devices.MaxIDBytes+1)), 404, "")
}

func TestHostileNamesStayInsideTheirJSON(t *testing.T) {
	id := `"}<script>` + "\u2028"
	w := newWorld(t, nil, id, id+"2")
	for _, path := range []string{"/api/assets?limit=1", "/api/assets.geojson?limit=1"} {
		if body := w.do("GET", path).Body.String(); strings.ContainsAny(body, "<>\u2028") {
			t.Errorf("%s: %s", path, body)
		}
	}
}
