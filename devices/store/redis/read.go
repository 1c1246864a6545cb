package redis

import (
	"context"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/devices/store"
)

const revisionDigits = 16

func decodeRecord(kind store.Kind, id, stored string) (store.Record, error) {
	if len(stored) < revisionDigits {
		return store.Record{}, fmt.Errorf("decode record: %w", errMalformed)
	}
	at, err := parseRevision(stored[:revisionDigits])
	return store.Record{Kind: kind, ID: id, Revision: at, Value: []byte(stored[revisionDigits:])}, err
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, kind store.Kind, id string) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	if err := store.CheckKey(kind, id); err != nil {
		return store.Record{}, err
	}
	var stored string
	held := true
	err := s.call(ctx, "get record", func(ctx context.Context) (err error) {
		stored, err = s.client.HGet(ctx, s.keys.records(kind), id).Result()
		if errors.Is(err, goredis.Nil) {
			held, err = false, nil
		}
		return err
	})
	switch {
	case err != nil:
		return store.Record{}, err
	case !held:
		return store.Record{}, store.ErrNotFound
	}
	return decodeRecord(kind, id, stored)
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
	err = s.call(ctx, "list records", func(ctx context.Context) (err error) {
		out, err = s.page(ctx, kind, after, limit)
		return err
	})
	return out, err
}

// page is one try of a List.
func (s *Store) page(ctx context.Context, kind store.Kind, after string, limit int) ([]store.Record, error) {
	from := "-"
	if after != "" {
		from = "(" + after
	}
	flat, err := listScript.Run(ctx, s.client, []string{s.keys.records(kind), s.keys.ids(kind)}, from, limit).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	out := make([]store.Record, 0, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		r, err := decodeRecord(kind, flat[i], flat[i+1])
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}
