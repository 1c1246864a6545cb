package api

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/gateway/problem"
)

// Bounds of a request that is not a stream.
const (
	// MaxBody bounds a body; that of an import has a bound of its own. A client that sends gigabytes is told so and cut.
	MaxBody = 64 << 10
	// readTimeout bounds how slowly a body may come: a body of one byte a minute holds a connection for ever.
	readTimeout = 10 * time.Second
	// writeTimeout bounds how slowly an answer may be taken. The server has none for all, which would cut streams.
	writeTimeout = 2 * time.Minute
)

// loopback knows the names of the own machine: who tries TLS there must not be unable to reach what else it serves.
var loopback = hostGuard{}

// secure says what browsers must not do with anything that is served here. The page replaces the policy by its own,
// which must forbid frames too; X-Frame-Options stays either way.
func (a *API) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if a.options.HTTPSOnly && !loopback.answers(r.Host) {
			h.Set("Strict-Transport-Security", "max-age=31536000") // RFC 6797 section 6.1
		}
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		next.ServeHTTP(w, r)
	})
}

// private keeps positions out of caches.
func private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// limitBody bounds a body, and how slowly it may come. It stands around everything: what no handler reads, net/http
// reads after it, to keep the connection, and waits for.
func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			// Nor must there be a deadline: net/http itself reads on to see the client leave.
			next.ServeHTTP(w, r)
			return
		}
		rc := http.NewResponseController(w)
		most := int64(MaxBody)
		if isImport(r) {
			most = registry.MaxImportBytes
		}
		if r.ContentLength > most {
			_ = rc.SetReadDeadline(time.Now()) // the rest is not waited for; a writer that has no deadlines is a test's
			w.Header().Set("Connection", "close")
			problem.Write(w, r, devices.Errorf(devices.TooLarge, "", "the body is larger than %d bytes", most))
			return
		}
		_ = rc.SetReadDeadline(time.Now().Add(readTimeout)) // as above
		r.Body = http.MaxBytesReader(w, r.Body, most)
		if isImport(r) {
			r.Body = &patientBody{r.Body, rc, time.Now().Add(importTime)}
		}
		next.ServeHTTP(w, r)
	})
}

// limitTime bounds how slowly an answer may be taken. It must not stand around the stream.
func limitTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // a writer that has none is a test's
		next.ServeHTTP(w, r)
	})
}

// recoverPanics makes a problem of a panic. Where an answer has begun, it is cut, so that nobody takes it for whole. A
// stream that runs on a goroutine of its own looks after itself.
func (a *API) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor) // passes Hijack and Flush on; buffers nothing
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(p)
			}
			a.log.Error("a request panicked", "method", r.Method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if ww.Status() != 0 {
				panic(http.ErrAbortHandler)
			}
			problem.Write(ww, r, nil)
		}()
		next.ServeHTTP(ww, r)
	})
}
