package redisbus

import (
	"context"
	"errors"
	testflag "flag" // flag is a name of the package
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func TestMain(m *testing.M) {
	// The suite waits more than it works: as many checks at a time as there are cores would mostly do nothing.
	testflag.Parse()
	if err := testflag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	// The library's own: where dials failed it tries once a second, until it sees that its pool was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

const patience = 30 * time.Second

// soak skips what takes long or kills servers again and again.
func soak(t *testing.T) {
	t.Helper()
	if os.Getenv("FLEETCAST_SOAK") == "" {
		t.Skip("set FLEETCAST_SOAK=1 to run this")
	}
}

// server is a Redis server of a test.
type server struct {
	port int
	dir  string
	args []string
	cmd  *exec.Cmd
}

func needRedis(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("redis-server is not installed")
		}
		t.Skip("redis-server is not installed")
	}
	return path
}

func freePort(t testing.TB) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		if port < 50000 { // a cluster's own port is 10,000 above
			return port
		}
	}
}

func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{port: freePort(t), dir: t.TempDir(), args: args}
	t.Cleanup(func() { s.kill() })
	s.start(t)
	return s
}

func (s *server) start(t testing.TB) {
	t.Helper()
	args := append([]string{
		"--port", fmt.Sprint(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--loglevel", "warning",
		"--logfile", filepath.Join(s.dir, "log"), "--repl-diskless-sync-delay", "0",
	}, s.args...)
	s.cmd = exec.Command(needRedis(t), args...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := s.client()
	defer func() { _ = c.Close() }()
	eventually(t, "server answers", func() error { return c.Ping(t.Context()).Err() })
}

func (s *server) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }
func (s *server) url() string  { return "redis://" + s.addr() }

func (s *server) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.addr(), MaxRetries: -1, DialerRetries: 1, Protocol: 2})
}

func (s *server) do(t testing.TB, args ...any) any {
	t.Helper()
	c := s.client()
	defer func() { _ = c.Close() }()
	got, err := c.Do(t.Context(), args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatalf("%v: %v", args, err)
	}
	return got
}

func (s *server) kill() { s.end(syscall.SIGKILL) }

// stop lets the server save what it is told to save.
func (s *server) stop() { s.end(syscall.SIGTERM) }

func (s *server) end(signal syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	_ = s.cmd.Process.Signal(signal)
	_ = s.cmd.Wait()
	s.cmd = nil
}

func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

var opened atomic.Int64

// open returns a bus with keys of its own.
func open(t testing.TB, url string, change ...func(*Options)) *Bus {
	t.Helper()
	o := Options{URL: url, Prefix: fmt.Sprintf("test%d", opened.Add(1)), Partitions: 1}
	for _, c := range change {
		c(&o)
	}
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// sameStore lets a bus share another's keys, as another process would.
func sameStore(b *Bus) func(*Options) {
	return func(o *Options) { o.Prefix, o.Partitions = b.opts.Prefix, b.opts.Partitions }
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	return ctx
}

func deviceN(n int) devices.DeviceID {
	id, err := devices.ParseDeviceID(fmt.Sprintf("device-%d", n))
	if err != nil {
		panic(err)
	}
	return id
}

// fleetIn returns a fleet of a partition.
func fleetIn(partition, partitions int) devices.FleetID {
	for i := 0; ; i++ {
		id, err := devices.ParseFleetID(fmt.Sprintf("fleet-%d", i))
		if err != nil {
			panic(err)
		}
		if id.Partition(partitions) == partition {
			return id
		}
	}
}

func entry(f devices.FleetID, n int) bus.Entry {
	return bus.Entry{
		Device: deviceN(n % 7), Fleet: f, Kind: bus.KindConnection,
		Connection: bus.Connection{Door: 1, Conn: uint64(n), Up: true},
	}
}

func change(f devices.FleetID, n int, version string) bus.Change {
	return bus.Change{
		Device: deviceN(n), Fleet: f, Frame: fmt.Appendf(nil, `{"id":"device-%d","v":%q}`, n, version),
		Record: fmt.Appendf(nil, "record %s of %d", version, n),
	}
}

func own(t testing.TB, b *Bus, p int) bus.Lease {
	t.Helper()
	l, err := b.Own(testContext(t), p)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func publish(t testing.TB, l bus.Lease, changes ...bus.Change) bus.Position {
	t.Helper()
	at, err := l.Publish(testContext(t), &bus.Flush{Time: 1, Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// view folds a feed.
type view struct {
	feed      bus.Feed
	at        bus.Position
	frames    map[devices.DeviceID]string
	snapshots int
	epochs    int
}

func watch(t testing.TB, b *Bus, p int) *view {
	t.Helper()
	f, err := b.Watch(testContext(t), p)
	if err != nil {
		t.Fatal(err)
	}
	v := &view{feed: f}
	v.next(t)
	return v
}

func (v *view) next(t testing.TB) {
	t.Helper()
	u, err := v.feed.Next(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	v.take(t, u)
}

func (v *view) take(t testing.TB, u bus.Update) {
	t.Helper()
	if s := u.Snapshot; s != nil {
		if v.at.Epoch != s.Position.Epoch {
			v.epochs++
		} else if s.Position.Offset < v.at.Offset {
			t.Fatalf("snapshot goes back from %+v to %+v", v.at, s.Position)
		}
		v.snapshots++
		v.at, v.frames = s.Position, map[devices.DeviceID]string{}
		for i := range s.Devices {
			v.frames[s.Devices[i].Device] = string(s.Devices[i].Frame)
		}
		return
	}
	b := u.Batch
	want := v.at.Offset
	if !b.IsBeat() {
		want++
	}
	if b.Position.Epoch != v.at.Epoch || b.Position.Offset != want {
		t.Fatalf("batch %+v after %+v without a snapshot", b.Position, v.at)
	}
	v.at = b.Position
	for i := range b.Changes {
		v.frames[b.Changes[i].Device] = string(b.Changes[i].Frame)
	}
}

func (v *view) until(t testing.TB, at bus.Position) {
	t.Helper()
	for v.at.Epoch != at.Epoch || v.at.Offset < at.Offset {
		v.next(t)
	}
}

func (v *view) mustHold(t testing.TB, n int, version string) {
	t.Helper()
	if got := v.frames[deviceN(n)]; !strings.Contains(got, fmt.Sprintf("%q", version)) {
		t.Fatalf("device %d is %s, want version %s", n, got, version)
	}
}
