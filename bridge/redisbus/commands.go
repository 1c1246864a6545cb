package redisbus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/redisconn"
)

// The table of commands is a hash, of which a publish changes rows. Their names go to a short stream, numbered without
// gaps; who follows waits at the stream, reads the rows that it names, and so never has more to read than what changed.
// Where a number is missing, or the partition has another epoch, the table is read again.

// cutCommands takes rows off the front that fit a step, as cutEvents does.
func cutCommands(rows []bus.CommandRow, own bool) (part, rest []bus.CommandRow) {
	bytes := 0
	for i := range rows {
		bytes += len(rows[i].Data)
		if bytes > maxPartBytes && (i > 0 || !own) {
			return rows[:i], rows[i:]
		}
	}
	return rows, nil
}

func (l *lease) checkCommands(rows []bus.CommandRow) error {
	for i := range rows {
		r := &rows[i]
		if err := r.Check(); err != nil {
			return err
		}
		if !l.isHere(r.Fleet) {
			return devices.Errorf(devices.Invalid, "command", "is of a fleet in another partition")
		}
	}
	return nil
}

func (e *encoding) appendCommands(rows []bus.CommandRow) {
	for i := range rows {
		r := &rows[i]
		value := []byte{}
		if r.Data != nil {
			value = e.encode(func(dst []byte) []byte { return bus.AppendCommandRow(dst, r) })
		}
		e.args = append(e.args, r.ID.String(), value)
	}
}

// loadCommands reads the table. A row that cannot be read is left out and counted: it must not keep the others from their
// devices.
func (b *Bus) loadCommands(ctx context.Context, partition int) (map[devices.CommandID]bus.CommandRow, error) {
	for {
		before, err := b.toldOf(ctx, partition)
		if err != nil {
			return nil, err
		}
		rows, fields := make(map[devices.CommandID]bus.CommandRow), make(map[string]struct{})
		err = b.scan(ctx, b.keys[partition].commands, func(field, value string) error {
			fields[field] = struct{}{}
			if r, ok := b.decodeCommand(partition, []byte(value)); ok {
				rows[r.ID] = r
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		var n int64
		err = b.call(ctx, "count commands", func(ctx context.Context) (err error) {
			n, err = b.client.HLen(ctx, b.keys[partition].commands).Result()
			return err
		})
		if err != nil {
			return nil, err
		}
		after, err := b.toldOf(ctx, partition)
		if err != nil {
			return nil, err
		}
		// What changed meanwhile is told by the stream. A cursor of one server means nothing to the next.
		if int(n) == len(fields) || after != before {
			b.counters.add(countCommandLoads)
			return rows, nil
		}
	}
}

func (b *Bus) decodeCommand(partition int, value []byte) (bus.CommandRow, bool) {
	r, err := bus.DecodeCommandRow(value)
	if err != nil || r.Data == nil || r.Fleet.Partition(b.Partitions()) != partition {
		b.counters.add(countBadMessage)
		return r, false
	}
	return r, true
}

// told is how many publishes changed the table, in an epoch.
type told struct {
	epoch string
	n     uint64
}

func (b *Bus) toldOf(ctx context.Context, partition int) (told, error) {
	var at told
	err := b.call(ctx, "look at commands", func(ctx context.Context) error {
		values, err := b.client.HMGet(ctx, b.keys[partition].meta, "epoch", "told").Result()
		if err != nil {
			return err
		}
		at = told{}
		at.epoch, _ = values[0].(string)
		if text, ok := values[1].(string); ok {
			if at.n, err = strconv.ParseUint(text, 10, 64); err != nil {
				return fmt.Errorf("look at commands: %w", errMalformed)
			}
		}
		return nil
	})
	return at, err
}

// commandFeed follows a partition's commands in a goroutine of its own, since a read that waits cannot be called back.
type commandFeed struct {
	b         *Bus
	partition int
	stop      context.CancelFunc
	wake      chan struct{}

	mu      sync.Mutex // guards what follows
	whole   bool       // changed is all that there is
	changed map[devices.CommandID]bus.CommandRow
	ended   bool
}

var _ bus.CommandFeed = (*commandFeed)(nil)

// maxCommandChanges bounds what is noted for one who does not read: then the table is read again.
const maxCommandChanges = 50_000

// FollowCommands implements bus.Commands.
func (b *Bus) FollowCommands(ctx context.Context, partition int) (bus.CommandFeed, error) {
	if err := b.check(ctx, partition); err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	f := &commandFeed{b: b, partition: partition, stop: stop, wake: make(chan struct{}, 1)}
	if !b.spawn(func() { f.run(running) }) {
		stop()
		return nil, bus.ErrClosed
	}
	return f, nil
}

// run loads and follows until ctx or the bus ends.
func (f *commandFeed) run(ctx context.Context) {
	defer f.end()
	again := backOff{}
	for ctx.Err() == nil && !f.b.isClosed() {
		at, err := f.load(ctx)
		if err == nil {
			again = backOff{}
			err = f.follow(ctx, at)
		}
		if err != nil && !errors.Is(err, errReload) {
			f.b.opts.Logger.Debug("commands are not followed, trying again", "partition", f.partition, "error", err)
			again.wait(ctx, f.b.closed)
		}
	}
}

func (f *commandFeed) load(ctx context.Context) (told, error) {
	at, err := f.b.toldOf(ctx, f.partition)
	if err != nil {
		return at, err
	}
	rows, err := f.b.loadCommands(ctx, f.partition)
	if err != nil {
		return at, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.whole, f.changed = true, rows
	f.notify()
	return at, nil
}

// checkToldEvery is how often a follower makes sure that the store has not gone back: what it waits for might never come.
const checkToldEvery = 3 * time.Second

// follow tells what changed after at, until a number is missing.
func (f *commandFeed) follow(ctx context.Context, at told) error {
	checked := time.Now()
	for ctx.Err() == nil {
		messages, err := f.waitForNews(ctx, at.n)
		if err != nil {
			return err
		}
		for i := range messages {
			id, _, _ := strings.Cut(messages[i].ID, "-")
			if id != strconv.FormatUint(at.n+1, 10) {
				return errReload
			}
			at.n++
			names, _ := messages[i].Values["i"].(string)
			if err := f.read(ctx, strings.Fields(names)); err != nil {
				return err
			}
		}
		if time.Since(checked) < checkToldEvery {
			continue
		}
		now, err := f.b.toldOf(ctx, f.partition)
		if err != nil {
			return err
		}
		if now.epoch != at.epoch || now.n < at.n {
			return errReload
		}
		checked = time.Now()
	}
	return ctx.Err()
}

func (f *commandFeed) waitForNews(ctx context.Context, after uint64) ([]redis.XMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, readBlock+redisconn.AttemptTimeout)
	defer cancel()
	streams, err := f.b.blocking.XRead(ctx, &redis.XReadArgs{
		Streams: []string{f.b.keys[f.partition].told, strconv.FormatUint(after, 10) + "-0"}, Count: readChunks, Block: readBlock,
	}).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		f.b.refresh(ctx)
		return nil, fmt.Errorf("follow commands: %w", err)
	}
	return streams[0].Messages, nil
}

// read reads rows by their names. One that is not there is forgotten.
func (f *commandFeed) read(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	var values []any
	err := f.b.call(ctx, "read commands", func(ctx context.Context) (err error) {
		values, err = f.b.client.HMGet(ctx, f.b.keys[f.partition].commands, names...).Result()
		return err
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, name := range names {
		id, err := devices.ParseCommandID(name)
		if err != nil {
			f.b.counters.add(countBadMessage)
			continue
		}
		row := bus.CommandRow{ID: id}
		if text, ok := values[i].(string); ok {
			if row, ok = f.b.decodeCommand(f.partition, []byte(text)); !ok {
				continue
			}
		}
		f.changed[id] = row
	}
	if len(f.changed) > maxCommandChanges && !f.whole {
		return errReload
	}
	f.notify()
	return nil
}

func (f *commandFeed) notify() {
	select {
	case f.wake <- struct{}{}:
	default: // there is a token already
	}
}

// Next implements bus.CommandFeed. While the store is away it waits.
func (f *commandFeed) Next(ctx context.Context) (bus.CommandUpdate, error) {
	for {
		if err := ctx.Err(); err != nil {
			return bus.CommandUpdate{}, err
		}
		if u, ok, err := f.take(); err != nil || ok {
			return u, err
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
		}
	}
}

func (f *commandFeed) take() (u bus.CommandUpdate, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended:
		return u, false, bus.ErrClosed
	case !f.whole && len(f.changed) == 0:
		return u, false, nil
	}
	u.Whole = f.whole
	for _, r := range f.changed {
		if !u.Whole || r.Data != nil {
			u.Rows = append(u.Rows, r)
		}
	}
	f.whole, f.changed = false, make(map[devices.CommandID]bus.CommandRow)
	return u, true, nil
}

// Close implements bus.CommandFeed.
func (f *commandFeed) Close() {
	f.stop()
	f.end()
}

func (f *commandFeed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	f.notify()
}
