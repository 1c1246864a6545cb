package api

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/fleetcast/fleetcast/gateway/problem"
)

// hostGuard answers only for host names that cannot be somebody else's.
//
// The abuse is DNS rebinding: a page at evil.example makes its own name point to 127.0.0.1, and the browser of whoever
// looks at it then lets the page read this server, which asks nobody for credentials, as if it were its own. Such
// requests carry the page's host name, so a name that nobody can point elsewhere is the proof of honesty.
type hostGuard struct {
	any     bool
	allowed map[string]bool
}

// newHostGuard checks the configured names.
func newHostGuard(hosts []string, anyHost bool) (hostGuard, error) {
	g := hostGuard{any: anyHost, allowed: map[string]bool{}}
	for _, host := range hosts {
		if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
			host = "[" + host + "]" // people write addresses without brackets
		}
		name := normalHost(host)
		if name == "" || strings.ContainsAny(name, "/*@ \t") {
			return hostGuard{}, fmt.Errorf("make api: read host %q: %w", host, errHost)
		}
		g.allowed[name] = true
	}
	return g, nil
}

var errHost = errors.New("it must be one host name or address, without scheme and path")

func (g hostGuard) guard(next http.Handler) http.Handler {
	if g.any {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// HTTP/1.0 knows requests without a host, and health checks of proxies use them; no browser does.
		if (r.Host == "" && !r.ProtoAtLeast(1, 1)) || g.answers(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		problem.Misdirected("this server asks nobody for credentials, so it answers only for its own machine; add the host name to http-hosts (--http-hosts, FLEETCAST_HTTP_HOSTS), or set viewer-auth to required").Write(w, r)
	})
}

// answers tells whether the value of a Host header names this machine or is configured.
func (g hostGuard) answers(host string) bool {
	name := normalHost(host)
	if name == "" {
		return false
	}
	if g.allowed[name] || name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761 section 6.3
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Zone() == "" && addr.Unmap().IsLoopback()
}

// normalHost cuts a name out of host or host:port: lower case, without brackets and the root's dot. It returns "" for
// what is neither.
func normalHost(host string) string {
	if name, port, err := net.SplitHostPort(host); err == nil {
		if !isPort(port) {
			return ""
		}
		host = name
		if strings.Contains(name, ":") {
			host = "[" + name + "]"
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		if addr, err := netip.ParseAddr(inner); !closed || err != nil || !addr.Is6() {
			return ""
		}
		return strings.ToLower(inner)
	}
	if strings.ContainsAny(host, ":[]") {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func isPort(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(s) <= 5
}
