package diskbus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

var (
	// ErrInUse says that another process has the directory open.
	ErrInUse = errors.New("another process has the data directory open")
	// ErrDamaged says that a file of the directory is not what was written. Nothing is dropped silently: the error names the file.
	ErrDamaged = errors.New("damaged")
)

// Bus is a bus that survives its process. It implements bus.Bus.
type Bus struct {
	memory *bus.Memory
	writer *writer
	lock   *os.File

	queue   chan *request
	imaging chan chan []*bus.Image // questions for what is held, see Backup
	compact chan chan error        // wishes for a snapshot, see Compact
	spares  chan []byte            // buffers of flushes, for use again
	closing chan struct{}          // closed when nothing more is taken
	stopped chan struct{}          // closed when the writer is gone: what it has not answered it never will
	once    sync.Once
	closed  error // of the one Close

	failure atomic.Pointer[devices.Error] // why the log takes nothing now, or nil
}

var _ bus.Bus = (*Bus)(nil)

// Open reads what the directory has, and starts the writer of the log; Close ends it. An error names the file and says
// what to do; it wraps ErrInUse or ErrDamaged, or is of kind devices.Invalid where the options do not fit.
func Open(o Options) (*Bus, error) { return open(o, realEnvironment()) }

func open(o Options, env environment) (*Bus, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	lock, err := lockDir(o.Dir + string(os.PathSeparator) + lockName)
	if err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", o.Dir, err)
	}
	if err := refuseHalfRestored(o.Dir); err != nil {
		return nil, errors.Join(fmt.Errorf("open data directory %s: %w", o.Dir, err), lock.Close())
	}
	b := &Bus{
		lock:    lock,
		queue:   make(chan *request, maxQueued),
		imaging: make(chan chan []*bus.Image),
		compact: make(chan chan error),
		spares:  make(chan []byte, 1),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
	}
	b.writer = newWriter(b, o, env)
	if err := b.recover(); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("read data directory %s: %w", o.Dir, err)
	}
	b.writer.start()
	return b, nil
}

// recover makes the memory out of the directory and gives the writer a new segment: an old one is never written again.
func (b *Bus) recover() error {
	w := b.writer
	r, err := readDirectory(w.options, w.env, b)
	if err != nil {
		return err
	}
	b.memory = r.memory
	return w.begin(r)
}

// Partitions implements bus.Inlet.
func (b *Bus) Partitions() int { return b.memory.Partitions() }

// Append implements bus.Inlet. It returns when the entries are in the log, as durable as Options.Fsync says. Where the
// log cannot be written the error is of kind devices.Unavailable. When ctx ends first, the entries may be kept all the
// same, and repeating the Append finds that out.
func (b *Bus) Append(ctx context.Context, a bus.Append) error { return b.memory.Append(ctx, a) }

// Own implements bus.Owner. The lease's Publish returns when the flush is in the log in the same sense as Append's
// entries, and before anybody sees it. Once it has begun it does not end with its ctx: how it ends is always known.
func (b *Bus) Own(ctx context.Context, partition int) (bus.Lease, error) {
	return b.memory.Own(ctx, partition)
}

// Watch implements bus.Watcher.
func (b *Bus) Watch(ctx context.Context, partition int) (bus.Feed, error) {
	return b.memory.Watch(ctx, partition)
}

// Trail implements bus.Trails.
func (b *Bus) Trail(ctx context.Context, fleet devices.FleetID, device devices.DeviceID) (bus.Trail, error) {
	return b.memory.Trail(ctx, fleet, device)
}

// FollowCommands implements bus.Commands. What it tells is on disk.
func (b *Bus) FollowCommands(ctx context.Context, partition int) (bus.CommandFeed, error) {
	return b.memory.FollowCommands(ctx, partition)
}

// Healthy tells why the bus refuses to keep anything now, or nil. It is for /readyz of doors and bridges. It tries again
// by itself about once a second.
func (b *Bus) Healthy() error {
	if err := b.failure.Load(); err != nil {
		return err
	}
	return nil
}

// Stats returns what the bus holds and counts.
func (b *Bus) Stats() Stats {
	return Stats{MemoryStats: b.memory.Stats(), LogStats: b.writer.counters.read()}
}

// Close takes nothing more, ends every lease and feed, writes what was taken, marks the log as closed in order, and
// waits for all that was started. It waits for the disk.
func (b *Bus) Close() error {
	b.once.Do(func() {
		close(b.closing)
		b.closed = b.writer.wait()
		b.closed = errors.Join(b.closed, b.memory.Close(), unlockDir(b.lock))
	})
	return b.closed
}

// request is an Append or a Publish on its way to the writer and back.
type request struct {
	pending *bus.Pending
	shares  [][]byte // of an Append
	flush   []byte   // of a Publish
	done    chan error
}

// journal is the Log that the memory hands everything to. It is a type of its own so that a Bus has no such methods.
type journal struct{ b *Bus }

var _ bus.Log = journal{}

// Append implements bus.Log. The entries are encoded here, in the door's goroutine, so that the one writer copies only.
func (j journal) Append(ctx context.Context, p *bus.Pending) error {
	r := &request{pending: p, shares: encodeShares(p.Shares), done: make(chan error, 1)}
	size := 0
	for _, s := range r.shares {
		size += len(s)
	}
	if size > maxRequestBytes {
		return devices.Errorf(devices.TooLarge, "append", "is larger than the log takes at once")
	}
	if err := j.b.enqueue(ctx, r); err != nil {
		return err
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-j.b.stopped:
		return r.answer()
	}
}

// Publish implements bus.Log. It does not give up with ctx once it is queued: an owner must know whether its batch is
// out, and the flush's slices are the caller's.
func (j journal) Publish(ctx context.Context, p *bus.Pending) error {
	r := &request{pending: p, flush: encodeFlush(j.b.spareBuffer(), p), done: make(chan error, 1)}
	if len(r.flush) > maxRequestBytes {
		return devices.Errorf(devices.TooLarge, "flush", "is larger than the log takes at once")
	}
	if err := j.b.enqueue(ctx, r); err != nil {
		return err
	}
	select {
	case err := <-r.done:
		j.b.spare(r.flush) // the writer has copied it
		return err
	case <-j.b.stopped:
		return r.answer()
	}
}

// spareBuffer is a buffer for a flush: one of the size of the last ones, which is a fifth of all that the process
// allocates.
func (b *Bus) spareBuffer() []byte {
	select {
	case buf := <-b.spares:
		return buf
	default:
		return nil
	}
}

// spare keeps a buffer for the next flush.
func (b *Bus) spare(buf []byte) {
	if cap(buf) > keepFlush {
		return
	}
	select {
	case b.spares <- buf[:0]:
	default:
	}
}

// answer is for after the writer's end.
func (r *request) answer() error {
	select {
	case err := <-r.done:
		return err
	default:
		return bus.ErrClosed
	}
}

func (b *Bus) enqueue(ctx context.Context, r *request) error {
	select {
	case <-b.closing:
		return bus.ErrClosed
	default:
	}
	select {
	case b.queue <- r:
		return nil
	case <-b.closing:
		return bus.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}
