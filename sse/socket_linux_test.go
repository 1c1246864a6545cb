package sse

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// mustBeBounded asks the kernel what it may hold of each stream.
func mustBeBounded(t *testing.T, h *Handler) {
	t.Helper()
	for _, s := range h.streams.Members() {
		raw, err := s.sink.(*connSink).conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for name, option := range map[string]struct{ level, name, want int }{
			"SO_SNDBUF":         {unix.SOL_SOCKET, unix.SO_SNDBUF, 2 * sendBuffer}, // the kernel doubles it for its own part
			"TCP_NOTSENT_LOWAT": {unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSent},
		} {
			var got int
			var failed error
			if err := raw.Control(func(fd uintptr) { got, failed = unix.GetsockoptInt(int(fd), option.level, option.name) }); err != nil || failed != nil {
				t.Fatal(err, failed)
			}
			if got != option.want {
				t.Errorf("%s is %d, want %d", name, got, option.want)
			}
		}
	}
}
