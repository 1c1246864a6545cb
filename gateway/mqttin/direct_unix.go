//go:build unix

package mqttin

import (
	"net"

	"golang.org/x/sys/unix"
)

// directWriter writes to sockets without waiting for them. It is for one goroutine.
type directWriter struct {
	try  func(fd uintptr) bool // made once: it escapes
	left []byte
	n    int
}

// write returns how much of b the socket took.
func (d *directWriter) write(to net.Conn, b []byte) int {
	if direct, ok := to.(interface{ writeNow([]byte) int }); ok {
		return direct.writeNow(b)
	}
	tcp, ok := to.(*net.TCPConn)
	if !ok {
		return 0
	}
	socket, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	if d.try == nil {
		d.try = d.tryOnce
	}
	d.left, d.n = b, 0
	_ = socket.Write(d.try) // where the connection is gone the next Write says so
	d.left = nil
	return d.n
}

// tryOnce never asks to be called again when the socket is ready: that is for conn.Write.
func (d *directWriter) tryOnce(fd uintptr) bool {
	if n, err := unix.Write(int(fd), d.left); err == nil {
		d.n = n
	}
	return true
}
