package diskbus

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// segment is the file that the writer appends to.
type segment struct {
	f      file
	path   string
	number uint64
	size   int64
}

// createSegment makes a segment under a temporary name, so that one with a name always has its header. Of that the caller
// gives the number, and what of the segment before it counts: what lies there beyond was refused or cut.
func createSegment(o *Options, env environment, h header) (*segment, error) {
	path := segmentPath(o.Dir, h.number)
	temp := path + tempSuffix
	f, err := env.create(temp)
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	s := &segment{f: f, path: path, number: h.number}
	h.fsync, h.boot = o.Fsync, env.bootID()
	if err := s.writeHeader(o.Dir, temp, h); err != nil {
		return nil, fmt.Errorf("create segment: %w", errors.Join(err, f.Close(), os.Remove(temp)))
	}
	return s, nil
}

func (s *segment) writeHeader(dir, temp string, h header) error {
	var err error
	if h.identity, err = identify(temp); err != nil {
		return err
	}
	frame := sealFrame(append(openFrame(nil), h.encode()...))
	if _, err := s.f.WriteAt(frame, 0); err != nil {
		return err
	}
	s.size = int64(len(frame))
	if err := s.f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(temp, s.path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncPath syncs what another process has written to a file.
func syncPath(path string) error {
	f, err := os.Open(path) //nolint:gosec // below the operator's directory
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// discard undoes createSegment. Where it cannot, the next one takes the name.
func (s *segment) discard() error { return errors.Join(s.f.Close(), os.Remove(s.path)) }

// syncer syncs the current segment once a second, beside the writer.
type syncer struct {
	mu     sync.Mutex
	f      file // nil: nothing is open
	dirty  bool
	failed bool // the writer must not trust the segment
}

// use says which file is the current one.
func (s *syncer) use(f file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.f, s.dirty, s.failed = f, false, false
}

func (s *syncer) touched() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = true
}

func (s *syncer) hasFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// sync holds no lock while the disk works. A file that is no longer the current one is synced by who replaced it.
func (s *syncer) sync() (synced bool, err error) {
	s.mu.Lock()
	f, dirty := s.f, s.dirty
	s.dirty = false
	s.mu.Unlock()
	if f == nil || !dirty {
		return false, nil
	}
	err = f.Sync()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || s.f != f {
		return true, nil
	}
	s.failed = true
	return true, err
}
