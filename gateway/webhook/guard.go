package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// Bounds of a request.
const (
	dialTimeout    = 5 * time.Second
	answerTimeout  = 10 * time.Second
	requestTimeout = 15 * time.Second
	maxAnswerBytes = 4 << 10
)

// Guard says where webhooks may go. The zero value is https to public addresses.
type Guard struct {
	// Insecure lets http through too.
	Insecure bool
	// Allow are host names and CIDRs that may be, or may resolve to, what is not public.
	Allow []string
}

// guard is a Guard ready for use.
type guard struct {
	insecure bool
	hosts    map[string]bool
	prefixes []netip.Prefix
}

// Check tells the first thing that is wrong.
func (g *Guard) Check() error {
	_, err := g.compile()
	return err
}

func (g *Guard) compile() (*guard, error) {
	out := &guard{insecure: g.Insecure, hosts: map[string]bool{}}
	for _, text := range g.Allow {
		if p, err := netip.ParsePrefix(text); err == nil {
			out.prefixes = append(out.prefixes, p.Masked())
			continue
		}
		if a, err := netip.ParseAddr(text); err == nil {
			out.prefixes = append(out.prefixes, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
			continue
		}
		if text == "" || strings.ContainsAny(text, "/:*@ \t\r\n") {
			return nil, devices.Errorf(devices.Invalid, "webhook-allow", "%q is neither a host name nor a CIDR", text)
		}
		out.hosts[strings.ToLower(text)] = true
	}
	return out, nil
}

// check tells whether an address may be kept at all. Where its name leads is asked when it is dialled.
func (g *guard) check(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return devices.Errorf(devices.Invalid, "url", "is no URL")
	case u.Scheme != "https" && !g.insecure:
		return devices.Errorf(devices.Invalid, "url", "is not https")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !g.allows(a) {
		return devices.Errorf(devices.Invalid, "url", "is no public address; webhook-allow may name it")
	}
	return nil
}

// errRefused says that a name leads where webhooks may not go.
var errRefused = errors.New("the address is not public, and not among those that are allowed")

// closed are the ranges that are global by their form and lead to something else: translation and tunnels, whose inner
// addresses may be anybody's, documentation and benchmarks, and what is set apart.
var closed = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("5f00::/16"), netip.MustParsePrefix("::/96"), netip.MustParsePrefix("fec0::/10"),
}

// allows tells whether an address may be dialled.
func (g *guard) allows(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range g.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range closed {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// dial checks the address that is dialled, after its name was resolved: a name may say one thing now and another then.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	known := g.hosts[strings.ToLower(strings.TrimSuffix(host, "."))]
	d := net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("read address: %w", err)
		}
		if !known && !g.allows(a.Addr()) {
			return errRefused
		}
		return nil
	}}
	return d.DialContext(ctx, network, address)
}

// client is what sends. It follows no redirect, which would lead past the address that was allowed, and asks no proxy,
// which would dial in its place.
func (g *guard) client(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: g.dial, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: answerTimeout, ForceAttemptHTTP2: true,
			MaxConnsPerHost: 8, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 32 << 10, DisableCompression: true,
		},
	}
}
