package redisbus

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// proxy passes bytes to a server until it is told to swallow them: connections stay open, and nothing comes back.
type proxy struct {
	listener  net.Listener
	to        string
	blackHole atomic.Bool // nothing passes
	deaf      atomic.Bool // nothing comes back
	mu        sync.Mutex
	conns     map[net.Conn]struct{}
	wg        sync.WaitGroup
}

func startProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to, conns: make(map[net.Conn]struct{})}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) url() string { return "redis://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.conns[in], p.conns[out] = struct{}{}, struct{}{}
		p.mu.Unlock()
		p.wg.Go(func() { p.pass(in, out, true) })
		p.wg.Go(func() { p.pass(out, in, false) })
	}
}

func (p *proxy) pass(to, from net.Conn, back bool) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if p.blackHole.Load() || back && p.deaf.Load() {
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// cut ends every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

// quick makes the waits of a bus short.
func quick(o *Options) {
	o.LeaseTTL, o.CallTimeout, o.Silence = 600*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond
}

// owner publishes a device of its own about every 50 ms, as a bridge would: again with the same and newer content where
// it failed, and with a new lease where that was lost.
type owner struct {
	last    atomic.Int64 // the last version whose publish succeeded
	version atomic.Int64
	lost    atomic.Int64
}

func runOwner(t *testing.T, b *Bus, f devices.FleetID) *owner {
	t.Helper()
	o := &owner{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			l, err := b.Own(ctx, 0)
			if err != nil {
				continue
			}
			o.hold(ctx, l, f)
			release, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			_ = l.Release(release)
			done()
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return o
}

func (o *owner) hold(ctx context.Context, l bus.Lease, f devices.FleetID) {
	for pause(ctx, nil, 50*time.Millisecond) {
		v := o.version.Add(1)
		_, err := l.Publish(ctx, &bus.Flush{Time: 1, Changes: []bus.Change{change(f, 0, version(v))}})
		switch {
		case err == nil:
			o.last.Store(v)
		case errors.Is(err, bus.ErrLost):
			o.lost.Add(1)
			return
		}
	}
}

func version(v int64) string { return "v" + string(rune('a'+v%26)) + time.Duration(v).String() }

// waitFor waits until a publish succeeded that began now or later.
func (o *owner) waitFor(t *testing.T) int64 {
	t.Helper()
	from := o.version.Load() + 1
	eventually(t, "owner publishes", func() error {
		if o.last.Load() < from {
			return errors.New("not yet")
		}
		return nil
	})
	return o.last.Load()
}

// sees reads until the view has what the owner publishes now.
func (v *view) sees(t *testing.T, o *owner) {
	t.Helper()
	from := o.waitFor(t)
	for held := int64(0); held < from; {
		v.next(t)
		frame := v.frames[deviceN(0)]
		for n := from; n <= o.version.Load(); n++ {
			if strings.Contains(frame, `"`+version(n)+`"`) {
				held = n
			}
		}
	}
}

func door(b *Bus) func(ctx context.Context, e ...bus.Entry) error {
	id, seq := bus.NewDoorID(), uint64(0)
	return func(ctx context.Context, e ...bus.Entry) error {
		seq++
		return b.Append(ctx, bus.Append{Door: id, Seq: seq, Entries: e})
	}
}

func mustBeUnavailable(t *testing.T, err error) {
	t.Helper()
	if devices.KindOf(err) != devices.Unavailable {
		t.Fatalf("error is %v, want one of kind unavailable", err)
	}
}

func TestAStoreThatIsDownAtTheStartIsWaitedFor(t *testing.T) {
	s := startServer(t)
	s.kill()
	b := open(t, s.url(), quick, func(o *Options) { o.Partitions = 0 })
	if b.Partitions() != DefaultPartitions {
		t.Fatalf("%d partitions", b.Partitions())
	}
	mustBeUnavailable(t, b.Healthy(t.Context()))
	f := fleetIn(0, b.Partitions())
	mustBeUnavailable(t, door(b)(t.Context(), entry(f, 1)))
	feed, err := b.Watch(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	s.start(t)
	l := own(t, b, 0)
	at := publish(t, l, change(f, 1, "a"))
	v := &view{feed: feed}
	v.until(t, at)
	v.mustHold(t, 1, "a")
	eventually(t, "healthy", func() error { return b.Healthy(t.Context()) })
}

func TestAStoreWithAnotherNumberOfPartitionsIsRefused(t *testing.T) {
	s := startServer(t)
	b := open(t, s.url(), func(o *Options) { o.Partitions = 4 })
	_, err := Open(t.Context(), Options{URL: s.url(), Prefix: b.opts.Prefix, Partitions: 5})
	if devices.KindOf(err) != devices.Conflict {
		t.Fatalf("opening with another number gives %v", err)
	}
	same := open(t, s.url(), func(o *Options) { o.Prefix, o.Partitions = b.opts.Prefix, 0 })
	if same.Partitions() != 4 {
		t.Fatalf("%d partitions, want the store's 4", same.Partitions())
	}
	// One that could not ask at its start finds out at its first operation, and stays away from the data.
	port := s.port
	s.kill()
	late := open(t, s.url(), func(o *Options) { o.Partitions = 5 })
	s.start(t)
	s.do(t, "HSET", configKey(late.opts.Prefix), "partitions", 4)
	if err := door(late)(t.Context(), entry(fleetIn(0, 5), 1)); devices.KindOf(err) != devices.Conflict {
		t.Fatalf("an append with another number gives %v, port %d", err, port)
	}
	if err := late.Healthy(t.Context()); devices.KindOf(err) != devices.Conflict {
		t.Fatalf("healthy with another number: %v", err)
	}
}

// restart checks that a server that is stopped and started keeps the epoch, for the owner that lives on, for edges, and
// for a next owner after a handover.
func restart(t *testing.T, args ...string) {
	s := startServer(t, args...)
	// The lease must not lapse because the machine does other things: that would rightly move the partition.
	patient := func(o *Options) { o.LeaseTTL = 5 * time.Second }
	b := open(t, s.url(), quick, patient)
	other := open(t, s.url(), quick, patient, sameStore(b))
	f := fleetIn(0, 1)
	o := runOwner(t, b, f)
	o.waitFor(t)
	v := watch(t, other, 0)
	v.sees(t, o)
	epoch, offset := v.at.Epoch, v.at.Offset
	// Another process waits for the partition all the time, and must not get it.
	waiting, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if l, err := other.Own(waiting, 0); err == nil {
			t.Error("the partition moved though its owner lives")
			_ = l.Release(t.Context())
		}
	})
	for range 3 {
		s.stop()
		mustBeUnavailable(t, door(b)(t.Context(), entry(f, 1)))
		s.start(t)
		v.sees(t, o)
		if v.at.Epoch != epoch || v.at.Offset <= offset {
			t.Fatalf("position is %+v after a clean restart, was %x/%d", v.at, epoch, offset)
		}
	}
	cancel()
	wg.Wait()
	if n := o.lost.Load(); n != 0 {
		t.Fatalf("the owner lost its lease %d times", n)
	}
}

func TestACleanRestartResetsNobody(t *testing.T) {
	t.Run("with RDB", func(t *testing.T) { restart(t, "--save", "3600 1") })
	t.Run("with AOF", func(t *testing.T) { restart(t, "--appendonly", "yes") })
}

func TestACleanRestartBetweenTwoOwnersResetsNobody(t *testing.T) {
	s := startServer(t, "--save", "3600 1")
	b := open(t, s.url(), quick)
	l := own(t, b, 0)
	before := publish(t, l, change(fleetIn(0, 1), 1, "a"))
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.stop()
	s.start(t)
	after := publish(t, own(t, b, 0), change(fleetIn(0, 1), 1, "b"))
	if after.Epoch != before.Epoch || after.Offset != before.Offset+1 {
		t.Fatalf("position is %+v, was %+v", after, before)
	}
}

func TestAnOwnerAndAServerThatBothDieEndTheEpoch(t *testing.T) {
	s := startServer(t, "--appendonly", "yes")
	b := open(t, s.url(), quick)
	next := open(t, s.url(), quick, sameStore(b))
	l := own(t, b, 0)
	before := publish(t, l, change(fleetIn(0, 1), 1, "a"))
	s.kill()
	if err := b.Close(); err != nil { // it cannot hand over
		t.Fatal(err)
	}
	s.start(t)
	after := publish(t, own(t, next, 0), change(fleetIn(0, 1), 1, "b"))
	if after.Epoch == before.Epoch {
		t.Fatal("the epoch is the same though nobody knows what was lost")
	}
}

func TestAnOwnerThatDiesAloneKeepsTheEpoch(t *testing.T) {
	s := startServer(t)
	way := startProxy(t, s.addr())
	b := open(t, way.url(), quick)
	next := open(t, s.url(), quick, sameStore(b))
	f := fleetIn(0, 1)
	l := own(t, b, 0)
	before := publish(t, l, change(f, 1, "a"))
	way.blackHole.Store(true)
	began := time.Now()
	l2 := own(t, next, 0)
	t.Logf("the lease moved in %v with a ttl of %v", time.Since(began).Round(time.Millisecond), b.opts.LeaseTTL)
	after := publish(t, l2, change(f, 1, "b"))
	if after.Epoch != before.Epoch || after.Offset != before.Offset+1 {
		t.Fatalf("position is %+v, was %+v", after, before)
	}
	// The old one comes back and can do nothing.
	way.blackHole.Store(false)
	way.cut()
	eventually(t, "the old owner is told", func() error {
		_, err := l.Publish(t.Context(), &bus.Flush{Time: 1, Changes: []bus.Change{change(f, 1, "old")}})
		if !errors.Is(err, bus.ErrLost) {
			return errors.New("publish of the old owner is not refused as lost")
		}
		return nil
	})
	v := watch(t, next, 0)
	v.mustHold(t, 1, "b")
}

func TestALapsedLeaseIsItsOwnersFirst(t *testing.T) {
	s := startServer(t)
	b := open(t, s.url())
	next := open(t, s.url(), sameStore(b))
	l := own(t, b, 0)
	s.do(t, "DEL", b.keys[0].lease)
	_, verdict, err := next.acquire(t.Context(), 0, "next", false)
	if err != nil || verdict == "own" {
		t.Fatalf("the first try of another gives %q, %v", verdict, err)
	}
	publish(t, l, change(fleetIn(0, 1), 1, "a"))
	if _, verdict, err = next.acquire(t.Context(), 0, "next", true); err != nil || verdict != "held" {
		t.Fatalf("after the owner came back another gets %q, %v", verdict, err)
	}
}

func TestAStoreThatWentBackBeginsANewEpoch(t *testing.T) {
	s := startServer(t, "--save", "3600 1")
	b := open(t, s.url(), quick)
	f := fleetIn(0, 1)
	l := own(t, b, 0)
	publish(t, l, change(f, 1, "a"))
	v := watch(t, b, 0)
	s.do(t, "SAVE")
	lost := publish(t, l, change(f, 1, "lost"), change(f, 2, "lost"))
	v.until(t, lost)
	s.kill() // and what was acknowledged since the SAVE is gone
	s.start(t)
	eventually(t, "the owner finds it", func() error {
		_, err := l.Publish(t.Context(), &bus.Flush{Time: 1, Changes: []bus.Change{change(f, 1, "b")}})
		if !errors.Is(err, bus.ErrLost) {
			return errors.New("publish goes on")
		}
		return nil
	})
	at := publish(t, own(t, b, 0), change(f, 1, "c"))
	if at.Epoch == lost.Epoch {
		t.Fatal("the epoch is the same")
	}
	v.until(t, at)
	v.mustHold(t, 1, "c")
	if _, held := v.frames[deviceN(2)]; held {
		t.Fatal("the edge holds what the store has lost")
	}
}

func TestAnEdgeTellsAStoreThatWentBack(t *testing.T) {
	s := startServer(t, "--save", "3600 1")
	b := open(t, s.url(), quick)
	edge := open(t, s.url(), quick, sameStore(b))
	f := fleetIn(0, 1)
	l := own(t, b, 0)
	publish(t, l, change(f, 1, "a"))
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.do(t, "SAVE") // with the handover in it
	l = own(t, b, 0)
	lost := publish(t, l, change(f, 1, "lost"))
	v := watch(t, edge, 0)
	v.until(t, lost)
	s.kill()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	for v.at.Epoch == lost.Epoch {
		v.next(t)
	}
	v.mustHold(t, 1, "a")
}

func TestABlackHoleIsNoSilentGap(t *testing.T) {
	s := startServer(t)
	way := startProxy(t, s.addr())
	b := open(t, s.url(), quick)
	edge := open(t, way.url(), quick, sameStore(b))
	f := fleetIn(0, 1)
	o := runOwner(t, b, f)
	o.waitFor(t)
	v := watch(t, edge, 0)
	v.sees(t, o)
	way.blackHole.Store(true)
	began := time.Now()
	mustBeUnavailable(t, door(edge)(t.Context(), entry(f, 1)))
	t.Logf("an append into the hole took %v", time.Since(began).Round(time.Millisecond))
	mustBeUnavailable(t, edge.Healthy(t.Context()))
	o.waitFor(t)
	way.blackHole.Store(false)
	began = time.Now()
	v.sees(t, o)
	t.Logf("the edge was current after %v; snapshots %d", time.Since(began).Round(time.Millisecond), v.snapshots)
	if v.epochs != 1 {
		t.Fatalf("%d epochs", v.epochs)
	}
	if n := edge.Stats().Counts["subscription_silent"] + edge.Stats().Counts["subscription_error"]; n == 0 {
		t.Fatal("the dead path was not noticed")
	}
}

func TestAnAppendWhoseAnswerIsLostIsKeptOnce(t *testing.T) {
	s := startServer(t)
	way := startProxy(t, s.addr())
	b := open(t, way.url(), quick, func(o *Options) { o.CallTimeout = 10 * time.Second })
	f := fleetIn(0, 1)
	if err := door(b)(t.Context(), entry(f, 0)); err != nil { // the server knows the script from here on
		t.Fatal(err)
	}
	way.deaf.Store(true) // the server takes the call, and its answer is lost
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = door(b)(t.Context(), entry(f, 1), entry(f, 2)) })
	eventually(t, "the call is repeated", func() error {
		if b.Stats().Counts["retries"] == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	if n := s.do(t, "XLEN", b.keys[0].inlet); n != int64(2) {
		t.Fatalf("%v chunks are kept, want 2", n)
	}
	way.deaf.Store(false)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	got, err := own(t, b, 0).Read(t.Context(), 10)
	if err != nil || len(got) != 3 {
		t.Fatalf("%d entries are kept, want 3; %v", len(got), err)
	}
}

func TestAPublishWhoseAnswerIsLostIsSettled(t *testing.T) {
	s := startServer(t)
	b := open(t, s.url(), quick)
	f := fleetIn(0, 1)
	l := own(t, b, 0)
	v := watch(t, b, 0)
	publish(t, l, change(f, 1, "a"))
	s.do(t, "CLIENT", "PAUSE", 100_000, "WRITE")
	_, err := l.Publish(t.Context(), &bus.Flush{Time: 1, Changes: []bus.Change{change(f, 1, "b")}})
	mustBeUnavailable(t, err)
	s.do(t, "CLIENT", "UNPAUSE") // whether it was carried out, who knows
	at := publish(t, l, change(f, 1, "c"))
	v.until(t, at)
	v.mustHold(t, 1, "c")
	if v.epochs != 1 || b.Stats().Counts["fences"] == 0 {
		t.Fatalf("%d epochs, %d fences", v.epochs, b.Stats().Counts["fences"])
	}
}

func TestAReplicaTakesNothing(t *testing.T) {
	s := startServer(t)
	b := open(t, s.url(), quick)
	if err := b.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.do(t, "REPLICAOF", "127.0.0.1", 1)
	mustBeUnavailable(t, door(b)(t.Context(), entry(fleetIn(0, 1), 1)))
	eventually(t, "unhealthy", func() error {
		if b.Healthy(t.Context()) == nil {
			return errors.New("still healthy")
		}
		return nil
	})
	s.do(t, "REPLICAOF", "NO", "ONE")
	if err := door(b)(t.Context(), entry(fleetIn(0, 1), 1)); err != nil {
		t.Fatal(err)
	}
}

func TestOutOfMemoryDoorsWaitAndOwnersGoOn(t *testing.T) {
	s := startServer(t)
	b := open(t, s.url(), quick)
	f := fleetIn(0, 1)
	d := door(b)
	if err := d(t.Context(), entry(f, 1)); err != nil {
		t.Fatal(err)
	}
	s.do(t, "CONFIG", "SET", "maxmemory", "1000")
	mustBeUnavailable(t, d(t.Context(), entry(f, 2)))
	l := own(t, b, 0)
	got, err := l.Read(t.Context(), 10)
	if err != nil || len(got) != 1 {
		t.Fatalf("read %d: %v", len(got), err)
	}
	if _, err := l.Publish(t.Context(), &bus.Flush{Time: 1, Consumed: got[0].ID, Changes: []bus.Change{change(f, 1, "a")}}); err != nil {
		t.Fatal(err)
	}
	if n := s.do(t, "XLEN", b.keys[0].inlet); n != int64(0) {
		t.Fatalf("the inlet holds %v", n)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, own(t, b, 0), change(f, 1, "b"))
	mustBeUnavailable(t, b.Healthy(t.Context()))
	s.do(t, "CONFIG", "SET", "maxmemory", "0")
	if err := d(t.Context(), entry(f, 3)); err != nil {
		t.Fatal(err)
	}
}

func TestAnInletThatWentBackIsReadAgain(t *testing.T) {
	s := startServer(t, "--save", "3600 1")
	b := open(t, s.url(), quick)
	f, d := fleetIn(0, 1), door(b)
	l := own(t, b, 0)
	publish(t, l, change(f, 1, "a"))
	s.do(t, "SAVE")
	if err := d(t.Context(), entry(f, 1), entry(f, 2)); err != nil {
		t.Fatal(err)
	}
	got, err := l.Read(t.Context(), 10)
	if err != nil || len(got) != 2 {
		t.Fatal(len(got), err)
	}
	s.kill()
	s.start(t)
	if err := errors.Join(d(t.Context(), entry(f, 3), entry(f, 4)), d(t.Context(), entry(f, 5))); err != nil { // ids 1 to 3
		t.Fatal(err)
	}
	_, err = l.Publish(t.Context(), &bus.Flush{Time: 1, Consumed: got[1].ID})
	if !errors.Is(err, bus.ErrLost) {
		t.Fatalf("consuming entries that the store has lost gives %v", err)
	}
	got, err = own(t, b, 0).Read(t.Context(), 10)
	if err != nil || len(got) != 3 || got[0].Connection.Conn != 3 {
		t.Fatalf("read %+v, %v", got, err)
	}
}

// A publish that a server took and showed, and then lost with its answer, has used its offset: no viewer may meet that
// offset with another meaning.
func TestAnOffsetThatMayHaveBeenShownIsNotUsedAgain(t *testing.T) {
	s := startServer(t, "--save", "3600 1")
	way := startProxy(t, s.addr())
	b := open(t, way.url(), quick)
	edge := open(t, s.url(), quick, sameStore(b))
	f := fleetIn(0, 1)
	l := own(t, b, 0)
	known := publish(t, l, change(f, 1, "a"))
	v := watch(t, edge, 0)
	s.do(t, "SAVE")
	way.deaf.Store(true) // the server hears us and we do not hear it
	_, err := l.Publish(t.Context(), &bus.Flush{Time: 1, Changes: []bus.Change{change(f, 1, "b"), change(f, 2, "b")}})
	mustBeUnavailable(t, err)
	v.until(t, bus.Position{Epoch: known.Epoch, Offset: known.Offset + 1})
	v.mustHold(t, 1, "b")
	v.feed.Close() // an edge that lives would tell the store, and end the epoch
	s.kill()
	s.start(t)
	way.deaf.Store(false)
	way.cut()
	var at bus.Position
	eventually(t, "publish succeeds", func() (err error) {
		at, err = l.Publish(t.Context(), &bus.Flush{Time: 1, Changes: []bus.Change{change(f, 1, "c"), change(f, 2, "c"), change(f, 3, "c")}})
		return err
	})
	if at.Epoch != known.Epoch || at.Offset != known.Offset+2 {
		t.Fatalf("position is %+v after %+v, and one more was shown", at, known)
	}
	late := watch(t, edge, 0)
	late.until(t, at)
	late.mustHold(t, 3, "c")
}
