package redisbus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices/redisconn"
)

// inletWaiter is what waits at a partition's inlet for this process: at most one blocking read, whoever asks. The read
// cannot be called back when a Read's context ends, so it goes on alone, for a second at most, and its result is kept
// for the Read that asks for the same place.
type inletWaiter struct {
	mu   sync.Mutex
	read *inletRead
}

// inletRead is one blocking read. What follows done is set before it is closed.
type inletRead struct {
	after  bus.EntryID
	done   chan struct{}
	chunks []storedChunk
	err    error
}

// storedChunk is a chunk as it was read.
type storedChunk struct {
	entries []bus.Entry
	mark    string // tells it from every other chunk of the same id
}

func (c *storedChunk) last() bus.EntryID { return c.entries[len(c.entries)-1].ID }

// readInlet returns chunks after an entry: at least one, or none where it is worth to look again.
func (b *Bus) readInlet(ctx context.Context, partition int, after bus.EntryID, ended <-chan struct{}) ([]storedChunk, error) {
	w := &b.inlets[partition]
	w.mu.Lock()
	r := w.read
	if r == nil {
		r = &inletRead{after: after, done: make(chan struct{})}
		if !b.spawn(func() { b.waitAtInlet(context.WithoutCancel(ctx), partition, r) }) {
			w.mu.Unlock()
			return nil, bus.ErrClosed
		}
		w.read = r
	}
	w.mu.Unlock()
	if r.after != after { // another owner's place, of this process and a moment ago
		if chunks, err := b.lookAtInlet(ctx, partition, after); err != nil || len(chunks) > 0 {
			return chunks, err
		}
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-ended:
		return nil, nil
	}
	w.mu.Lock()
	if w.read == r {
		w.read = nil
	}
	w.mu.Unlock()
	if r.after != after {
		return nil, nil
	}
	return r.chunks, r.err
}

func (b *Bus) waitAtInlet(ctx context.Context, partition int, r *inletRead) {
	defer close(r.done)
	ctx, cancel := context.WithTimeout(ctx, readBlock+redisconn.AttemptTimeout)
	defer cancel()
	streams, err := b.blocking.XRead(ctx, &redis.XReadArgs{
		Streams: []string{b.keys[partition].inlet, streamID(r.after)}, Count: readChunks, Block: readBlock,
	}).Result()
	switch {
	case errors.Is(err, redis.Nil): // nothing came
	case err != nil:
		b.refresh(ctx)
		r.err = fmt.Errorf("read inlet: %w", err)
	default:
		r.chunks, r.err = decodeChunks(streams[0].Messages)
	}
}

func (b *Bus) lookAtInlet(ctx context.Context, partition int, after bus.EntryID) ([]storedChunk, error) {
	ctx, cancel := context.WithTimeout(ctx, redisconn.AttemptTimeout)
	defer cancel()
	messages, err := b.client.XRangeN(ctx, b.keys[partition].inlet, "("+streamID(after), "+", readChunks).Result()
	if err != nil {
		return nil, fmt.Errorf("read inlet: %w", err)
	}
	return decodeChunks(messages)
}

func streamID(id bus.EntryID) string { return strconv.FormatUint(uint64(id), 10) + "-0" }

func decodeChunks(messages []redis.XMessage) ([]storedChunk, error) {
	chunks := make([]storedChunk, 0, len(messages))
	for i := range messages {
		c, err := decodeStored(&messages[i])
		if err != nil {
			return nil, fmt.Errorf("read inlet: %w", err)
		}
		chunks = append(chunks, c)
	}
	return chunks, nil
}

func decodeStored(m *redis.XMessage) (storedChunk, error) {
	id, _, _ := strings.Cut(m.ID, "-")
	last, err1 := strconv.ParseUint(id, 10, 64)
	count, _ := m.Values["n"].(string)
	n, err2 := strconv.Atoi(count)
	text, _ := m.Values["t"].(string)
	time, err3 := strconv.ParseInt(text, 10, 64)
	bytes, _ := m.Values["e"].(string)
	mark, _ := m.Values["d"].(string)
	if err := errors.Join(err1, err2, err3); err != nil {
		return storedChunk{}, fmt.Errorf("decode chunk: %w: %w", errMalformed, err)
	}
	entries, err := decodeChunk([]byte(bytes), n, bus.EntryID(last), time)
	return storedChunk{entries: entries, mark: mark}, err
}
