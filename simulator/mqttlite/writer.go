package mqttlite

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of writing.
const (
	// maxUnsent bounds what a client holds because its socket is full: the rest of one publish and a few acks. A broker
	// that makes it longer is not reading, and the connection is closed.
	maxUnsent = 8 << 10
	// blockingWriteTimeout bounds a write on a connection that has no file descriptor of ours (TLS, a test's pipe).
	blockingWriteTimeout = 5 * time.Second
)

// ErrBusy says that the socket's send buffer is full and that nothing of the message was taken: the broker is not
// reading. An open-loop sender counts it and goes on with the next device.
var ErrBusy = errors.New("send buffer is full")

// writer writes whole packets without ever waiting where the connection is a plain socket: one broker that stops reading
// one connection must not hold up the few goroutines that send for thousands. Packets of several goroutines do not mix.
type writer struct {
	conn  net.Conn
	raw   syscall.RawConn // nil: conn is written to with a deadline
	below syscall.RawConn // of the socket below TLS, where there is one: it tells whether a write would wait

	mu     sync.Mutex // guards what follows; held across system calls that do not block
	unsent []byte     // the tail of a packet that the socket took in part, and acks behind it
	out    []byte     // what attempt is to write
	n      int        // what it wrote
	err    error
	try    func(fd uintptr) bool
}

func (w *writer) init(conn net.Conn) error {
	w.conn = conn
	w.try = w.attempt
	var err error
	if c, ok := conn.(syscall.Conn); ok {
		w.raw, err = c.SyscallConn()
	} else if secure, ok := conn.(*tls.Conn); ok {
		if c, ok := secure.NetConn().(syscall.Conn); ok {
			w.below, err = c.SyscallConn()
		}
	}
	if err != nil {
		return fmt.Errorf("open raw connection: %w", err)
	}
	return nil
}

// hasRoom asks the kernel whether the socket below TLS takes more: a record that is written in part cannot be taken back,
// and a connection that nobody reads would hold up everybody whose turn is next.
func (w *writer) hasRoom() bool {
	room := true
	_ = w.below.Control(func(fd uintptr) { // fails where the connection is closed, which the write then says
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if n, err := unix.Poll(poll, 0); err == nil {
			room = n > 0
		}
	})
	return room
}

// write sends packet or returns ErrBusy. With must set it is queued behind what is unsent instead.
func (w *writer) write(packet []byte, must bool) error {
	if w.raw == nil {
		if !must && w.below != nil && !w.hasRoom() {
			return ErrBusy
		}
		return w.writeBlocking(packet)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.flushLocked(); err != nil {
		return err
	}
	n := 0
	if len(w.unsent) == 0 {
		var err error
		if n, err = w.sendLocked(packet); err != nil {
			return err
		}
	}
	switch {
	case n == len(packet):
		return nil
	case n == 0 && !must:
		return ErrBusy
	case len(w.unsent)+len(packet)-n > max(maxUnsent, len(packet)):
		return fmt.Errorf("write packet: %w", ErrTooLarge)
	}
	w.unsent = append(w.unsent, packet[n:]...)
	return nil
}

func (w *writer) flush() error {
	if w.raw == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flushLocked()
}

func (w *writer) flushLocked() error {
	if len(w.unsent) == 0 {
		return nil
	}
	n, err := w.sendLocked(w.unsent)
	if n == len(w.unsent) {
		w.unsent = nil
	} else {
		w.unsent = w.unsent[:copy(w.unsent, w.unsent[n:])]
	}
	return err
}

func (w *writer) sendLocked(b []byte) (int, error) {
	w.out, w.n, w.err = b, 0, nil
	err := w.raw.Write(w.try)
	w.out = nil
	if err == nil {
		err = w.err
	}
	if err != nil {
		return w.n, fmt.Errorf("write packet: %w", err)
	}
	return w.n, nil
}

// attempt is called with the descriptor. It always answers true, since false would mean to wait until there is room.
func (w *writer) attempt(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), w.out)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
		case err != nil:
			w.err = err
		default:
			w.n = n
		}
		return true
	}
}

func (w *writer) writeBlocking(packet []byte) error {
	err := w.conn.SetWriteDeadline(time.Now().Add(blockingWriteTimeout))
	if err == nil {
		_, err = w.conn.Write(packet) // concurrent calls do not mix: that is net.Conn's contract
	}
	if err != nil {
		return fmt.Errorf("write packet: %w", err)
	}
	return nil
}
