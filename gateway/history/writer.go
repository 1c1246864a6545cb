package history

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge"
	"github.com/fleetcast/fleetcast/devices"
)

// Defaults of Options.
const (
	DefaultRotate    = time.Hour
	DefaultFileBytes = 128 << 20
	DefaultKeep      = 30 * 24 * time.Hour
)

// Options of a Writer. Zero values stand for the defaults.
type Options struct {
	Dir       string
	Rotate    time.Duration // a file is closed at the latest so long after it began
	FileBytes int64         // or when it has so many bytes
	Keep      time.Duration // files whose last reading is older are deleted; negative: none are
	// Fleets are those that keep their readings for another time; false while nobody knows. nil: there are none.
	Fleets func() (kept Retention, ok bool)
	Logger *slog.Logger
}

// Writer appends to a file of each partition. Its methods may be called concurrently for different partitions.
type Writer struct {
	o   Options
	run string // of this process, so that no file of another is ever written to
	now func() time.Time

	mu    sync.Mutex
	parts map[int]*part

	sweeping sync.Mutex // one who deletes at a time; taken before mu
	sweeper  sweeper

	lines, bytes, files, removed, forgotten atomic.Uint64
}

// part is the open file of a partition. Keep is called by one goroutine a partition; the lock is for Close.
type part struct {
	mu    sync.Mutex
	file  *os.File
	began time.Time
	size  int64
	buf   []byte
}

var _ bridge.History = (*Writer)(nil)

// New makes a writer. It starts nothing and makes no file: the directory comes with the first reading.
func New(o Options) (*Writer, error) {
	if o.Dir == "" {
		return nil, devices.Errorf(devices.Invalid, "history-dir", "is missing")
	}
	if o.Rotate == 0 {
		o.Rotate = DefaultRotate
	}
	if o.FileBytes == 0 {
		o.FileBytes = DefaultFileBytes
	}
	if o.Keep == 0 {
		o.Keep = DefaultKeep
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Writer{o: o, run: rand.Text()[:8], now: time.Now, parts: map[int]*part{}}, nil
}

// Keep implements bridge.History: one write for all readings. Where it fails, a line that was written in part is cut off.
func (w *Writer) Keep(partition int, readings []bridge.Heard) error {
	now := w.now()
	p := w.part(partition)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := w.ready(p, partition, now); err != nil {
		return err
	}
	p.buf = p.buf[:0]
	for i := range readings {
		p.buf = appendLine(p.buf, partition, &readings[i])
	}
	if _, err := p.file.Write(p.buf); err != nil {
		// What is there of it goes; if it does not, a new file begins and readers skip the line that has no end.
		if cut := p.file.Truncate(p.size); cut != nil {
			err = errors.Join(err, cut, p.close())
		}
		return fmt.Errorf("write history: %w", err)
	}
	p.size += int64(len(p.buf))
	w.lines.Add(uint64(len(readings)))
	w.bytes.Add(uint64(len(p.buf)))
	return nil
}

// appendLine appends a reading. Its id is that of no other, in whatever file it stands.
func appendLine(dst []byte, partition int, h *bridge.Heard) []byte {
	dst = devices.AppendJSONString(append(dst, `{"device":`...), h.Device.String())
	dst = devices.AppendJSONString(append(dst, `,"fleet":`...), h.Fleet.String())
	dst = strconv.AppendInt(append(dst, `,"received":`...), h.Time, 10)
	dst = strconv.AppendInt(append(dst, `,"entry":"p`...), int64(partition), 10)
	dst = strconv.AppendUint(append(dst, '-'), uint64(h.ID), 10)
	dst = append(dst, '"')
	if h.Historical || h.Retained {
		dst = append(dst, `,"late":true`...)
	}
	return append(h.AppendMembers(dst), '}', '\n')
}

func (w *Writer) part(partition int) *part {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.parts[partition]
	if p == nil {
		p = &part{}
		w.parts[partition] = p
	}
	return p
}

// ready opens a file where there is none, or the one there has its time or its size.
func (w *Writer) ready(p *part, partition int, now time.Time) error {
	if p.file != nil && now.Sub(p.began) < w.o.Rotate && now.Compare(p.began) >= 0 && p.size < w.o.FileBytes {
		return nil
	}
	if err := p.close(); err != nil {
		w.o.Logger.Warn("a file of the history was not closed well", "error", err)
	}
	dir := filepath.Join(w.o.Dir, "p"+strconv.Itoa(partition))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make history directory: %w", err)
	}
	name := filepath.Join(dir, now.UTC().Format(timeInNames)+"-"+w.run+suffix)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // the directory is the operator's setting
	if err != nil {
		return fmt.Errorf("begin file of history: %w", err)
	}
	p.file, p.began, p.size = f, now, 0
	w.files.Add(1)
	return nil
}

// close syncs a file: what was written a while ago survives a loss of power.
func (p *part) close() error {
	if p.file == nil {
		return nil
	}
	err := errors.Join(p.file.Sync(), p.file.Close())
	p.file = nil
	return err
}

// Close closes the files. Keep opens new ones.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	for _, p := range w.parts {
		p.mu.Lock()
		err = errors.Join(err, p.close())
		p.mu.Unlock()
	}
	return err
}

// Stats are the counters of a Writer.
type Stats struct {
	Lines     uint64 // readings written
	Bytes     uint64
	Files     uint64 // begun
	Removed   uint64 // files deleted for their age
	Forgotten uint64 // readings deleted from files that have others, for the age that their fleet keeps
}

// Stats returns the counters.
func (w *Writer) Stats() Stats {
	return Stats{Lines: w.lines.Load(), Bytes: w.bytes.Load(), Files: w.files.Load(), Removed: w.removed.Load(), Forgotten: w.forgotten.Load()}
}
