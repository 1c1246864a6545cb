//go:build !unix

package mqttin

import "net"

// directWriter writes to sockets without waiting for them, where the system has a way to.
type directWriter struct{}

// write returns how much of b the socket took.
func (*directWriter) write(net.Conn, []byte) int { return 0 }
