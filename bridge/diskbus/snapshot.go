package diskbus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// A snapshot is the state at the beginning of a segment; it stands for all segments before that one. It is written beside
// the writer, from slices that nobody changes, under a temporary name, and has its name only when it is whole and synced.

// snapshotFrame is about how much goes into one frame, and snapshotSync how much is written between two syncs: one sync
// at the end would hold up the log's for as long as all of it takes.
const (
	snapshotFrame = 1 << 20
	snapshotSync  = 16 << 20
)

// snapshotting is a snapshot that is being written.
type snapshotting struct {
	before int64 // the log that it makes superfluous
	done   chan snapshotResult
	wishes []chan error // of Compact
}

type snapshotResult struct {
	size int64
	err  error
}

// result is nil, and so never ready, where no snapshot is being written.
func (s *snapshotting) result() <-chan snapshotResult {
	if s == nil {
		return nil
	}
	return s.done
}

// snapshotIfDue begins a segment and has a snapshot written of what is before it. The writer stands still only for the
// copying of what the partitions hold.
func (w *writer) snapshotIfDue() {
	if w.snapshotting != nil || w.logBytes < w.due && len(w.wishes) == 0 || w.suspect || time.Now().Before(w.retry) {
		return
	}
	old, err := w.rotate()
	if err != nil {
		w.snapshotFailed(err)
		return
	}
	number, images := w.segment.number, w.images()
	running := &snapshotting{before: w.logBytes - w.segment.size, wishes: w.wishes, done: make(chan snapshotResult, 1)}
	w.snapshotting, w.wishes = running, nil
	w.running.Go(func() {
		size, err := w.replaceBefore(number, old, images)
		running.done <- snapshotResult{size: size, err: err}
	})
}

// rotate begins the next segment and returns the one before. Where nothing is in the present one since the last try, that
// one serves again and old is nil: snapshots that fail must not leave a file each.
func (w *writer) rotate() (old *segment, err error) {
	if w.segment.size == w.empty && w.segment.number > 1 {
		return nil, nil
	}
	next, err := w.nextSegment()
	if err != nil {
		return nil, err
	}
	old = w.segment
	w.use(next)
	w.setLogBytes(w.logBytes + next.size)
	return old, nil
}

func (w *writer) images() []*bus.Image {
	out := make([]*bus.Image, w.bus.memory.Partitions())
	for i := range out {
		out[i] = w.bus.memory.Image(i)
	}
	return out
}

// replaceBefore writes the snapshot and removes what it stands for.
func (w *writer) replaceBefore(number uint64, old *segment, images []*bus.Image) (int64, error) {
	if old != nil {
		w.finish(old)
	}
	size, err := writeSnapshot(w.options.Dir, w.env, number, images)
	if err != nil {
		return 0, err
	}
	w.remove(number)
	return size, nil
}

// finish closes a segment that was replaced. What the last second wrote must not wait for the snapshot.
func (w *writer) finish(old *segment) {
	defer old.f.Close()
	if w.options.Fsync == Never {
		return
	}
	if err := old.f.Sync(); err != nil {
		w.counters.syncsFailed.Add(1)
		w.options.Logger.Error("syncing the log failed", "error", err) // the snapshot has it all
	}
}

func (w *writer) snapshotEnded(r snapshotResult) {
	running := w.snapshotting
	w.snapshotting = nil
	for _, wish := range running.wishes {
		wish <- r.err
	}
	if r.err != nil {
		w.snapshotFailed(r.err)
		return
	}
	w.snapshotWritten(r.size)
	w.setLogBytes(w.logBytes - running.before)
}

func (w *writer) snapshotWritten(size int64) {
	w.counters.snapshots.Add(1)
	w.counters.snapshotBytes.Store(size)
	w.step = max(w.options.LogBytes, 2*size)
	w.due = w.step
}

// snapshotFailed puts the next try off by a part of a step, but not beyond the bound of the log.
func (w *writer) snapshotFailed(err error) {
	w.counters.snapshotsFailed.Add(1)
	w.options.Logger.Error("writing a snapshot failed", "error", err)
	w.due = min(w.logBytes+w.step/4, maxLogSteps*w.step)
	w.retry = time.Now().Add(retryEvery)
}

// renew begins anew from memory where the segment is suspect: another segment, and a snapshot that stands for all before
// it. It is not done beside the writer, since nothing can be kept before it is there.
func (w *writer) renew() error {
	if w.snapshotting != nil {
		w.snapshotEnded(<-w.snapshotting.result())
	}
	old := w.segment
	next, err := w.nextSegment()
	if err != nil {
		return err
	}
	size, err := writeSnapshot(w.options.Dir, w.env, next.number, w.images())
	if err != nil {
		return errors.Join(err, next.discard())
	}
	_ = old.f.Close()
	w.use(next)
	w.suspect = false
	w.snapshotWritten(size)
	w.setLogBytes(next.size)
	w.remove(next.number)
	return nil
}

// remove deletes what a snapshot stands for. Where it cannot, the next one tries again.
func (w *writer) remove(before uint64) {
	if err := removeBefore(w.options.Dir, before); err != nil {
		w.options.Logger.Error("removing old segments failed", "error", err)
	}
}

// nextSegment makes the segment after the present one, of which all that counts is synced with Always only.
func (w *writer) nextSegment() (*segment, error) {
	return createSegment(w.options, w.env, header{
		number: w.segment.number + 1, before: w.segment.size, settled: w.options.Fsync == Always, epochs: w.epochs,
	})
}

// snapshotWriter gathers records into frames.
type snapshotWriter struct {
	f        file
	at       int64
	unsynced int
	buf      []byte
	scratch  []byte
	err      error
}

func writeSnapshot(dir string, env environment, number uint64, images []*bus.Image) (int64, error) {
	path := statePath(dir, number)
	temp := path + tempSuffix
	f, err := env.create(temp)
	if err != nil {
		return 0, fmt.Errorf("write snapshot: %w", err)
	}
	size, err := writeImages(f, images)
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, fmt.Errorf("write snapshot: %w", errors.Join(err, os.Remove(temp)))
	}
	if err := os.Rename(temp, path); err != nil {
		return 0, fmt.Errorf("write snapshot: %w", err)
	}
	return size, syncDir(dir)
}

func writeImages(f file, images []*bus.Image) (int64, error) {
	w := &snapshotWriter{f: f, buf: openFrame(nil)}
	for _, image := range images {
		w.partition(image)
	}
	w.record(recordEnd, binary.AppendUvarint(nil, uint64(len(images))))
	w.flush()
	if w.err != nil {
		return 0, w.err
	}
	return w.at, f.Sync()
}

func (w *snapshotWriter) partition(i *bus.Image) {
	b := binary.AppendUvarint(nil, uint64(i.Partition))
	b = binary.LittleEndian.AppendUint64(b, uint64(i.Position.Epoch))
	b = binary.AppendUvarint(b, i.Position.Offset)
	b = binary.AppendVarint(b, i.Time)
	b = binary.AppendUvarint(b, i.Floor.Tombstones)
	b = binary.AppendUvarint(b, i.Floor.Events)
	b = binary.AppendUvarint(b, uint64(i.Consumed))
	b = binary.AppendUvarint(b, uint64(i.Last))
	b = binary.AppendVarint(b, i.LastTime)
	b = binary.AppendUvarint(b, uint64(len(i.Devices)))
	b = binary.AppendUvarint(b, uint64(len(i.Events)))
	b = binary.AppendUvarint(b, uint64(len(i.Inlet)))
	b = binary.AppendUvarint(b, uint64(len(i.Doors)))
	w.record(recordPartition, b)
	if i.Config > 0 {
		w.record(recordConfig, binary.AppendUvarint(binary.AppendUvarint(nil, uint64(i.Partition)), i.Config))
	}
	for j := range i.Commands {
		w.record(recordCommands, encodeCommands(i.Partition, i.Commands[j:j+1]))
	}
	for j := range i.Devices {
		w.device(&i.Devices[j])
	}
	for j := range i.Events {
		e := &i.Events[j]
		w.record(recordEvent, bus.AppendBatch(nil, &bus.Batch{
			Partition: i.Partition, Position: bus.Position{Offset: e.Offset}, Events: []bus.Event{e.Event},
		}))
	}
	for j := range i.Trails {
		w.trail(&i.Trails[j])
	}
	for j := range i.Inlet { // the ids follow from what was consumed
		b := binary.AppendVarint(w.scratch[:0], i.Inlet[j].Time)
		w.scratch = bus.AppendEntry(b, &i.Inlet[j])
		w.record(recordEntry, w.scratch)
	}
	for _, d := range i.Doors {
		w.record(recordDoor, binary.AppendUvarint(binary.LittleEndian.AppendUint64(nil, uint64(d.Door)), d.Seq))
	}
}

func (w *snapshotWriter) device(d *bus.HeldDevice) {
	b := binary.AppendVarint(w.scratch[:0], d.RemovedAt)
	b = appendBytes(b, d.Record)
	w.scratch = bus.AppendVersioned(b, &bus.Versioned{Change: d.Change, Offset: d.Offset})
	w.record(recordDevice, w.scratch)
}

func (w *snapshotWriter) trail(t *bus.HeldTrail) {
	b := appendBytes(w.scratch[:0], []byte(t.Device.String()))
	b = appendBytes(b, []byte(t.Fleet.String()))
	b = binary.AppendVarint(b, t.At)
	for _, block := range t.Blocks {
		b = appendBytes(b, block)
	}
	w.scratch = b
	w.record(recordTrail, b)
}

func (w *snapshotWriter) record(kind byte, body []byte) {
	if w.err != nil {
		return
	}
	w.buf = appendRecord(w.buf, kind, body)
	if len(w.buf) >= snapshotFrame {
		w.flush()
	}
}

func (w *snapshotWriter) flush() {
	if w.err != nil || len(w.buf) == frameHeader {
		return
	}
	if _, w.err = w.f.WriteAt(sealFrame(w.buf), w.at); w.err != nil {
		return
	}
	w.at += int64(len(w.buf))
	w.unsynced += len(w.buf)
	w.buf = openFrame(w.buf)
	if w.unsynced >= snapshotSync {
		w.unsynced = 0
		w.err = w.f.Sync()
	}
}
