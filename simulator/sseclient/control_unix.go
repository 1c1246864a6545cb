//go:build unix

package sseclient

import (
	"fmt"
	"syscall"
)

// SmallReceiveBuffer is the Control of a slow reader's dialer. It must be set before connecting: a window that was offered
// is not taken back.
func SmallReceiveBuffer(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) {
		set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, slowReceiveBuffer)
	})
	if err == nil {
		err = set
	}
	if err != nil {
		return fmt.Errorf("set receive buffer: %w", err)
	}
	return nil
}
