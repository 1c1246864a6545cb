package redis

import (
	"context"
	"errors"
	"slices"

	"github.com/fleetcast/fleetcast/devices/redisconn"
	"github.com/fleetcast/fleetcast/devices/store"
)

type recordKey struct {
	kind store.Kind
	id   string
}

// snapshot reads all of some kinds, and waits while the store is away.
func (s *Store) snapshot(ctx context.Context, kinds []store.Kind) (store.Update, error) {
	pause := redisconn.BackOff{}
	for {
		u, ok, err := s.trySnapshot(ctx, kinds)
		switch {
		case err == nil && ok:
			s.counts.snapshots.Add(1)
			return u, nil
		case s.isClosed():
			return store.Update{}, store.ErrClosed
		case ctx.Err() != nil:
			return store.Update{}, ctx.Err()
		case errors.Is(err, errMalformed): // it stays so until somebody mends it
			return store.Update{}, err
		}
		pause.Wait(ctx, s.closed)
	}
}

// trySnapshot reads the kinds in pages, while commits go on, and moves what it has read by the log to where this process
// is then: so the chain that leads on from there is the one that the feeds are told. It returns false where it saw
// something that is not in that chain: a failover came between, or the log is too short.
func (s *Store) trySnapshot(ctx context.Context, kinds []store.Kind) (store.Update, bool, error) {
	before, err := s.now(ctx)
	if err != nil {
		return store.Update{}, false, err
	}
	held := make(map[recordKey]store.Record)
	for _, kind := range kinds {
		if err := s.readKind(ctx, kind, held); err != nil {
			return store.Update{}, false, err
		}
	}
	after, err := s.now(ctx)
	if err != nil || before.gaps != after.gaps || before.run != after.run {
		return store.Update{}, false, err
	}
	ok, err := s.moveBy(ctx, held, kinds, before.where, after.where)
	if err != nil || !ok {
		return store.Update{}, false, err
	}
	u := store.Update{Revision: after.revision, Records: make([]store.Record, 0, len(held))}
	for _, r := range held {
		u.Records = append(u.Records, r)
	}
	return u, true, nil
}

// present is where this process is, and what tells one history from another.
type present struct {
	where
	gaps uint64
	run  string
}

// now pulls and tells where this process is then.
func (s *Store) now(ctx context.Context) (present, error) {
	if err := s.call(ctx, "read log", s.pull); err != nil {
		return present{}, err
	}
	if err := s.take(ctx); err != nil {
		return present{}, err
	}
	defer s.give()
	return present{where: s.at, gaps: s.gaps, run: s.run}, nil
}

func (s *Store) readKind(ctx context.Context, kind store.Kind, held map[recordKey]store.Record) error {
	for after := ""; ; {
		page, err := s.List(ctx, kind, after, store.MaxList)
		if err != nil {
			return err
		}
		for _, r := range page {
			held[recordKey{kind, r.ID}] = r
		}
		if len(page) < store.MaxList {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

// moveBy applies the commits between two places. What was read may have some of them already, and nothing else.
func (s *Store) moveBy(ctx context.Context, held map[recordKey]store.Record, kinds []store.Kind, from, to where) (bool, error) {
	revisions := make(map[store.Revision]struct{})
	for at := from; at != to; {
		var h head
		err := s.call(ctx, "read log", func(ctx context.Context) (err error) {
			h, err = s.tail(ctx, uint64(at.revision), tailCount)
			return err
		})
		if err != nil || len(h.commits) == 0 {
			return false, err
		}
		for i := 0; i < len(h.commits) && at != to; i++ {
			c := &h.commits[i]
			records, err := decodeEntry(c.revision, c.entry)
			if err != nil || c.before != at.call {
				return false, nil //nolint:nilerr // it is read again: what the log cannot tell is in the state
			}
			revisions[c.revision] = struct{}{}
			apply(held, records, kinds)
			at = c.where
		}
	}
	for _, r := range held {
		if _, told := revisions[r.Revision]; r.Revision > from.revision && !told {
			return false, nil
		}
	}
	return true, nil
}

func apply(held map[recordKey]store.Record, records []store.Record, kinds []store.Kind) {
	for _, r := range records {
		key := recordKey{r.Kind, r.ID}
		switch {
		case !slices.Contains(kinds, r.Kind) || held[key].Revision > r.Revision:
		case r.Value == nil:
			delete(held, key)
		default:
			held[key] = r
		}
	}
}
