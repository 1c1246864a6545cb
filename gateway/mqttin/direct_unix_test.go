//go:build unix

package mqttin

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The committer writes acknowledgements as long as there is room in a socket, and goroutines do from there on: none is lost
// or out of order where one gives way to the other, and nobody else waits meanwhile. The buffers are smaller than the
// acknowledgements, and no smaller: with the least that the kernel gives, a window may open by some bytes a second.
func TestAcknowledgementsGoOnWhereTheSocketWasFull(t *testing.T) {
	const messages = 12_000
	h := start(t, Limits{Unacked: messages, Write: patience})
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) { // later the window is open already
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10) }), err)
	}}
	nc, err := dialer.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	r := &raw{Conn: nc, t: t, version: 4}
	r.send(connectPacket(connectOptions{version: 4, id: "full", keepalive: 60}))
	r.read()
	for _, c := range h.guard.list(false) {
		if err := setWriteBuffer(c.raw, 1); err != nil {
			t.Fatal(err)
		}
	}
	var all []byte
	for i := range messages {
		all = append(all, publishPacket(4, topicOne, `{"n":1}`, 1, uint16(i+1), false)...)
	}
	r.send(all)
	h.well(t)
	for i := range messages {
		r.expect(0x40, uint16(i+1))
	}
	r.ping()
}
