package redis

import (
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/fleetcast/fleetcast/devices/store"
)

// errMalformed: what the server holds or answers is not what we put there.
var errMalformed = errors.New("malformed")

// Commit implements store.Store. It is as durable as the server makes what it has answered.
func (s *Store) Commit(ctx context.Context, ops []store.Op) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := store.CheckOps(ops); err != nil {
		return 0, err
	}
	call := randomName()
	keys, args := s.commitArgs(call, ops)
	var answer any
	err := s.call(ctx, "commit", func(ctx context.Context) (err error) {
		answer, err = commitScript.Run(ctx, s.client, keys, args...).Result()
		return err
	})
	if err != nil {
		return 0, err
	}
	list, _ := answer.([]any)
	switch {
	case len(list) == 2 && list[0] == "ok":
		s.counts.commits.Add(1)
		return parseRevision(list[1])
	case len(list) == 2 && list[0] == "conflict":
		if n, ok := list[1].(int64); ok && n >= 0 && int(n) < len(ops) {
			return 0, ops[n].Conflict()
		}
	case len(list) == 1 && list[0] == "full":
		return 0, store.ErrFull
	}
	return 0, fmt.Errorf("commit answers %v: %w", answer, errMalformed)
}

// randomName names a call. It is random, since a counter in the server would go back with it.
func randomName() string {
	var b [12]byte
	_, _ = crand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// commitArgs are what scripts/commit.lua takes.
func (s *Store) commitArgs(call string, ops []store.Op) (keys []string, args []any) {
	keys = []string{s.keys.meta, s.keys.log, s.keys.call(call)}
	numbers := make(map[store.Kind]int)
	entry := appendEntry(nil, ops)
	if len(entry) > min(maxEntryBytes, s.opts.MaxLogBytes) {
		entry = nil
	}
	args = []any{call, CallTTL.Milliseconds(), s.opts.MaxRecords, s.opts.MaxLogCommits, s.opts.MaxLogBytes, entry}
	for i := range ops {
		op := &ops[i]
		n, known := numbers[op.Kind]
		if !known {
			n = len(numbers) + 1
			numbers[op.Kind] = n
			keys = append(keys, s.keys.records(op.Kind), s.keys.ids(op.Kind))
		}
		what, condition := "v", ""
		if op.Value == nil {
			what = "d"
		}
		switch {
		case op.If.Absent:
			condition = "a"
		case op.If.Revision != 0:
			condition = fmt.Sprintf("%016d", op.If.Revision)
		}
		args = append(args, n, op.ID, what, condition, op.Value)
	}
	return keys, args
}

func parseRevision(v any) (store.Revision, error) {
	text, _ := v.(string)
	n, err := strconv.ParseUint(text, 10, 53)
	if err != nil {
		return 0, fmt.Errorf("parse revision: %w", errMalformed)
	}
	return store.Revision(n), nil
}
