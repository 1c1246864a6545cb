package mqttin

import (
	"bufio"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// unwrapProxy takes the PROXY header off a connection that comes from a proxy of ours, and counts the connection for
// the client's address from then on. Who is no proxy cannot claim another address: its bytes are not looked at.
func (b *Broker) unwrapProxy(c *conn) error {
	if !isProxy(b.proxies, c.address) {
		return nil
	}
	r := bufio.NewReaderSize(c.Conn, 512)
	header, err := proxyproto.Read(r)
	if err != nil {
		return err
	}
	c.Conn = &readAhead{Conn: c.Conn, ahead: r}
	if header.Command.IsLocal() { // the proxy itself, to see whether we are there
		return nil
	}
	client, ok := header.SourceAddr.(*net.TCPAddr)
	if !ok { // a socket of another kind: nothing to count by
		return nil
	}
	reason, ok := b.guard.regroup(c, client.AddrPort().Addr().Unmap(), client.String())
	if !ok {
		b.counters.note(reason, c.remote)
		return errCounted
	}
	return nil
}

func isProxy(proxies []netip.Prefix, address netip.Addr) bool {
	for _, p := range proxies {
		if p.Contains(address.WithZone("")) {
			return true
		}
	}
	return false
}

// readAhead is a connection of which more was read than was wanted.
type readAhead struct {
	net.Conn
	ahead *bufio.Reader // nil when all of it was given out
}

// Read reads what was read ahead, and then from the connection.
func (c *readAhead) Read(p []byte) (int, error) {
	if c.ahead != nil {
		if c.ahead.Buffered() > 0 {
			return c.ahead.Read(p)
		}
		c.ahead = nil
	}
	return c.Conn.Read(p)
}
