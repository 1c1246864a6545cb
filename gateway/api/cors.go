package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// CheckOrigin tells whether a text is an origin as browsers send it (RFC 6454 section 6.2): a scheme, a host in lower
// case and a port where it is not the scheme's own. "null" is everybody's, and "*" too.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || origin != u.Scheme+"://"+u.Host || origin != strings.ToLower(origin) {
		return fmt.Errorf("%q is no origin such as https://app.example.org", origin)
	}
	return nil
}

// What pages of other origins may send and read beside what every page may (Fetch standard, CORS protocol).
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID, traceparent, tracestate"
	corsExposed = "ETag, Location, RateLimit, RateLimit-Policy, Retry-After"
	corsMaxAge  = "600"
)

// cors lets pages of the origins that are listed read what is answered, with their cookies. No origin is repeated that
// is not listed; without any, nothing is said, and browsers keep every page but our own out.
func (a *API) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origins := a.live.Load().Origins
		if len(origins) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Add("Vary", "Origin") // also where there is none: a cache must not give one's answer to another
		origin := r.Header.Get("Origin")
		if origin == "" || !slices.Contains(origins, origin) {
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			h.Set("Access-Control-Expose-Headers", corsExposed)
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", corsHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
		w.WriteHeader(http.StatusNoContent)
	})
}
