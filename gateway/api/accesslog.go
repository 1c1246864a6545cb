package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/fleetcast/fleetcast/gateway/auth"
)

// maxLogged bounds a path or a query in the log.
const maxLogged = 512

// request is what the log of a request learns on the way.
type request struct{ subject string }

type requestKey struct{}

// accessLog writes a line for every request that was answered; for a stream over HTTP/1.1 when it was opened, over
// HTTP/2 when it ended. No header is in it, and of the query no ticket: it proves who asks.
func (a *API) accessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.live.Load().AccessLog {
			next.ServeHTTP(w, r)
			return
		}
		began := time.Now()
		known := &request{}
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor) // passes Hijack and Flush on; buffers nothing
		defer func() {
			status := ww.Status()
			if status == 0 {
				status = http.StatusOK // taken over, or nothing was written
			}
			a.log.Info("request", "method", r.Method, "path", cut(r.URL.EscapedPath()), "query", redacted(r.URL.RawQuery), "status", status,
				"bytes", ww.BytesWritten(), "took", time.Since(began), "address", a.addressOf(r), "caller", known.subject, "proto", r.Proto)
		}()
		next.ServeHTTP(ww, r.WithContext(context.WithValue(r.Context(), requestKey{}, known)))
	})
}

// noteCaller tells the log who asks.
func noteCaller(r *http.Request, subject string) {
	if known, ok := r.Context().Value(requestKey{}).(*request); ok {
		known.subject = subject
	}
}

// redacted is a query without what proves anything. One that cannot be read may hide some, and is not shown.
func redacted(query string) string {
	if query == "" {
		return ""
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return "(not well encoded)"
	}
	for name := range values {
		switch {
		case name == auth.TicketParameter:
			values.Set(name, "redacted")
		case strings.Contains(strings.ToLower(name), "token"), strings.EqualFold(name, "authorization"), strings.EqualFold(name, "password"):
			values.Set(name, "redacted") // somebody's mistake
		}
	}
	return cut(values.Encode())
}

func cut(text string) string {
	if len(text) > maxLogged {
		return text[:maxLogged] + "…"
	}
	return text
}
