package mqttin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// outer is a real Mosquitto, the external broker. It keeps its sessions on disk.
type outer struct {
	t       testing.TB
	program string
	address string
	conf    string
	cmd     *exec.Cmd
}

// startOuter runs Mosquitto until the test ends. extra are lines of its configuration.
func startOuter(t testing.TB, extra ...string) *outer {
	t.Helper()
	o := prepareOuter(t, extra...)
	o.start()
	return o
}

func prepareOuter(t testing.TB, extra ...string) *outer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &outer{t: t, program: mosquitto(t), address: l.Addr().String()}
	_ = l.Close()
	_, port, _ := net.SplitHostPort(o.address)
	dir := t.TempDir()
	lines := append([]string{
		"listener " + port + " 127.0.0.1", "persistence true", "persistence_location " + dir + "/", "user root",
		"autosave_interval 1800", "max_queued_messages 0", "set_tcp_nodelay true",
	}, extra...)
	if len(extra) == 0 {
		lines = append(lines, "allow_anonymous true")
	}
	o.conf = filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(o.conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.stop(syscall.SIGKILL) })
	return o
}

func mosquitto(t testing.TB) string {
	t.Helper()
	for _, path := range []string{"/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"} { // not in everybody's path
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return program(t, "mosquitto")
}

func (o *outer) start() {
	o.t.Helper()
	o.cmd = exec.Command(o.program, "-c", o.conf)
	var out bytes.Buffer
	o.cmd.Stderr = &out
	if err := o.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	eventually(o.t, "mosquitto listens", func() bool {
		nc, err := net.Dial("tcp", o.address)
		if err != nil {
			return false
		}
		return nc.Close() == nil
	})
}

// stop ends the process. SIGTERM lets it write its sessions down.
func (o *outer) stop(signal syscall.Signal) {
	if o.cmd == nil || o.cmd.Process == nil {
		return
	}
	_ = o.cmd.Process.Signal(signal)
	_ = o.cmd.Wait()
	o.cmd = nil
}

func (o *outer) publish(args ...string) {
	o.t.Helper()
	host, port, _ := net.SplitHostPort(o.address)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args = append([]string{"-h", host, "-p", port, "-V", "mqttv5"}, args...)
	if out, err := exec.CommandContext(ctx, program(o.t, "mosquitto_pub"), args...).CombinedOutput(); err != nil {
		o.t.Fatalf("mosquitto_pub %q: %v\n%s", args, err, out)
	}
}

// say publishes {"n":from} to {"n":to-1} on a topic with QoS 1.
func (o *outer) say(topic string, from, to int) {
	o.t.Helper()
	var lines strings.Builder
	for n := from; n < to; n++ {
		fmt.Fprintf(&lines, "{\"n\":%d}\n", n)
	}
	host, port, _ := net.SplitHostPort(o.address)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(o.t, "mosquitto_pub"), "-h", host, "-p", port, "-q", "1", "-l", "-t", topic)
	cmd.Stdin = strings.NewReader(lines.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("mosquitto_pub: %v\n%s", err, out)
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// door is an upstream that runs.
type door struct {
	*Upstream
	inlet *fakeInlet
	log   *lines
	stop  func() error
}

func openDoor(t testing.TB, o UpstreamOptions) *door {
	t.Helper()
	d := &door{inlet: new(fakeInlet), log: new(lines)}
	if o.Inlet == nil {
		o.Inlet = d.inlet
	}
	o.Logger = slog.New(slog.NewTextHandler(d.log, nil))
	if o.RetryFirst == 0 {
		o.RetryFirst, o.RetryMost = 10*time.Millisecond, 100*time.Millisecond
	}
	var err error
	if d.Upstream, err = NewUpstream(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	d.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		_ = d.stop()
		if t.Failed() {
			t.Logf("log of %s:\n%s", o.ClientID, d.log)
		}
	})
	return d
}

func (d *door) ready(t testing.TB) {
	t.Helper()
	eventually(t, "the door is ready", func() bool { return d.Ready() == nil })
}

func (d *door) event(r Reason) uint64 { return d.Stats().Events[r] }

// relay forwards connections to an address and can stop forwarding without closing anything.
type relay struct {
	net.Listener
	to string

	mu    sync.Mutex
	hole  bool
	open  int // directions that are still copied
	conns []net.Conn
	wg    sync.WaitGroup
}

func startRelay(t testing.TB, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, to: to}
	r.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			r.join(nc)
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.cut()
		r.wg.Wait()
	})
	return r
}

func (r *relay) join(nc net.Conn) {
	other, err := net.Dial("tcp", r.to)
	if err != nil {
		_ = nc.Close()
		return
	}
	r.mu.Lock()
	r.conns = append(r.conns, nc, other)
	r.open += 2
	r.mu.Unlock()
	r.wg.Go(func() { r.copy(nc, other) })
	r.wg.Go(func() { r.copy(other, nc) })
}

// isIdle tells whether both ends of every connection have closed it.
func (r *relay) isIdle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open == 0
}

func (r *relay) copy(to, from net.Conn) {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.open--
	}()
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		r.mu.Lock()
		hole := r.hole
		r.mu.Unlock()
		if err != nil {
			if tcp, ok := to.(*net.TCPConn); ok && !hole {
				_ = tcp.CloseWrite()
			}
			return
		}
		if hole {
			continue
		}
		if _, err := io.Copy(to, bytes.NewReader(b[:n])); err != nil {
			_ = from.Close()
			return
		}
	}
}

// swallow makes the relay a black hole, or ends that; what is connected stays so.
func (r *relay) swallow(hole bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hole = hole
}

// cut closes all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

// count tells how often each value of n is in the inlets.
func count(inlets ...*fakeInlet) map[int]int {
	seen := map[int]int{}
	for _, f := range inlets {
		for _, n := range f.metric("n") {
			seen[int(n)]++
		}
	}
	return seen
}

func hasAll(seen map[int]int, from, to int) bool {
	for n := from; n < to; n++ {
		if seen[n] == 0 {
			return false
		}
	}
	return true
}

var _ bus.Inlet = (*fakeInlet)(nil)
