package sse

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// What the kernel may hold of a stream. A position only helps a viewer that is behind if it is behind here, and not in
// a queue that nobody can conflate: with the kernel's own limits 3.9 MB of old state were seen to wait for a reader
// that stood; with these it is 16 KiB beside what the reader's own kernel has taken.
const (
	sendBuffer = 64 << 10 // SO_SNDBUF: in flight and waiting. Limits a stream to 64 KiB a round trip
	notSent    = 16 << 10 // TCP_NOTSENT_LOWAT: of these, waiting; the socket takes more when half of it went
)

// boundKernel bounds the kernel's part of a stream. A host that vanished without a word is found by the kernel's own time for
// what is never acknowledged, some 15 minutes, or sooner where its buffer fills and nothing moves for the stall time. There is no
// TCP_USER_TIMEOUT: it also ends a connection whose reader has little room and opens its window by less than a segment at
// a time, though bytes move all the while.
func boundKernel(conn net.Conn) error {
	return control(conn, func(fd int) error {
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer),
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSent),
		)
	})
}

// BoundUnsent bounds what waits in the kernel to be sent over a connection that several requests share, as HTTP/2 has
// it: TCP_NOTSENT_LOWAT. What is in flight stays the kernel's to choose, or one slow stream would slow the others.
func BoundUnsent(conn net.Conn) error {
	return control(conn, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSent)
	})
}

// control sets options of a connection's socket.
func control(conn net.Conn, set func(fd int) error) error {
	if inner, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = inner.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil // not a socket: a test's pipe
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return fmt.Errorf("reach socket: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = set(int(fd)) })
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("set socket options: %w", err)
	}
	return nil
}
