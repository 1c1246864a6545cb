package redisbus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/redisconn"
)

// What edges ask one another goes by a channel of the edge that is asked, and its answer comes back by a list of the call's
// own, which nobody else waits for and which is gone after a few seconds.

const (
	maxAnswering = 16 // questions that an edge answers at a time; more wait in the queue of the receiver
	maxAsking    = 4  // of the connections for calls, so many may wait for answers
	askAgain     = 100 * time.Millisecond
	answerLife   = 5 * time.Second
)

func edgeChannel(prefix string, edge bus.EdgeID) string {
	return fmt.Sprintf("%s:{edge%s}:ask", prefix, edge)
}

func answerKey(prefix, call string) string { return fmt.Sprintf("%s:{ask%s}:answer", prefix, call) }

// AnswerEdge implements bus.Edges.
func (b *Bus) AnswerEdge(ctx context.Context, edge bus.EdgeID, answer func(context.Context, []byte) []byte) error {
	if err := b.checkDoor(ctx, bus.DoorID(edge)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var calls sync.WaitGroup
	defer calls.Wait()
	calls.Go(func() {
		select {
		case <-b.closed:
			cancel()
		case <-ctx.Done():
		}
	})
	e := &answering{b: b, channel: edgeChannel(b.opts.Prefix, edge), answer: answer, slots: make(chan struct{}, maxAnswering), calls: &calls}
	again := backOff{}
	for ctx.Err() == nil {
		heard, err := e.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if heard {
			again = backOff{}
		}
		b.opts.Logger.Debug("the channel of this edge ended, making another", "error", err)
		again.wait(ctx, b.closed)
	}
	if b.isClosed() {
		return bus.ErrClosed
	}
	return nil
}

// answering is an edge that can be asked.
type answering struct {
	b       *Bus
	channel string
	answer  func(context.Context, []byte) []byte
	slots   chan struct{}
	calls   *sync.WaitGroup
}

// session is the life of one subscription. It asks itself nothing now and then: by that a path that is dead is found.
func (e *answering) session(ctx context.Context) (heard bool, err error) {
	b := e.b
	if err := b.attempt(ctx, func(context.Context) error { return nil }); err != nil {
		return false, err
	}
	ps := e.subscribe(ctx)
	r := &receiver{
		ready: make(chan struct{}), failed: make(chan error, 1), messages: make(chan string, maxQueuedMessages),
		overrun: func() { b.counters.add(countOverrun) },
	}
	var receiving sync.WaitGroup
	receiving.Go(func() { r.run(ctx, ps) })
	defer receiving.Wait()
	defer func() { _ = ps.Close() }() // ends the receiver
	silence := time.NewTimer(redisconn.AttemptTimeout)
	defer silence.Stop()
	beat := time.NewTicker(max(b.opts.Silence/3, minTime))
	defer beat.Stop()
	ready := r.ready
	for {
		select {
		case <-ready:
			ready = nil
			silence.Reset(b.opts.Silence)
		case text := <-r.messages:
			heard = true
			silence.Reset(b.opts.Silence)
			e.take(ctx, text)
		case <-beat.C:
			e.calls.Go(func() {
				_, _ = b.tell(ctx, e.channel, "") // a store that does not answer is silent
			})
		case <-silence.C:
			b.refresh(ctx)
			return heard, errSilent
		case err := <-r.failed:
			if isUnknownCommand(err) {
				b.classic.Store(true)
			}
			b.refresh(ctx)
			return heard, err
		case <-ctx.Done():
			return heard, ctx.Err()
		}
	}
}

func (e *answering) subscribe(ctx context.Context) *redis.PubSub {
	if e.b.classic.Load() {
		return e.b.client.Subscribe(ctx, e.channel)
	}
	return e.b.client.SSubscribe(ctx, e.channel)
}

// take answers a question: a line with the call's name, and what is asked.
func (e *answering) take(ctx context.Context, text string) {
	call, question, found := strings.Cut(text, "\n")
	if !found || len(call) != callBytes {
		if text != "" {
			e.b.counters.add(countBadMessage)
		}
		return
	}
	select {
	case e.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	e.calls.Go(func() {
		defer func() { <-e.slots }()
		ctx, cancel := context.WithTimeout(ctx, bus.EdgeWait)
		defer cancel()
		a := e.answer(ctx, []byte(question))
		key := answerKey(e.b.opts.Prefix, call)
		_, err := e.b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.RPush(ctx, key, a)
			p.PExpire(ctx, key, answerLife)
			return nil
		})
		if err != nil && ctx.Err() == nil {
			e.b.opts.Logger.Debug("an answer to an edge was not kept", "error", err)
		}
	})
}

const callBytes = 26 // of rand.Text

// tell publishes to an edge's channel, and returns how many heard it; where that cannot be known, one.
func (b *Bus) tell(ctx context.Context, channel, text string) (heard int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, redisconn.AttemptTimeout)
	defer cancel()
	if !b.classic.Load() {
		heard, err = b.client.SPublish(ctx, channel, text).Result()
		if err == nil || !isUnknownCommand(err) {
			return heard, err
		}
		b.classic.Store(true)
	}
	err = b.client.Publish(ctx, channel, text).Err()
	return 1, err
}

// isOver tells whether a context's time is over. A connection whose deadline is the context's may tell it a moment before.
func isOver(ctx context.Context) bool {
	const moment = 50 * time.Millisecond
	deadline, has := ctx.Deadline()
	return ctx.Err() != nil || has && time.Until(deadline) < moment
}

// AskEdge implements bus.Edges.
func (b *Bus) AskEdge(ctx context.Context, edge bus.EdgeID, question []byte) ([]byte, error) {
	if err := bus.CheckQuestion(edge, question); err != nil {
		return nil, err
	}
	if err := b.checkDoor(ctx, 1); err != nil {
		return nil, err
	}
	asked, cancel := context.WithTimeout(ctx, bus.EdgeWait)
	defer cancel()
	call := rand.Text()
	a, err := b.ask(asked, edge, call, question)
	switch {
	case err == nil:
		return a, nil
	case b.isClosed():
		return nil, bus.ErrClosed
	case ctx.Err() != nil:
		return nil, fmt.Errorf("ask edge: %w", ctx.Err())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded) && isOver(asked):
		return nil, bus.NoEdge()
	}
	return nil, &devices.Error{Kind: devices.Unavailable, Detail: "the store does not answer", Err: fmt.Errorf("ask edge: %w", err)}
}

// ask puts the question until somebody hears it: an edge may be between two subscriptions.
func (b *Bus) ask(ctx context.Context, edge bus.EdgeID, call string, question []byte) ([]byte, error) {
	select {
	case b.asking <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	answers := make(chan *redis.StringSliceCmd, 1)
	waiting := false
	defer func() {
		if !waiting {
			<-b.asking
		}
	}()
	text := call + "\n" + string(question)
	for {
		heard, err := b.tell(ctx, edgeChannel(b.opts.Prefix, edge), text)
		if heard > 0 && err == nil {
			break
		}
		if err != nil && !isPassing(err) {
			return nil, err
		}
		if !pause(ctx, b.closed, askAgain) {
			return nil, errors.Join(ctx.Err(), err)
		}
	}
	// The library may wait beyond the context where the path is dead; nobody else does.
	waiting = b.spawn(func() {
		defer func() { <-b.asking }()
		answers <- b.client.BLPop(ctx, bus.EdgeWait, answerKey(b.opts.Prefix, call))
	})
	if !waiting {
		return nil, bus.ErrClosed
	}
	select {
	case cmd := <-answers:
		values, err := cmd.Result()
		switch {
		case errors.Is(err, redis.Nil):
			return nil, context.DeadlineExceeded
		case err != nil:
			return nil, err
		case len(values) != 2:
			return nil, errMalformed
		}
		return []byte(values[1]), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
