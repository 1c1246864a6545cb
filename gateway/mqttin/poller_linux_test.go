package mqttin

import (
	"fmt"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// More connections have something at once than one goroutine processes alone, and none of them has one of its own.
func TestWatchedConnectionsNeedNoGoroutineEach(t *testing.T) {
	const connections = manyReady*2 + 50
	h := start(t, Limits{PerAddress: connections + 10, UnidentifiedPerAddress: connections})
	before := runtime.NumGoroutine()
	var all []*raw
	for i := range connections {
		r, _ := connect(t, h, connectOptions{id: fmt.Sprintf("d%d", i)})
		all = append(all, r)
	}
	eventually(t, "the end of the goroutines that greeted", func() bool { return runtime.NumGoroutine() < before+20 })
	for i, r := range all {
		r.publish(fmt.Sprintf("fleets/north/devices/d%d/telemetry", i), `{"n":1}`, 1, 9)
	}
	for _, r := range all {
		r.expect(0x40, 9)
	}
	if got := len(h.inlet.metric("n")); got != connections {
		t.Errorf("%d readings of %d", got, connections)
	}
	eventually(t, "the end of those who helped", func() bool { return runtime.NumGoroutine() < before+20 })
	for _, r := range all {
		_ = r.Close()
	}
	eventually(t, "the ends", func() bool { return h.Stats().Connections == 0 })
	if n := len(h.poller.conns); n != 0 {
		t.Errorf("%d connections are watched still", n)
	}
}

// Whatever a connection waits for without having said so, the others go on.
func TestWhoLooksIsRelievedWhereAConnectionTakesLong(t *testing.T) {
	held, asked := make(chan struct{}), make(chan struct{}, 1)
	h := startWith(t, Options{Replies: func(devices.DeviceID, devices.FleetID, devices.CommandID) ReplyVerdict {
		asked <- struct{}{}
		<-held
		return ReplyExpected
	}})
	r, _ := connect(t, h, connectOptions{id: "slow"})
	r.ping() // it is watched
	r.publish("fleets/north/devices/slow/replies/"+anID, `{"status":"done"}`, 1, 3)
	<-asked
	for range 3 {
		h.well(t)
	}
	close(held)
	r.expect(0x40, 3)
	r.ping()
	h.well(t)
}

// Tools that publish one message and end do so one after the other under one client id.
func TestWhatAClientSaidLastIsHeardBeforeItsNextConnection(t *testing.T) {
	h := start(t, Limits{})
	const times = flapBurst - 1
	for i := range times {
		r, _ := connect(t, h, connectOptions{id: "again"})
		r.publish(topicOne, fmt.Sprintf(`{"n":%d}`, i), 0, 0)
	}
	eventually(t, "all of it", func() bool { return len(h.inlet.metric("n")) == times })
	for i, n := range h.inlet.metric("n") {
		if n != float64(i) {
			t.Fatalf("heard %v", h.inlet.metric("n"))
		}
	}
}

func TestAPacketMayComeInPieces(t *testing.T) {
	h := start(t, Limits{})
	r, _ := connect(t, h, connectOptions{id: "drip"})
	filler := make([]byte, 3*readBuffer)
	for i := range filler {
		filler[i] = 'x'
	}
	for i, payload := range []string{`{"n":1}`, fmt.Sprintf(`{"n":2,"note":"%s"}`, filler)} {
		b := publishPacket(4, topicOne, payload, 1, uint16(i+1), false)
		for len(b) > 0 {
			n := min(len(b), 1+len(b)/9)
			r.send(b[:n])
			b = b[n:]
			if len(b)%4 == 0 {
				h.well(t)
			}
		}
		r.expect(0x40, uint16(i+1))
	}
	if got := h.inlet.metric("n"); len(got) != 2 {
		t.Errorf("heard %v", got)
	}
	r.ping()
}

// The same as over a pipe, with a socket that is watched: its writer waits for room, and nobody else does.
func TestAWatchedPeerThatNeverReadsIsCutOff(t *testing.T) {
	h := start(t, Limits{Write: 50 * time.Millisecond})
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
	}}
	nc, err := dialer.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	r := &raw{Conn: nc, t: t, version: 4}
	r.send(connectPacket(connectOptions{version: 4, id: "deaf", keepalive: 60}))
	r.read()
	r.ping()
	for _, c := range h.guard.list(false) {
		if err := setWriteBuffer(c.raw, 1); err != nil {
			t.Fatal(err)
		}
	}
	packet := publishPacket(4, topicOne, `{}`, 1, 1, false)
	for range 20_000 { // no matter where it ends
		if _, err := r.Write(packet); err != nil {
			break
		}
	}
	h.counted(t, WriteStalled)
	h.well(t)
	eventually(t, "the end", func() bool { return h.sessionOf("deaf") == nil })
	eventually(t, "its event", func() bool { return len(h.inlet.of(bus.KindConnection, "truck-1")) == 2 })
}
