package mqttin

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// poller watches the connections that were greeted and say nothing. A goroutine for each, which Go's own poller wakes up,
// costs more than what it does: at one message a second of each of 2,000 devices half of the door's processor time was the
// waking of threads, and a second read of each socket to find it empty. The poller looks which sockets have
// something as often as the committer commits, which is the least time from one look to the next, and one goroutine reads them
// one after the other. The first message after a pause does not wait.
//
// It is for plain TCP: what goes through TLS or a WebSocket has a goroutine of its own, and so has all of it where there is
// no epoll.
//
// Whoever processes packets may have to wait: for room, for a rate, for a store. Before, it says so (leave): then it goes on
// with its connection alone, and another goroutine becomes the runner, who looks. Where nobody said so the runner is relieved
// within reliefAfter. A timer for each round would do that too, but each that is set wakes a thread.
type poller struct {
	broker *Broker
	epoll  int
	bell   int // wakes a runner that waits, at the end

	mu        sync.Mutex
	conns     map[int32]*conn // by file
	ready     []*conn         // claimed, and waiting for a worker from next on
	next      int
	again     []*conn // claimed, for the next round, after the others: they have more, or are new
	runner    *worker
	helpers   int    // workers besides, as there is much to do
	working   bool   // the runner is not looking
	relieving bool   // relief is wound up
	watched   uint64 // served, when it was
	ended     bool

	served  atomic.Uint64
	relief  *time.Timer
	workers sync.WaitGroup

	// The runner's own.
	events []unix.EpollEvent
	pause  *time.Timer
	looked time.Time
	swept  time.Time
	quiet  int // how many looks found nothing
}

const (
	// quietLooks is how many looks in vain make the runner wait for a message rather than look again.
	quietLooks = 2
	// lateEvery is how often it looks for connections that missed their keep-alive.
	lateEvery = time.Second
	// reliefAfter is how long one connection may hold up the others, and half of that at least.
	reliefAfter = 20 * time.Millisecond
	// hearOutMost is how long a connection waits for the one before it.
	hearOutMost = 100 * time.Millisecond
	// manyReady is how many connections that wait are worth another core.
	manyReady = 128
	// packetsInTurn is how many packets of a connection are processed before the others have their turn.
	packetsInTurn = 64
)

func newPoller(b *Broker) *poller {
	return &poller{broker: b, epoll: -1, bell: -1, conns: map[int32]*conn{}, events: make([]unix.EpollEvent, 512)}
}

// watchable makes a connection one that can be watched, if it is plain TCP.
func watchable(nc net.Conn, p *port) net.Conn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok || p.secure || p.webSocket {
		return nc
	}
	return newSocket(tcp)
}

// start makes the poller run until stop.
func (p *poller) start() error {
	var err error
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("watch connections: %w", os.NewSyscallError("epoll_create1", err))
	}
	if p.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(p.epoll)
		return fmt.Errorf("watch connections: %w", os.NewSyscallError("eventfd", err))
	}
	if err = p.watch(p.bell, unix.EPOLLIN|unix.EPOLLET); err != nil {
		_ = unix.Close(p.epoll)
		_ = unix.Close(p.bell)
		return err
	}
	p.swept = time.Now()
	p.pause = time.NewTimer(0)
	p.relief = time.AfterFunc(time.Hour, p.relieve)
	p.relief.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.appoint()
	return nil
}

// stop ends it, when no connection is left, or ctx ends.
func (p *poller) stop(ctx context.Context) {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.relief.Stop()
	p.ring()
	if !wait(ctx, &p.workers) { // one hangs: its files are left to it
		return
	}
	_ = unix.Close(p.bell)
	_ = unix.Close(p.epoll)
}

func (p *poller) watch(fd int, events uint32) error {
	err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("watch connection: %w", os.NewSyscallError("epoll_ctl", err))
	}
	return nil
}

// adopt takes a connection that was greeted, whose goroutine may end then. It returns false where it is not one to be watched.
func (p *poller) adopt(c *conn) bool {
	sock, ok := c.raw.(*socket)
	if !ok {
		return false
	}
	if !p.isOn(c) {
		sock.stayAlone()
		return false
	}
	fd, err := sock.another()
	if err != nil {
		sock.stayAlone()
		return false
	}
	p.mu.Lock()
	p.conns[int32(fd)] = c
	p.mu.Unlock()
	if p.watch(fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET) != nil || !p.takeOver(c, sock, fd) {
		p.forget(fd)
		_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, fd, nil)
		_ = unix.Close(fd)
		sock.stayAlone()
		return false
	}
	p.broker.talking.Add(1)
	_ = c.SetReadDeadline(time.Now().Add(patienceWith(c.session)))
	p.putBack(c) // for what came with the CONNECT, in its turn: what others sent before is heard before
	p.ring()
	return true
}

// isOn tells whether nothing lies between the connection and its socket.
func (p *poller) isOn(c *conn) bool {
	if c.Conn == c.raw {
		return true
	}
	behind, ok := c.Conn.(*readAhead)
	return ok && (behind.ahead == nil || behind.ahead.Buffered() == 0)
}

// takeOver needs that nobody writes, for which there is the client's lock.
func (p *poller) takeOver(c *conn, sock *socket, fd int) bool {
	c.session.client.Lock()
	defer c.session.client.Unlock()
	if !sock.takeOver(fd) {
		return false
	}
	c.Conn = c.raw
	return true
}

// hearOut processes what a connection has sent, before another takes its place: what a client said last is not lost because
// it was quick to come back.
func (p *poller) hearOut(c *conn) {
	if sock, ok := c.raw.(*socket); ok && sock.claimSoon(time.Now().Add(hearOutMost)) {
		p.serve(nil, c)
	}
}

// putBack has a connection served in the next round.
func (p *poller) putBack(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.again = append(p.again, c)
}

func (p *poller) forget(fd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, int32(fd))
}

// look waits until something may be read, and claims it.
func (p *poller) look() {
	wait := 0
	switch left := p.broker.committer.every - time.Since(p.looked); {
	case p.isBehind():
	case p.quiet >= quietLooks:
		wait = int(lateEvery / time.Millisecond)
	case left > 0:
		p.pause.Reset(left)
		<-p.pause.C
	}
	n, err := unix.EpollWait(p.epoll, p.events, wait)
	if err != nil { // a signal came
		n = 0
	}
	p.looked = time.Now()
	if p.quiet++; n > 0 {
		p.quiet = 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.events[:n] {
		e := &p.events[i]
		if c := p.conns[e.Fd]; c != nil && c.socket().hear(e.Events) {
			p.ready = append(p.ready, c)
		}
	}
	p.ready = append(p.ready, p.again...)
	clear(p.again)
	p.again = p.again[:0]
	if p.looked.Sub(p.swept) >= lateEvery {
		p.swept = p.looked
		p.sweep()
	}
	if p.working = len(p.ready) > 0; p.working && !p.relieving {
		p.relieving, p.watched = true, p.served.Load()
		p.relief.Reset(reliefAfter / 2)
	}
}

// isBehind tells whether some have more.
func (p *poller) isBehind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.again) > 0
}

// sweep claims the connections that missed their keep-alive. It needs p.mu.
func (p *poller) sweep() {
	for _, c := range p.conns {
		if c.socket().claimLate(p.looked) {
			p.ready = append(p.ready, c)
		}
	}
}

// ring wakes a runner that waits.
func (p *poller) ring() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(p.bell, one[:])
}

func (c *conn) socket() *socket { return c.raw.(*socket) }
