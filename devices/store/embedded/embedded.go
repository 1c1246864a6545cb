package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// FileName is the store's file in the data directory.
const FileName = "store.db"

// Options are the settings of an embedded store. 0 stands for a default.
type Options struct {
	Dir        string // made where it is missing; one process at a time may have the store in it open
	MaxRecords int    // store.DefaultMaxRecords
	Logger     *slog.Logger
}

// The errors of Open.
var (
	// ErrInUse: another process has the store open.
	ErrInUse = &devices.Error{Kind: devices.Conflict, Field: "data directory", Detail: "the store in it is in use by another process"}
	// ErrDamaged: the file is not as it was written. Nothing is mended: restore a backup, or move the file away and
	// configure anew.
	ErrDamaged = errors.New("the store's file is damaged")
)

// Store is a store in a file. Its methods may be called concurrently.
type Store struct {
	exchange sync.RWMutex // held for reading by who uses db: Compact puts another in its place
	db       *bbolt.DB

	max    int
	log    *slog.Logger
	fanout *store.Fanout
	closed atomic.Bool

	copying chan struct{} // holds one token while the file is neither copied nor written anew; taken before turn

	turn  chan struct{} // holds one token while nobody commits, from the first condition until the feeds are told
	count int           // of records; of who has the turn

	mu      sync.Mutex // guards what follows; nothing is taken under it
	failure error      // of the last commit, or nil
	stats   Stats
}

var _ store.Store = (*Store)(nil)

// Stats are the store's, and what is counted of its file.
type Stats struct {
	store.Stats
	Commits  uint64 `json:"commits"`
	Failures uint64 `json:"failures"` // commits that could not be written
	Bytes    int64  `json:"bytes"`    // of the file, now
	Failing  bool   `json:"failing"`  // the last commit could not be written
}

// lockWait is how long another process may take to let go of the file: one that was told to stop just now.
const lockWait = 250 * time.Millisecond

// Open opens the store of a directory and reads it through.
func Open(o Options) (*Store, error) {
	s, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func open(o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, devices.Errorf(devices.Invalid, "data directory", "is missing")
	}
	if o.MaxRecords <= 0 {
		o.MaxRecords = store.DefaultMaxRecords
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(o.Dir, FileName)
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, max: o.MaxRecords, log: o.Logger, turn: make(chan struct{}, 1), copying: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	s.copying <- struct{}{}
	s.fanout = store.NewFanout(s.snapshot)
	if err := s.found(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := s.readThrough(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func openFile(path string) (db *bbolt.DB, err error) {
	err = guarded(func() (err error) { // where the library panics it keeps the file's lock until the process ends
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType, NoStatistics: true})
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrInUse
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	return db, err
}

// found gives a new file its first revision, so that one without is damaged, and makes the file's name last.
func (s *Store) found() error {
	var fresh bool
	if err := s.view(func(tx *bbolt.Tx) error {
		fresh = tx.Bucket([]byte(metaBucket)) == nil && tx.ID() <= lastFreshTx
		return nil
	}); err != nil || !fresh {
		return err
	}
	if err := guarded(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error { return writeMeta(tx, 0, 0) })
	}); err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.db.Path()))
}

// lastFreshTx is the last transaction of the library's own in a new file.
const lastFreshTx = 1

// syncDir makes a new file's name survive a loss of power, which syncing the file does not.
func syncDir(path string) error {
	dir, err := os.Open(path) //nolint:gosec // the directory is the operator's setting
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// guarded runs a step of the library. It has no way to say that a page makes no sense but to panic, or to follow a
// number in it to where no memory is; both are turned into errors.
func guarded(step func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return step()
}

// Healthy tells why nothing can be committed now, or nil. It tries nothing: it knows of the last commit.
func (s *Store) Healthy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// Stats returns the numbers of now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	out := s.stats
	out.Failing = s.failure != nil
	s.mu.Unlock()
	out.Feeds, out.Behind = s.fanout.Stats()
	return out
}

// Close implements store.Store. It waits for a commit under way.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.fanout.Close()
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, kinds ...store.Kind) (store.Feed, error) {
	return s.fanout.Watch(ctx, kinds)
}
