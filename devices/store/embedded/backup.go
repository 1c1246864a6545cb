package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/fleetcast/fleetcast/devices/store"
)

// Backup writes the file as of one commit, while commits go on. begin is told how long it is before the first byte.
func (s *Store) Backup(ctx context.Context, begin func(bytes int64) (io.Writer, error)) (store.Stats, error) {
	var out store.Stats
	select {
	case <-s.copying:
		defer func() { s.copying <- struct{}{} }()
	case <-ctx.Done():
		return out, ctx.Err()
	}
	err := s.view(func(tx *bbolt.Tx) error {
		m, err := readMeta(tx)
		if err != nil {
			return err
		}
		out.Revision, out.Records = m.at, m.count
		to, err := begin(tx.Size())
		if err != nil {
			return err
		}
		_, err = tx.WriteTo(to)
		return err
	})
	if err != nil {
		return out, fmt.Errorf("copy store: %w", err)
	}
	return out, nil
}

// Restore makes the file of a backup in a directory that has none, and reads it through.
func Restore(dir string, from io.Reader) (store.Stats, error) {
	path := filepath.Join(dir, FileName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // below the operator's directory
	if err != nil {
		return store.Stats{}, fmt.Errorf("restore store: %w", err)
	}
	_, err = io.Copy(f, from)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return store.Stats{}, fmt.Errorf("restore store: %w", err)
	}
	s, err := Open(Options{Dir: dir})
	if err != nil {
		return store.Stats{}, fmt.Errorf("read backup: %w", err)
	}
	return s.Stats().Stats, s.Close()
}

// Kinds returns the kinds of which there are records, in the order of their names.
func (s *Store) Kinds() ([]store.Kind, error) {
	var out []store.Kind
	err := s.view(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			kind, ours := bytes.CutPrefix(name, []byte(bucketPrefix))
			if first, _ := bucket.Cursor().First(); ours && first != nil {
				out = append(out, store.Kind(kind))
			}
			return nil
		})
	})
	return out, err
}

// compactBytes is about how much one transaction of a compaction writes.
const compactBytes = 1 << 20

// compactSuffix is that of the file that a compaction writes.
const compactSuffix = ".tmp"

// Compact writes the file anew. The library leaves the bytes of what was deleted in pages that it uses again some day;
// after this they are in the file no more. Nothing is committed meanwhile; reads wait only while the files are exchanged. It waits for a
// backup under way.
func (s *Store) Compact(ctx context.Context) error {
	select {
	case <-s.copying:
		defer func() { s.copying <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.closed.Load() {
		return store.ErrClosed
	}
	path := s.db.Path()
	temp := path + compactSuffix
	if err := s.copyTo(temp); err != nil {
		return fmt.Errorf("compact store: %w", errors.Join(err, removeIfThere(temp)))
	}
	s.exchange.Lock()
	defer s.exchange.Unlock()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("compact store: %w", err)
	}
	renamed := os.Rename(temp, path) // where it fails the file before is still there, and is opened again
	db, err := openFile(path)
	if err != nil { // the closed one stays: what is asked of it says that it is closed
		return fmt.Errorf("open compacted store: %w", errors.Join(renamed, err))
	}
	s.db = db
	if err := errors.Join(renamed, syncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("compact store: %w", err)
	}
	return nil
}

func (s *Store) copyTo(path string) error {
	if err := removeIfThere(path); err != nil { // of a process that was killed
		return err
	}
	to, err := openFile(path)
	if err != nil {
		return err
	}
	err = guarded(func() error { return bbolt.Compact(to, s.db, compactBytes) })
	return errors.Join(err, to.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
