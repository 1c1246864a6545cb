package diskbus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// Copied says what a backup holds.
type Copied struct {
	Partitions int
	Config     uint64 // the highest revision of what people configure that an owner had applied
	Unread     int    // entries of the inlet that no owner had consumed
	Devices    int
	Tombstones int
	Trails     int
	Commands   int
	Events     int
}

// Count counts what images hold.
func Count(images []*bus.Image) Copied {
	c := Copied{Partitions: len(images)}
	for _, i := range images {
		c.Config = max(c.Config, i.Config)
		c.Unread += len(i.Inlet)
		c.Trails += len(i.Trails)
		c.Commands += len(i.Commands)
		c.Events += len(i.Events)
		for j := range i.Devices {
			if i.Devices[j].Removed() {
				c.Tombstones++
			} else {
				c.Devices++
			}
		}
	}
	return c
}

// Backup writes what all partitions hold at one point of the log, in the format of a snapshot, which has checksums. The
// bus goes on meanwhile: the writer stands still for the copying only, about 25 ms with 100,000 devices. What people
// configure must be copied after it: a bus waits at its start for what it had applied of that.
func (b *Bus) Backup(ctx context.Context, to io.Writer) (Copied, error) {
	images, err := b.Images(ctx)
	if err != nil {
		return Copied{}, err
	}
	if _, err := writeImages(&streamed{w: to}, images); err != nil {
		return Copied{}, fmt.Errorf("write backup: %w", err)
	}
	return Count(images), nil
}

// Images are what all partitions hold at one point of the log. Their bytes are the bus's and must not be changed.
func (b *Bus) Images(ctx context.Context) ([]*bus.Image, error) {
	answer := make(chan []*bus.Image, 1)
	select {
	case b.imaging <- answer:
		return <-answer, nil // the writer answers at once, where it took the question
	case <-b.stopped:
		return nil, bus.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Compact writes a snapshot of all that is held and deletes the log before it: what was removed is then in no file any more. It
// returns when that is done. Nobody waits for it but who asked.
func (b *Bus) Compact(ctx context.Context) error {
	wish := make(chan error, 1)
	select {
	case b.compact <- wish:
	case <-b.stopped:
		return bus.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-wish:
		return err
	case <-b.stopped:
		return bus.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// streamed is a file that can only be written from its beginning to its end, as a snapshot is.
type streamed struct {
	w  io.Writer
	at int64
}

// WriteAt writes what follows on what was written.
func (s *streamed) WriteAt(b []byte, at int64) (int, error) {
	if at != s.at {
		return 0, errors.New("a stream is written in order")
	}
	n, err := s.w.Write(b)
	s.at += int64(n)
	return n, err
}

// Close leaves the stream to whose it is.
func (*streamed) Close() error { return nil }

// Sync is the reader's to do.
func (*streamed) Sync() error { return nil }

// Truncate is refused.
func (*streamed) Truncate(int64) error { return errors.New("a stream cannot be cut") }

// restoringName is a file that stands in a directory while it is being filled. A bus does not open there.
const restoringName = "restoring"

// BeginRestore marks an empty directory, which is made where it is missing, as one that is being filled. Nothing opens it
// until EndRestore: half a backup must not be taken for a whole one.
func BeginRestore(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read data directory: %w", err)
	}
	if len(entries) > 0 {
		return devices.Errorf(devices.Conflict, "data directory", "%s is not empty: a backup is restored into an empty one", dir)
	}
	if err := os.WriteFile(filepath.Join(dir, restoringName), nil, 0o600); err != nil {
		return fmt.Errorf("mark data directory: %w", err)
	}
	return syncDir(dir)
}

// EndRestore makes the directory one that can be opened.
func EndRestore(dir string) error {
	if err := os.Remove(filepath.Join(dir, restoringName)); err != nil {
		return fmt.Errorf("unmark data directory: %w", err)
	}
	return syncDir(dir)
}

// Restore makes a log of a backup in a directory that BeginRestore marked, and reads it through. Every partition begins a
// new epoch: viewers may have seen what came after the backup, so what they come back with is answered by a reset.
func Restore(dir string, from io.Reader, partitions int) (Copied, error) {
	path := statePath(dir, 1)
	if err := writeSynced(path, from); err != nil {
		return Copied{}, fmt.Errorf("restore log: %w", err)
	}
	m, err := bus.NewMemory(bus.MemoryOptions{Partitions: partitions})
	if err != nil {
		return Copied{}, err
	}
	defer func() { _ = m.Close() }()
	if _, err := readSnapshot(path, m); err != nil {
		return Copied{}, fmt.Errorf("read backup: %w", err)
	}
	h := header{number: 1, settled: true}
	images := make([]*bus.Image, partitions)
	for i := range images {
		images[i] = m.Image(i)
		h.epochs = append(h.epochs, bus.NewEpoch())
	}
	s, err := createSegment(&Options{Dir: dir, Fsync: Always}, realEnvironment(), h)
	if err != nil {
		return Copied{}, fmt.Errorf("restore log: %w", err)
	}
	closed := sealFrame(appendRecord(openFrame(nil), recordClosed, nil))
	_, err = s.f.WriteAt(closed, s.size)
	if err := errors.Join(err, s.f.Sync(), s.f.Close()); err != nil {
		return Copied{}, fmt.Errorf("restore log: %w", err)
	}
	return Count(images), nil
}

func writeSynced(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // below the operator's directory
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Sync(), f.Close())
}

// refuseHalfRestored keeps a bus from opening what a restore did not finish.
func refuseHalfRestored(dir string) error {
	_, err := os.Stat(filepath.Join(dir, restoringName))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: a restore into it was not finished; empty it and restore again", ErrDamaged)
}
