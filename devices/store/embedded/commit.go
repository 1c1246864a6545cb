package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Commit implements store.Store. It returns when the commit is synced. What was begun cannot be taken back, so a disk
// that hangs holds the commit that it began, whatever ctx says; those behind it end with theirs.
func (s *Store) Commit(ctx context.Context, ops []store.Op) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := store.CheckOps(ops); err != nil {
		return 0, err
	}
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if s.closed.Load() {
		return 0, store.ErrClosed
	}
	told := make([]store.Record, len(ops))
	for i := range ops {
		told[i] = store.Record{Kind: ops[i].Kind, ID: ops[i].ID, Value: bytes.Clone(ops[i].Value)}
	}
	c := &commit{max: s.max, count: s.count}
	size, err := s.write(c, ops)
	switch {
	case err == nil:
		s.succeeded()
	case c.refused: // nothing was written
		return 0, err
	default:
		return 0, s.failed(err)
	}
	s.count = c.count
	s.note(c.at, size)
	for i := range told {
		told[i].Revision = c.at
	}
	s.fanout.Offer(c.at, told)
	return c.at, nil
}

// commit is one that is being written.
type commit struct {
	max, count int
	at         store.Revision
	refused    bool // by us: it was not tried
}

func (s *Store) write(c *commit, ops []store.Op) (size int64, err error) {
	err = guarded(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			err := c.apply(tx, ops)
			size = tx.Size()
			return err
		})
	})
	return size, err
}

func (c *commit) apply(tx *bbolt.Tx, ops []store.Op) error {
	last, err := readMeta(tx)
	if err != nil {
		return err
	}
	c.at = last.at + 1
	for i := range ops {
		if err := c.check(tx, &ops[i]); err != nil {
			return err
		}
	}
	if c.count > c.max {
		c.refused = true
		return store.ErrFull
	}
	for i := range ops {
		if err := c.put(tx, &ops[i]); err != nil {
			return err
		}
	}
	return writeMeta(tx, c.at, c.count)
}

// check holds the op's condition against what there is, before anything of the commit is written.
func (c *commit) check(tx *bbolt.Tx, op *store.Op) error {
	var has store.Revision
	if bucket := tx.Bucket(bucketOf(op.Kind)); bucket != nil {
		if stored := bucket.Get([]byte(op.ID)); stored != nil {
			at, err := checkRecord(op.Kind, []byte(op.ID), stored)
			if err != nil {
				return err
			}
			has = at
		}
	}
	switch {
	case !op.If.Holds(has):
		c.refused = true
		return op.Conflict()
	case op.Value == nil && has != 0:
		c.count--
	case op.Value != nil && has == 0:
		c.count++
	}
	return nil
}

func (c *commit) put(tx *bbolt.Tx, op *store.Op) error {
	if op.Value == nil {
		bucket := tx.Bucket(bucketOf(op.Kind))
		if bucket == nil {
			return nil
		}
		return bucket.Delete([]byte(op.ID))
	}
	bucket, err := tx.CreateBucketIfNotExists(bucketOf(op.Kind))
	if err != nil {
		return err
	}
	return bucket.Put([]byte(op.ID), encodeRecord(op.Kind, op.ID, c.at, op.Value))
}

func (s *Store) succeeded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Commits++
	if s.failure != nil {
		s.failure = nil
		s.log.Info("the store can be written again")
	}
}

func (s *Store) failed(err error) error {
	failure := &devices.Error{Kind: devices.Unavailable, Detail: "the store cannot be written", Err: fmt.Errorf("write store: %w", err)}
	if errors.Is(err, ErrDamaged) {
		failure.Kind = devices.Internal
	}
	s.mu.Lock()
	s.stats.Failures++
	first := s.failure == nil
	s.failure = failure
	s.mu.Unlock()
	if first {
		s.log.Error("the store cannot be written", "error", err)
	}
	s.fanout.Break() // it may have happened all the same
	return failure
}
