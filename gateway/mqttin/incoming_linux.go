package mqttin

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// This file processes what came on a connection that is watched.

// whatNow is what is to be done with a connection of which something was processed.
type whatNow uint8

const (
	released whatNow = iota // it is watched again
	hasMore                 // and the others come first
	ended                   // it has ended
)

// readers are those of connections of which a part of a packet is here. The others have none.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

// readWhatCame processes the packets that are there. Where it returns released, the connection may be another's already.
// With ended it may return the reason, as listenTo does.
func (b *Broker) readWhatCame(c *conn) (what whatNow, err error) {
	s, sock := c.session, c.socket()
	defer func() {
		if r := recover(); r != nil { // see catch
			b.counters.note(Panicked, c.remote)
			what, err = ended, errCounted
		}
	}()
	for n := 0; ; n++ {
		if c.in == nil {
			c.in = readers.Get().(*bufio.Reader)
			c.in.Reset(c.Conn)
		}
		if s.client.Closed() {
			return ended, nil
		}
		err := b.takeNext(s, sock)
		if err == nil {
			if n >= packetsInTurn && c.worker != nil {
				c.worker = nil
				return hasMore, nil
			}
			continue
		}
		if err != errNotYet { //nolint:errorlint // it is returned as it is
			return ended, s.sayWhy(err)
		}
		if what, err = b.restFrom(c, n); what != hasMore {
			return what, err
		}
	}
}

// restFrom gives the claim back after n packets. It returns hasMore where something came meanwhile.
func (b *Broker) restFrom(c *conn, n int) (whatNow, error) {
	now, sock := time.Now(), c.socket()
	if n > 0 {
		_ = sock.SetReadDeadline(now.Add(patienceWith(c.session)))
	}
	if c.in.Buffered() == 0 {
		c.in.Reset(nil)
		readers.Put(c.in)
		c.in = nil
	}
	worker := c.worker
	c.worker = nil
	done, late := sock.release(now)
	switch {
	case done:
		return released, nil
	case late:
		return ended, fmt.Errorf("read packet: %w", os.ErrDeadlineExceeded)
	}
	c.worker = worker
	return hasMore, nil
}

// takeNext processes the next packet, if all of it is here. Only one that is larger than the buffer is waited for.
func (b *Broker) takeNext(s *session, sock *socket) error {
	var header packets.FixedHeader
	size, err := s.conn.head(&header)
	if err != nil {
		return err
	}
	if whole := size + header.Remaining; size > 0 && whole <= s.conn.in.Size() {
		if _, err := s.conn.in.Peek(whole); err != nil {
			return err
		}
	} else {
		s.conn.leave()
		sock.wait = true
		defer func() { sock.wait = false }()
	}
	return b.process(s, &header, size)
}
