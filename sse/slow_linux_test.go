package sse

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/hub"
)

// A fleet whose devices all change at every round, on a real hub.
type busyFleet struct {
	updates chan bus.Update
	at      bus.Position
	devices []devices.DeviceID
	fleet   devices.FleetID
}

const busyDevices = 100

func newBusyFleet(t *testing.T) *busyFleet {
	t.Helper()
	f := &busyFleet{updates: make(chan bus.Update, 1), at: bus.Position{Epoch: 1}}
	var err error
	if f.fleet, err = devices.ParseFleetID("north"); err != nil {
		t.Fatal(err)
	}
	for i := range busyDevices {
		id, err := devices.ParseDeviceID(fmt.Sprintf("truck-%d", i))
		if err != nil {
			t.Fatal(err)
		}
		f.devices = append(f.devices, id)
	}
	f.updates <- bus.Update{Snapshot: &bus.Snapshot{Position: f.at}}
	return f
}

// Watch implements bus.Watcher.
func (f *busyFleet) Watch(context.Context, int) (bus.Feed, error) { return f, nil }

// Next implements bus.Feed.
func (f *busyFleet) Next(ctx context.Context) (bus.Update, error) {
	select {
	case u := <-f.updates:
		return u, nil
	case <-ctx.Done():
		return bus.Update{}, ctx.Err()
	}
}

// Close implements bus.Feed.
func (f *busyFleet) Close() {}

// round changes every device; n is in every frame.
func (f *busyFleet) round(n int) {
	f.at.Offset++
	b := &bus.Batch{Position: f.at}
	for i, id := range f.devices {
		pad := strings.Repeat(strconv.Itoa(n*7919+i*104729), 30) // some 250 bytes
		frame := fmt.Appendf(nil, `{"id":%q,"fleet":"north","status":"online","received":%d,"metrics":{"pad":%q}}`, id, n, pad)
		b.Changes = append(b.Changes, bus.Change{Device: id, Fleet: f.fleet, Frame: frame})
	}
	f.updates <- bus.Update{Batch: b}
}

// startBusyFleet serves the fleet by a real hub until the test ends.
func startBusyFleet(t *testing.T) (*busyFleet, *hub.Hub, *Handler) {
	t.Helper()
	fleet := newBusyFleet(t)
	edge, err := hub.New(hub.Options{Bus: fleet, Partitions: 1, Window: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- edge.Run(ctx) }()
	h, err := New(Options{Hub: edge})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return fleet, edge, h
}

// pageOf is what a client shows: for each device the newest round, and the oldest of all.
type pageOf struct {
	round map[string]int
}

func (p *pageOf) read(line string) {
	data, ok := strings.CutPrefix(line, `data: {"id":"`)
	if !ok {
		return
	}
	id, rest, _ := strings.Cut(data, `"`)
	_, rest, _ = strings.Cut(rest, `"received":`)
	n, _, _ := strings.Cut(rest, ",")
	p.round[id], _ = strconv.Atoi(n)
}

func (p *pageOf) oldest() int {
	if len(p.round) < busyDevices {
		return 0
	}
	oldest := 1 << 30
	for _, n := range p.round {
		oldest = min(oldest, n)
	}
	return oldest
}

// dialSmall opens a stream from a socket whose own kernel buffers little, in segments as they are on Ethernet: in those of
// loopback, larger than the buffer, a window that closed opens again by the sender's probes only, seconds apart.
func dialSmall(t *testing.T, addr, request string) net.Conn {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var set error
		err := c.Control(func(fd uintptr) {
			set = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1400),
			)
		})
		return errors.Join(err, set)
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Some viewers read a hundredth of what the fleet says, others all of it. Those who are slow get on at their pace and are
// behind by what lies in their connection and one pass, however long that lasts; those who are fast have each round before
// the next is made, whatever the slow do; and nothing is kept for anybody.
func TestSlowViewersOnRealSocketsAreOnlyLate(t *testing.T) {
	const rounds, slowViewers, fastViewers, sip = 100, 3, 10, 300
	fleet, edge, h := startBusyFleet(t)
	addr := serve(t, h)

	var fast [fastViewers]atomic.Int64 // the round that each has whole
	for i := range fast {
		conn := dial(t, addr, get)
		if err := conn.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go func() {
			shown := &pageOf{round: map[string]int{}}
			for lines := bufio.NewScanner(conn.r); lines.Scan(); {
				shown.read(lines.Text())
				fast[i].Store(int64(shown.oldest()))
			}
		}()
	}
	var slow [slowViewers]net.Conn
	for i := range slow {
		slow[i] = dialSmall(t, addr, get)
	}
	eventually(t, "all are open", func() bool { return h.Stats().Opened == slowViewers+fastViewers })
	mustBeBounded(t, h)

	var taken [slowViewers]bytes.Buffer
	for n := 1; n <= rounds; n++ {
		fleet.round(n)
		eventually(t, fmt.Sprintf("the fast have round %d", n), func() bool {
			for i := range fast {
				if fast[i].Load() < int64(n) {
					return false
				}
			}
			return true
		})
		for i, conn := range slow { // in step with the rounds and not with the clock
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(&taken[i], conn, sip); err != nil {
				t.Fatalf("slow viewer %d makes no progress in round %d: %v", i, n, err)
			}
		}
	}
	if kept := edge.Stats().SliceBytes; kept > 4<<20 {
		t.Errorf("%d bytes of slices are kept", kept)
	}
	// What a slow viewer has to read until it is current: what lies in the connection (the kernels of both ends, and the
	// piece that is being written) and two passes over the fleet. A queue would be all rounds.
	fleetBytes := busyDevices * 350
	most := 256<<10 + 3*fleetBytes
	for i, conn := range slow {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		shown := &pageOf{round: map[string]int{}}
		r := bufio.NewReader(io.MultiReader(&taken[i], conn))
		read := 0
		for shown.oldest() < rounds {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("slow viewer %d: %v", i, err)
			}
			read += len(line)
			shown.read(line)
		}
		if late := read - rounds*sip; late > most || most > rounds*fleetBytes/5 {
			t.Errorf("slow viewer %d is current after %d bytes, of at most %d", i, late, most)
		}
	}
	if s := h.Stats(); s.Open != slowViewers+fastViewers {
		t.Errorf("somebody was cut: %+v", s)
	}
}

// A slow viewer that takes gzip is late by as many bytes, which hold more.
func TestASlowViewerThatTakesGzipIsCurrentInTheEnd(t *testing.T) {
	const rounds, sip = 60, 200
	fleet, _, h := startBusyFleet(t)
	conn := dialSmall(t, serve(t, h), getPacked)
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	head := &rawClient{conn, bufio.NewReaderSize(conn, 16)}
	head.until(t, "\r\n\r\n")
	var taken bytes.Buffer
	for n := 1; n <= rounds; n++ {
		fleet.round(n)
		if _, err := io.CopyN(&taken, head.r, sip); err != nil {
			t.Fatalf("no progress in round %d: %v", n, err)
		}
	}
	unzip, err := gzip.NewReader(io.MultiReader(&taken, head.r))
	if err != nil {
		t.Fatal(err)
	}
	shown := &pageOf{round: map[string]int{}}
	for lines := bufio.NewScanner(unzip); shown.oldest() < rounds; {
		if !lines.Scan() {
			t.Fatalf("it ends at round %d: %v", shown.oldest(), lines.Err())
		}
		shown.read(lines.Text())
	}
}

// A reader whose kernel has little room opens its window by less than a segment at a time, and the sender's kernel then
// counts the whole time as one in which nothing was acknowledged: with TCP_USER_TIMEOUT it ended such streams though bytes
// moved all the time.
func TestTheKernelDoesNotEndAStreamThatMovesSlowly(t *testing.T) {
	t.Parallel()
	const stall, portion = 2 * time.Second, 100
	fleet, edge, _ := startBusyFleet(t)
	h, err := New(Options{Hub: edge, Stall: stall})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var set error
		err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) })
		return errors.Join(err, set)
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", serve(t, h))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, get); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 20; n++ {
		fleet.round(n)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < 4*stall; {
		<-tick.C
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, conn, portion); err != nil {
			t.Fatalf("cut after %v: %v; %+v", time.Since(began), err, h.Stats())
		}
	}
}
