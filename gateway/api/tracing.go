package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/fleetcast/fleetcast/devices/trace"
)

// traceRequests gives a request that is traced a span, which what it does goes on with. A caller's word comes in the headers
// of W3C Trace Context. Streams are not traced as requests: they last for hours, and their messages have spans of their own.
// It stands behind what says who asks and how often, so that nobody is traced who is turned away.
func (a *API) traceRequests(next http.Handler) http.Handler {
	tracer := a.options.Tracer
	if tracer == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/stream/") {
			next.ServeHTTP(w, r)
			return
		}
		from, traced := tracer.Enter(r.Header.Get(trace.ParentKey), strings.Join(r.Header.Values(trace.StateKey), ","))
		if !traced {
			next.ServeHTTP(w, r)
			return
		}
		span := tracer.Start("HTTP "+methodName(r.Method), trace.Server, &from, time.Now(), trace.Text("http.request.method", methodName(r.Method)))
		ctx := trace.With(r.Context(), span)
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor) // passes Hijack and Flush on; buffers nothing
		defer func() {
			attrs := []trace.Attr{trace.Number("http.response.status_code", ww.Status())}
			if route := chi.RouteContext(ctx); route != nil { // not the path: it may hold what a caller should not have put there
				attrs = append(attrs, trace.Text("http.route", route.RoutePattern()))
			}
			if ww.Status() >= http.StatusInternalServerError {
				span.Fail(time.Now(), http.StatusText(ww.Status()), attrs...)
			} else {
				span.End(time.Now(), attrs...)
			}
		}()
		next.ServeHTTP(ww, r.WithContext(ctx))
	})
}

// methodName keeps a caller's inventions out of names.
func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "_OTHER"
}
