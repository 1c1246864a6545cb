package api

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are those that are believed when they say for whom they ask.
type Proxies []netip.Prefix

func (p Proxies) trust(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(each netip.Prefix) bool { return each.Contains(addr) })
}

// maxHops bounds what is read of X-Forwarded-For, from its end.
const maxHops = 16

// Address is where a request comes from: the connection's other end, unless that is a trusted proxy; then the last
// address of X-Forwarded-For that is none of them, since each writes down whom it heard and whatever stands before that
// may be anybody's invention. Where a proxy says nothing that can be read, it is the proxy. It is invalid where there is
// none, as over a Unix socket.
func (p Proxies) Address(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	at := peer.Addr().Unmap().WithZone("")
	if len(p) == 0 || !p.trust(at) {
		return at
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= max(0, len(hops)-maxHops); i-- {
		next, ok := parseHop(strings.TrimSpace(hops[i]))
		if !ok {
			return at
		}
		at = next
		if !p.trust(at) {
			return at
		}
	}
	return at
}

// parseHop reads an address, with or without a port.
func parseHop(text string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	addrPort, err := netip.ParseAddrPort(text)
	return addrPort.Addr().Unmap().WithZone(""), err == nil
}

// networkOf is what an address is counted by: in IPv6 the /64 that one subscriber chooses addresses from. "" is nobody.
func networkOf(addr netip.Addr) string {
	switch {
	case !addr.IsValid():
		return ""
	case addr.Is4():
		return addr.String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}

// addressOf is where a request comes from, as text: what guessing is counted by, and what is logged.
func (a *API) addressOf(r *http.Request) string {
	if addr := a.live.Load().Proxies.Address(r); addr.IsValid() {
		return addr.String()
	}
	return r.RemoteAddr
}
