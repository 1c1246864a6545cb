package mqttin

import (
	"net"

	"golang.org/x/sys/unix"
)

// setWriteBuffer bounds what the kernel takes before the peer reads.
func setWriteBuffer(nc net.Conn, bytes int) error {
	s, ok := nc.(*socket)
	if !ok {
		return nc.(*net.TCPConn).SetWriteBuffer(bytes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.taken.Load() {
		return s.tcp.SetWriteBuffer(bytes)
	}
	return unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, bytes)
}
