package mqttin

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// errNotYet is what reading a socket that is watched returns where there is nothing to read now.
var errNotYet = errors.New("nothing to read yet")

// socket is a device's TCP connection. When it is greeted it may be taken over by the poller: then nothing of it is in Go's
// own poller, which would wake up a thread for each message of each device, and no goroutine waits to read it. Reading and
// writing it waits only where that is asked for.
type socket struct {
	tcp    *net.TCPConn // until it is taken over
	local  net.Addr
	remote net.Addr
	taken  atomic.Bool // set under mu, while nobody reads or writes
	wait   bool        // reading waits; owned by whoever has claimed the socket

	mu      sync.Mutex // orders the system calls with the end of the file
	fd      int        // -1 when it is closed
	shut    bool       // Close was called
	claimed bool       // somebody reads it, or will: see poller
	drained bool       // there was nothing more to read, and nothing was heard since
	hungUp  bool       // the peer sends nothing any more, so that the end is there to be read
	alone   bool       // it is not taken over, nor will be
	readBy  time.Time
	writeBy time.Time
	data    chan struct{} // somebody waits until there is something to read; of capacity 1
	room    chan struct{} // the same, to write
	free    chan struct{} // the same, until whoever has claimed it has done with it
}

func newSocket(tcp *net.TCPConn) *socket {
	return &socket{tcp: tcp, local: tcp.LocalAddr(), remote: tcp.RemoteAddr(), fd: -1, claimed: true}
}

// another returns another number of the file.
func (s *socket) another() (fd int, err error) {
	raw, err := s.tcp.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("duplicate socket: %w", err)
	}
	if e := raw.Control(func(f uintptr) { fd, err = unix.FcntlInt(f, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		err = e
	}
	if err != nil {
		return -1, fmt.Errorf("duplicate socket: %w", err)
	}
	return fd, nil
}

// takeOver makes fd the only number of the file, which Go's poller does not know, and tells whether the connection stands.
// Nobody may be reading or writing. The socket is claimed.
func (s *socket) takeOver(fd int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return false
	}
	s.fd = fd
	s.taken.Store(true)
	_ = s.tcp.Close() // the connection stands, as the file has another number
	s.tcp = nil
	return true
}

// Read reads what there is, as net.Conn does until the socket is taken over.
func (s *socket) Read(p []byte) (int, error) {
	if !s.taken.Load() {
		return s.tcp.Read(p)
	}
	for {
		n, data, until, err := s.tryRead(p)
		if data == nil {
			return n, err
		}
		if err := await(data, until, "read"); err != nil {
			return 0, err
		}
	}
}

// tryRead returns a channel to wait on where there is nothing to read and reading waits.
func (s *socket) tryRead(p []byte) (n int, data <-chan struct{}, until time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return 0, nil, until, net.ErrClosed
	}
	if !s.drained {
		n, err = retry(func() (int, error) { return unix.Read(s.fd, p) })
		switch {
		case errors.Is(err, unix.EAGAIN):
			s.drained = true
		case err != nil:
			return 0, nil, until, os.NewSyscallError("read", err)
		case n == 0 && len(p) > 0:
			return 0, nil, until, io.EOF
		default:
			s.drained = n < len(p) && !s.hungUp
			return n, nil, until, nil
		}
	}
	if !s.wait {
		return 0, nil, until, errNotYet
	}
	s.data = make(chan struct{}, 1)
	return 0, s.data, s.readBy, nil
}

// Write writes all of b, and waits for room until the deadline. Calls are serialised by the client's lock.
func (s *socket) Write(b []byte) (n int, err error) {
	if !s.taken.Load() {
		return s.tcp.Write(b)
	}
	for {
		m, room, until, err := s.tryWrite(b[n:])
		n += m
		if room == nil {
			return n, err
		}
		if err := await(room, until, "write"); err != nil {
			return n, err
		}
	}
}

// tryWrite writes what there is room for. It returns a channel to wait on where that is not all.
func (s *socket) tryWrite(b []byte) (n int, room <-chan struct{}, until time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < len(b) {
		if s.shut {
			return n, nil, until, net.ErrClosed
		}
		m, err := retry(func() (int, error) { return unix.Write(s.fd, b[n:]) })
		switch {
		case errors.Is(err, unix.EAGAIN):
			s.room = make(chan struct{}, 1)
			return n, s.room, s.writeBy, nil
		case err != nil:
			return n, nil, until, os.NewSyscallError("write", err)
		}
		n += m
	}
	return n, nil, until, nil
}

// writeNow writes what there is room for, and returns how much that was.
func (s *socket) writeNow(b []byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut || !s.taken.Load() {
		return 0
	}
	n, err := retry(func() (int, error) { return unix.Write(s.fd, b) })
	if err != nil {
		return 0
	}
	return n
}

// retry calls a function again that a signal interrupted.
func retry(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// await waits until something may have changed, or until the deadline.
func await(c <-chan struct{}, until time.Time, what string) error {
	if until.IsZero() {
		<-c
		return nil
	}
	left := time.Until(until)
	if left <= 0 {
		return fmt.Errorf("%s: %w", what, os.ErrDeadlineExceeded)
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-c: // perhaps only another deadline
		return nil
	case <-timer.C:
		return fmt.Errorf("%s: %w", what, os.ErrDeadlineExceeded)
	}
}

// poke wakes whoever waits. It needs s.mu.
func poke(c *chan struct{}) {
	if *c != nil {
		*c <- struct{}{}
		*c = nil
	}
}

// hear notes what epoll tells, and whether somebody has to be found to read.
func (s *socket) hear(events uint32) (claim bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		poke(&s.room)
	}
	s.hungUp = s.hungUp || events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	if events&unix.EPOLLIN == 0 && !s.hungUp {
		return false
	}
	s.drained = false
	poke(&s.data)
	claim, s.claimed = !s.claimed, true
	return claim
}

// claimLate claims a socket of which nothing was read in time, or that we closed, unless somebody has it.
func (s *socket) claimLate(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claimed || !s.shut && !s.isLate(now) {
		return false
	}
	s.claimed = true
	return true
}

// isLate needs s.mu.
func (s *socket) isLate(now time.Time) bool { return !s.readBy.IsZero() && now.After(s.readBy) }

// stayAlone notes that the socket has a goroutine of its own.
func (s *socket) stayAlone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alone = true
	poke(&s.free)
}

// claimSoon claims a socket, for which it waits until then, and has it read even if nothing was heard. One that was greeted a
// moment ago may not be taken over yet: it is claimed from the beginning.
func (s *socket) claimSoon(until time.Time) bool {
	for {
		s.mu.Lock()
		if s.shut || s.alone || s.taken.Load() && s.fd < 0 {
			s.mu.Unlock()
			return false
		}
		if !s.claimed {
			s.claimed, s.drained = true, false
			s.mu.Unlock()
			return true
		}
		free := make(chan struct{}, 1)
		s.free = free
		s.mu.Unlock()
		if await(free, until, "claim") != nil {
			return false
		}
	}
}

// release gives the claim back, unless there is more to do: something was heard meanwhile, or nothing was in time.
func (s *socket) release(now time.Time) (done, late bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.drained || s.shut:
		return false, false
	case s.isLate(now):
		return false, true
	}
	s.claimed = false
	poke(&s.free)
	return true, false
}

// Close ends the connection. Whoever reads hears of it; who has claimed it closes the file, by let.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return net.ErrClosed
	}
	s.shut = true
	if !s.taken.Load() {
		poke(&s.free)
		return s.tcp.Close()
	}
	poke(&s.data)
	poke(&s.room)
	return os.NewSyscallError("shutdown", unix.Shutdown(s.fd, unix.SHUT_RDWR)) // the poller hears of it
}

// let closes the file of a socket that was taken over, at its end.
func (s *socket) let() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
		poke(&s.free)
	}
}

// SetReadDeadline is that of net.Conn. The poller looks whether it has passed, once a second.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.taken.Load() {
		return s.tcp.SetReadDeadline(t)
	}
	s.readBy = t
	poke(&s.data)
	return nil
}

// SetWriteDeadline is that of net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.shut:
		return net.ErrClosed
	case !s.taken.Load():
		return s.tcp.SetWriteDeadline(t)
	}
	s.writeBy = t
	poke(&s.room)
	return nil
}

// SetKeepAliveConfig is for the time before it is taken over.
func (s *socket) SetKeepAliveConfig(c net.KeepAliveConfig) error { return s.tcp.SetKeepAliveConfig(c) }

// SetDeadline sets both.
func (s *socket) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// LocalAddr is ours.
func (s *socket) LocalAddr() net.Addr { return s.local }

// RemoteAddr is the peer's.
func (s *socket) RemoteAddr() net.Addr { return s.remote }
