//go:build !linux

package sse

import "net"

// boundKernel bounds the send buffer. The rest has no portable name.
func boundKernel(conn net.Conn) error {
	if c, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		return c.SetWriteBuffer(64 << 10)
	}
	return nil
}

// BoundUnsent has no portable name.
func BoundUnsent(net.Conn) error { return nil }
