package diskbus

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// writer is the one goroutine that writes the log. Being the only one that admits and applies, it keeps the order of the
// log, of the state and of what feeds show the same. A group is what came while the group before it was written.
type writer struct {
	bus     *Bus
	options *Options
	env     environment

	// the goroutine's own
	segment  *segment
	epochs   []bus.Epoch
	logBytes int64 // in the segments that no snapshot stands for
	step     int64 // of log that makes a snapshot due
	due      int64 // logBytes at which the next snapshot is tried
	empty    int64 // the size of the segment while no group is in it
	retry    time.Time
	suspect  bool // what the segment holds beyond its size is unknown, or a sync failed: begin another one
	carry    *request
	group    []*request
	buf      []byte
	scratch  []byte

	snapshotting *snapshotting // nil: none is being written
	wishes       []chan error  // for one that is not begun yet

	syncer   syncer
	counters counters
	running  sync.WaitGroup
	killed   atomic.Bool // tests leave the directory as a crash does
	ended    error
}

// retryEvery is how often a log that fails is tried, and how often EverySecond syncs.
const retryEvery = time.Second

// probeBytes is what must fit before a full disk is called usable again. It is far above what the last block of a file
// may happen to have left.
const probeBytes = 64 << 10

// keepBuffer is the largest buffer that is kept for the next group.
const keepBuffer = 8 << 20

// keepFlush is the largest buffer of a flush that is kept for the next one.
const keepFlush = 1 << 20

func newWriter(b *Bus, o Options, env environment) *writer {
	return &writer{bus: b, options: &o, env: env, step: o.LogBytes, due: o.LogBytes}
}

// begin takes what was read and opens the segment after it. What a process that was killed has written is synced first:
// nobody will write to that segment again, and so nobody would sync it.
func (w *writer) begin(r *recovered) error {
	for i := range r.memory.Partitions() {
		w.epochs = append(w.epochs, r.memory.Position(i).Epoch)
	}
	if r.lastNumber > 0 {
		if err := syncPath(segmentPath(w.options.Dir, r.lastNumber)); err != nil {
			return fmt.Errorf("sync log: %w", err)
		}
	}
	s, err := createSegment(w.options, w.env, header{number: r.lastNumber + 1, before: r.lastSize, settled: true, epochs: w.epochs})
	if err != nil {
		return err
	}
	w.use(s)
	w.setLogBytes(r.logBytes + s.size)
	if r.broken {
		if r.stateSize, err = writeSnapshot(w.options.Dir, w.env, s.number, w.images()); err != nil {
			return errors.Join(err, s.f.Close())
		}
		w.remove(s.number)
		w.setLogBytes(s.size)
	}
	w.counters.snapshotBytes.Store(r.stateSize)
	w.step = max(w.options.LogBytes, 2*r.stateSize)
	w.due = w.step
	if r.segments >= maxSegments {
		w.due = 0
	}
	return nil
}

func (w *writer) use(s *segment) {
	w.segment, w.empty = s, s.size
	w.syncer.use(s.f)
}

func (w *writer) setLogBytes(n int64) {
	w.logBytes = n
	w.counters.logBytes.Store(n)
}

func (w *writer) start() {
	w.running.Go(w.run)
	if w.options.Fsync == EverySecond {
		w.running.Go(w.syncEverySecond)
	}
}

// wait returns when both goroutines and the last snapshot have ended.
func (w *writer) wait() error {
	w.running.Wait()
	return w.ended
}

func (w *writer) syncEverySecond() {
	t := time.NewTicker(retryEvery)
	defer t.Stop()
	for {
		select {
		case <-w.bus.closing:
			return
		case <-t.C:
			synced, err := w.syncer.sync()
			if synced {
				w.counters.syncs.Add(1)
			}
			if err != nil {
				w.counters.syncsFailed.Add(1)
				w.options.Logger.Error("syncing the log failed", "error", err)
			}
		}
	}
}

func (w *writer) run() {
	defer close(w.bus.stopped)
	t := time.NewTicker(retryEvery)
	defer t.Stop()
	for {
		w.snapshotIfDue()
		select {
		case r := <-w.bus.queue:
			w.gather(r)
		case wish := <-w.bus.compact:
			w.wishes, w.retry = append(w.wishes, wish), time.Time{}
		case answer := <-w.bus.imaging:
			answer <- w.images()
		case <-t.C:
			w.heal()
		case size := <-w.snapshotting.result():
			w.snapshotEnded(size)
		case <-w.bus.closing:
			w.ended = w.end()
			return
		}
		for w.carry != nil {
			r := w.carry
			w.carry = nil
			w.gather(r)
		}
	}
}

// end writes what was taken and marks the segment as closed in order.
func (w *writer) end() error {
	for {
		select {
		case r := <-w.bus.queue:
			w.carry = r
		default:
		}
		if w.carry == nil {
			break
		}
		r := w.carry
		w.carry = nil
		w.gather(r)
	}
	if w.snapshotting != nil {
		w.snapshotEnded(<-w.snapshotting.result())
	}
	defer w.segment.f.Close()
	if w.killed.Load() {
		return nil
	}
	if w.suspect || w.syncer.hasFailed() {
		return w.bus.Healthy()
	}
	w.buf = sealFrame(appendRecord(openFrame(w.buf), recordClosed, nil))
	if err := w.write(w.buf); err != nil {
		return fmt.Errorf("close log: %w", err)
	}
	if err := w.segment.f.Sync(); err != nil {
		return fmt.Errorf("close log: %w", err)
	}
	return nil
}

// gather makes a group of r and of what waits behind it, writes it, and shows it.
func (w *writer) gather(r *request) {
	w.buf = openFrame(w.buf)
	w.group = w.group[:0]
	for w.add(r) && len(w.buf) < maxGroupBytes {
		select {
		case r = <-w.bus.queue:
			continue
		default:
		}
		break
	}
	if len(w.group) == 0 {
		return
	}
	var err error
	if len(w.buf) > frameHeader { // a beat needs no log, and goes out while the disk is full
		err = w.commit(sealFrame(w.buf))
	}
	for _, r := range w.group {
		if err == nil {
			r.pending.Apply()
		} else {
			r.pending.Drop()
		}
		r.done <- err
	}
	clear(w.group)
	if cap(w.buf) > keepBuffer {
		w.buf, w.scratch = nil, nil
	}
}

// add admits a request and puts its record into the buffer. It returns false where the request has to wait for the group
// that it would be in.
func (w *writer) add(r *request) bool {
	switch err := r.pending.Admit(); {
	case errors.Is(err, bus.ErrPending):
		w.carry = r
		return false
	case err != nil:
		r.done <- err
		return true
	}
	w.group = append(w.group, r)
	if !r.pending.Moves() {
		return true
	}
	if r.flush != nil {
		w.buf = appendFlush(w.buf, r.pending, r.flush)
		return true
	}
	w.buf, w.scratch = appendAppend(w.buf, w.scratch, r.pending, r.shares)
	return true
}

// commit writes a group and says so where it cannot.
func (w *writer) commit(frame []byte) error {
	err := w.usable()
	if err == nil {
		err = w.write(frame)
	}
	if err == nil {
		w.recovered()
		return nil
	}
	w.counters.unfit.Add(uint64(len(w.group)))
	return w.failed(err)
}

var errLogFull = errors.New("the log is at its bound, since no snapshot could be written")

// usable gets a doubtful segment out of the way.
func (w *writer) usable() error {
	if w.suspect || w.syncer.hasFailed() {
		if err := w.renew(); err != nil {
			return err
		}
	}
	for w.logBytes >= maxLogSteps*w.step { // doors wait for a snapshot that is slower than they are, and no longer
		w.snapshotIfDue()
		if w.snapshotting == nil {
			return errLogFull
		}
		w.snapshotEnded(<-w.snapshotting.result())
	}
	return nil
}

// write appends a frame. Where it cannot, the segment is as before, or suspect: half a frame must not lie under the next.
func (w *writer) write(frame []byte) error {
	s := w.segment
	if _, err := s.f.WriteAt(frame, s.size); err != nil {
		w.counters.writesFailed.Add(1)
		if cut := s.f.Truncate(s.size); cut != nil {
			w.suspect = true
			err = errors.Join(err, cut)
		}
		return err
	}
	if w.options.Fsync == Always {
		if err := w.syncNow(); err != nil {
			return err
		}
	}
	s.size += int64(len(frame))
	w.setLogBytes(w.logBytes + int64(len(frame)))
	w.counters.groups.Add(1)
	w.counters.bytes.Add(uint64(len(frame)))
	w.syncer.touched()
	return nil
}

// syncNow does not try a failed sync again: the kernel may have forgotten by then which pages it has not written. The
// segment is given up, and what it should hold comes from memory.
func (w *writer) syncNow() error {
	w.counters.syncs.Add(1)
	err := w.segment.f.Sync()
	if err == nil {
		return nil
	}
	w.counters.syncsFailed.Add(1)
	w.suspect = true
	return errors.Join(err, w.segment.f.Truncate(w.segment.size))
}

// heal tries, once a second, whether a log that failed works again: nobody may be sending while the bus is not ready.
func (w *writer) heal() {
	if w.bus.failure.Load() == nil && !w.syncer.hasFailed() {
		return
	}
	if err := w.probe(); err != nil {
		_ = w.failed(err) // it is what Healthy says
		return
	}
	w.recovered()
}

// probe writes something that means nothing, and takes it away.
func (w *writer) probe() error {
	if err := w.usable(); err != nil {
		return err
	}
	s := w.segment
	frame := sealFrame(appendRecord(openFrame(nil), recordFiller, make([]byte, probeBytes)))
	_, err := s.f.WriteAt(frame, s.size)
	if err == nil && w.options.Fsync != Never {
		err = s.f.Sync() // there are file systems that find out only here that there is no room
		w.suspect = w.suspect || err != nil
	}
	if cut := s.f.Truncate(s.size); cut != nil {
		w.suspect = true
		err = errors.Join(err, cut)
	}
	return err
}

// failed makes an error of the file system one that a door understands, and remembers it.
func (w *writer) failed(err error) error {
	e := &devices.Error{Kind: devices.Unavailable, Detail: "the log cannot be written", Err: err}
	if w.bus.failure.Swap(e) == nil {
		w.options.Logger.Error("the log cannot be written: nothing is taken", "error", err)
	}
	return e
}

func (w *writer) recovered() {
	if w.bus.failure.Load() != nil && w.bus.failure.Swap(nil) != nil {
		w.options.Logger.Info("the log can be written again")
	}
}
