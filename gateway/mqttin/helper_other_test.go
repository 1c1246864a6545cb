//go:build !linux

package mqttin

import "net"

// setWriteBuffer bounds what the kernel takes before the peer reads.
func setWriteBuffer(nc net.Conn, bytes int) error { return nc.(*net.TCPConn).SetWriteBuffer(bytes) }
