package embedded

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/fleetcast/fleetcast/devices/store"
)

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, kind store.Kind, id string) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	if err := store.CheckKey(kind, id); err != nil {
		return store.Record{}, err
	}
	var r store.Record
	err := s.view(func(tx *bbolt.Tx) (err error) {
		bucket := tx.Bucket(bucketOf(kind))
		if bucket == nil {
			return store.ErrNotFound
		}
		stored := bucket.Get([]byte(id))
		if stored == nil {
			return store.ErrNotFound
		}
		r, err = decodeRecord(kind, []byte(id), stored)
		return err
	})
	return r, err
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, kind store.Kind, after string, limit int) ([]store.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	limit, err := store.CheckList(kind, limit)
	if err != nil {
		return nil, err
	}
	var out []store.Record
	err = s.view(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(bucketOf(kind))
		if bucket == nil {
			return nil
		}
		cursor := bucket.Cursor()
		id, stored := cursor.Seek([]byte(after))
		if string(id) == after {
			id, stored = cursor.Next()
		}
		for ; id != nil && len(out) < limit; id, stored = cursor.Next() {
			r, err := decodeRecord(kind, id, stored)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		return nil
	})
	return out, err
}

// snapshot reads all of some kinds as of one commit.
func (s *Store) snapshot(_ context.Context, kinds []store.Kind) (store.Update, error) {
	var u store.Update
	err := s.view(func(tx *bbolt.Tx) error {
		m, err := readMeta(tx)
		if err != nil {
			return err
		}
		u.Revision = m.at
		for _, kind := range kinds {
			bucket := tx.Bucket(bucketOf(kind))
			if bucket == nil {
				continue
			}
			if err := bucket.ForEach(func(id, stored []byte) error {
				r, err := decodeRecord(kind, id, stored)
				u.Records = append(u.Records, r)
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return u, err
}
