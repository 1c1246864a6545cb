package redisbus

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices/redisconn"
)

// Logins are one short stream for all doors. Its order is what tells which of two connections with one client id is the
// newer one: clocks of machines would not.

// loginsKey is of no partition, and near the doors.
func loginsKey(prefix string) string { return prefix + ":{doors}:logins" }

// loginsKept bounds the stream. A door that is further behind misses the oldest.
const (
	loginsKept  = 4096
	loginsCount = 64
)

var _ bus.Logins = (*Bus)(nil)

// AnnounceLogins implements bus.Logins.
func (b *Bus) AnnounceLogins(ctx context.Context, door bus.DoorID, logins []bus.LoginMark) error {
	if err := b.checkDoor(ctx, door); err != nil {
		return err
	}
	for len(logins) > 0 {
		n := min(len(logins), bus.MaxLogins)
		value := bus.AppendLogins(nil, door, logins[:n])
		logins = logins[n:]
		err := b.call(ctx, "announce logins", func(ctx context.Context) error {
			return b.client.XAdd(ctx, &redis.XAddArgs{Stream: loginsKey(b.opts.Prefix), MaxLen: loginsKept, Approx: true, Values: []any{"l", value}}).Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// FollowLogins implements bus.Logins.
func (b *Bus) FollowLogins(ctx context.Context, heard func(bus.DoorID, []bus.LoginMark)) error {
	if err := b.checkDoor(ctx, 1); err != nil {
		return err
	}
	after := ""
	err := b.call(ctx, "find the last login", func(ctx context.Context) error {
		last, err := b.client.XRevRangeN(ctx, loginsKey(b.opts.Prefix), "+", "-", 1).Result()
		if after = "0-0"; len(last) > 0 {
			after = last[0].ID
		}
		return err
	})
	for err == nil && ctx.Err() == nil && !b.isClosed() {
		after, err = b.moreLogins(ctx, after, heard)
	}
	switch {
	case ctx.Err() != nil: // it was to end
		err = nil
	case b.isClosed():
		err = bus.ErrClosed
	}
	return err
}

// moreLogins waits for what follows an entry, a second at most, and returns the last one that it heard.
func (b *Bus) moreLogins(ctx context.Context, after string, heard func(bus.DoorID, []bus.LoginMark)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, readBlock+redisconn.AttemptTimeout)
	defer cancel()
	streams, err := b.blocking.XRead(ctx, &redis.XReadArgs{Streams: []string{loginsKey(b.opts.Prefix), after}, Count: loginsCount, Block: readBlock}).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return after, nil
	case err != nil:
		b.refresh(context.WithoutCancel(ctx))
		return after, fmt.Errorf("follow logins: %w", err)
	}
	for _, m := range streams[0].Messages {
		after = m.ID
		text, _ := m.Values["l"].(string)
		door, logins, err := bus.DecodeLogins([]byte(text))
		if err != nil {
			b.counters.add(countBadMessage)
			continue
		}
		heard(door, logins)
	}
	return after, nil
}
