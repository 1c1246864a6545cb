package mqttin

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// guard decides who may connect, before a byte is read. It knows every open connection.
type guard struct {
	limits   Limits
	counters *counters
	number   atomic.Uint64

	mu           sync.Mutex
	closed       bool
	conns        map[*conn]struct{}
	unidentified int
	byAddress    map[netip.Prefix]addressUse
}

type addressUse struct{ all, unidentified int }

func newGuard(limits Limits, counters *counters) *guard {
	return &guard{limits: limits, counters: counters, conns: map[*conn]struct{}{}, byAddress: map[netip.Prefix]addressUse{}}
}

// TCP keep-alive finds peers that are gone without a FIN, for example a phone that lost its network.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}

// admit takes a connection in, or closes it and returns nil.
func (g *guard) admit(nc net.Conn) *conn {
	c := &conn{Conn: nc, raw: nc, opened: time.Now(), number: g.number.Add(1), remote: nc.RemoteAddr().String(), counters: g.counters}
	c.address = addressOf(nc.RemoteAddr())
	c.group = addressGroup(c.address)
	c.write.Store(int64(g.limits.Write))
	if reason, ok := g.enter(c); !ok {
		g.counters.note(reason, c.remote)
		_ = nc.Close()
		return nil
	}
	if tcp, ok := nc.(interface {
		SetKeepAliveConfig(c net.KeepAliveConfig) error
	}); ok {
		_ = tcp.SetKeepAliveConfig(keepAlive) // without it the MQTT keep-alive still ends the connection
	}
	_ = c.SetReadDeadline(c.opened.Add(g.limits.FirstPacket)) // mochi's own deadline begins with the session
	return c
}

func (g *guard) enter(c *conn) (Reason, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	use := g.byAddress[c.group]
	switch {
	case g.closed:
		return Stopping, false
	case len(g.conns) >= g.limits.Connections:
		return ConnectionLimit, false
	case g.unidentified >= g.limits.Unidentified:
		return UnidentifiedLimit, false
	case c.group.IsValid() && use.all >= g.limits.PerAddress:
		return AddressLimit, false
	case c.group.IsValid() && use.unidentified >= g.limits.UnidentifiedPerAddress:
		return UnidentifiedByAddress, false
	}
	g.conns[c] = struct{}{}
	g.unidentified++
	g.count(c, 1, 1)
	return 0, true
}

// regroup counts a connection for the address that its proxy says it has, as if it had come from there.
func (g *guard) regroup(c *conn, address netip.Addr, remote string) (Reason, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count(c, -1, -1)
	c.address, c.remote, c.group = address, remote, addressGroup(address)
	use := g.byAddress[c.group]
	g.count(c, 1, 1)
	switch {
	case !c.group.IsValid():
	case use.all >= g.limits.PerAddress:
		return AddressLimit, false
	case use.unidentified >= g.limits.UnidentifiedPerAddress:
		return UnidentifiedByAddress, false
	}
	return 0, true
}

// identify notes that the connection has sent a good CONNECT.
func (g *guard) identify(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !c.identified {
		c.identified = true
		g.unidentified--
		g.count(c, 0, -1)
	}
}

// leave forgets the connection.
func (g *guard) leave(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
	if c.identified {
		g.count(c, -1, 0)
		return
	}
	g.unidentified--
	g.count(c, -1, -1)
}

func (g *guard) count(c *conn, all, unidentified int) {
	if !c.group.IsValid() {
		return
	}
	use := g.byAddress[c.group]
	use.all += all
	use.unidentified += unidentified
	if use.all == 0 {
		delete(g.byAddress, c.group)
		return
	}
	g.byAddress[c.group] = use
}

// close refuses whoever comes from now on, and ends who has not said who it is: mochi has no deadline for them.
func (g *guard) close() {
	for _, c := range g.list(true) {
		_ = c.Close()
	}
}

// list returns the open connections; closing also shuts the guard, and returns the unidentified ones only.
func (g *guard) list(closing bool) []*conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = g.closed || closing
	list := make([]*conn, 0, len(g.conns))
	for c := range g.conns {
		if !closing || !c.identified {
			list = append(list, c)
		}
	}
	return list
}

func (g *guard) gauges() (all, unidentified int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns), g.unidentified
}

// addressGroup is what connections are counted by: an IPv4 address, a /64 in IPv6 (one customer has at least that), and
// nothing for loopback.
func addressGroup(addr netip.Addr) netip.Prefix {
	if !addr.IsValid() || addr.IsLoopback() {
		return netip.Prefix{}
	}
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
