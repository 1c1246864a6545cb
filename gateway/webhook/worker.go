package webhook

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"reflect"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices/rulebook"
)

type doer interface {
	Do(*http.Request) (*http.Response, error)
}

// storeTimeout bounds a write of how far a webhook is.
const storeTimeout = 3 * time.Second

// worker tells one webhook of the events of one partition, in their order.
type worker struct {
	s      *Sender
	queue  *queue
	hook   rulebook.Webhook
	ctx    context.Context //nolint:containedctx // a worker is one call, of run
	cancel context.CancelFunc

	state rulebook.WebhookState
	dirty bool
	saved time.Time
	next  uint64 // the number of the next event
}

func newWorker(ctx context.Context, s *Sender, t task, hook rulebook.Webhook) *worker {
	w := &worker{s: s, queue: t.queue, hook: hook}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w
}

// same tells whether the webhook is what the worker began with.
func (w *worker) same(hook *rulebook.Webhook) bool { return reflect.DeepEqual(&w.hook, hook) }

func (w *worker) run() {
	defer w.cancel()
	if !w.begin() {
		return
	}
	for w.ctx.Err() == nil {
		e, ok, isLast, gone, more := w.queue.get(w.next)
		if gone > 0 {
			w.next += gone
			w.state.Dropped += gone
			w.s.counts.dropped.Add(gone)
			w.dirty = true
		}
		if !ok {
			w.wait(more)
			continue
		}
		if w.hook.Wants(e.Name, e.Fleet) && !w.deliver(&e.Event) {
			break
		}
		w.next++
		if isLast {
			w.state.Offset = e.Offset
			w.dirty = w.dirty || w.hook.Wants(e.Name, e.Fleet)
		}
		w.save(false)
	}
	w.save(true)
}

// begin reads how far the webhook is. One that is new begins with what comes from now on, and that is written before
// anything is sent: whoever goes on must not take it for new again.
func (w *worker) begin() bool {
	for pause := w.s.o.FirstRetry; w.ctx.Err() == nil; pause = min(2*pause, w.s.o.LastRetry) {
		number, offset := w.queue.end()
		state, known, err := w.s.o.Book.ReadWebhookState(w.ctx, w.hook.ID, w.queue.partition)
		if err == nil && !known {
			state = rulebook.WebhookState{Epoch: uint64(w.queue.epoch), Offset: offset}
			err = w.s.o.Book.KeepWebhookState(w.ctx, w.hook.ID, w.queue.partition, state)
		}
		if err != nil {
			w.pause(pause)
			continue
		}
		w.state, w.saved = state, time.Now()
		w.state.Failing = 0 // it is given its time again
		switch {
		case !known:
			w.next = number
		case state.Epoch != uint64(w.queue.epoch): // another history: what there is of it was not sent
			w.state.Epoch, w.state.Offset, w.next = uint64(w.queue.epoch), 0, 0
		default:
			w.next = w.queue.after(state.Offset)
		}
		return true
	}
	return false
}

// wait waits for more events, or until what was sent is due to be written.
func (w *worker) wait(more <-chan struct{}) {
	var due <-chan time.Time
	if w.dirty {
		timer := time.NewTimer(time.Until(w.saved.Add(w.s.o.SaveEvery)))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-more:
	case <-due:
		w.save(false)
	case <-w.ctx.Done():
	}
}

func (w *worker) pause(d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.ctx.Done():
	}
}

// save writes how far the webhook is, at most so often, or now.
func (w *worker) save(now bool) {
	if !w.dirty || !now && time.Since(w.saved) < w.s.o.SaveEvery {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), storeTimeout)
	defer cancel()
	w.saved = time.Now()
	if err := w.s.o.Book.KeepWebhookState(ctx, w.hook.ID, w.queue.partition, w.state); err != nil {
		w.s.log.Warn("how far a webhook is was not written", "error", err)
		return
	}
	w.dirty = false
}

// deliver sends an event until it is taken. It returns false where the worker ends: it was told to, or gave up.
func (w *worker) deliver(e *bus.Event) bool {
	m, err := newMessage(e, w.s.o.Now().UnixMilli())
	if err != nil {
		w.s.log.Error("an event cannot be sent: a bug", "error", err)
		return true
	}
	for pause := w.s.o.FirstRetry; ; pause = min(2*pause, w.s.o.LastRetry) {
		a := w.s.post(w.ctx, &w.hook, m)
		if w.ctx.Err() != nil && a.err != nil {
			return false
		}
		now := w.s.o.Now().UnixMilli()
		w.dirty = true
		w.state.Status = a.status
		if a.err == nil {
			w.s.counts.delivered.Add(1)
			w.state.Failing, w.state.Error, w.state.Delivered = 0, "", now
			return true
		}
		w.s.counts.failed.Add(1)
		isNew := w.state.Failing == 0
		if isNew {
			w.state.Failing = now
			w.s.log.Warn("a webhook fails", "webhook", w.hook.ID, "error", a.err)
		}
		w.state.Error = a.err.Error()
		w.save(isNew)
		if (a.status == http.StatusGone || now-w.state.Failing > w.s.o.GiveUp.Milliseconds()) && w.disable(a) {
			return false
		}
		w.pause(max(pause, a.after))
		if again, _, _, _, _ := w.queue.get(w.next); again.Name == "" {
			return true // its device was erased meanwhile, or it waited for too long: get counts that
		}
	}
}

// disable gives a webhook up: nothing is sent until people look at it.
// It returns false where that could not be written.
func (w *worker) disable(a answer) bool {
	w.save(true)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), storeTimeout)
	defer cancel()
	k, err := w.s.o.Book.ReadWebhook(ctx, w.hook.ID)
	if err == nil && !k.Value.Disabled {
		at := k.Revision
		k.Value.Disabled, k.Value.Reason = true, errors.Join(errors.New("it failed for too long"), a.err).Error()
		_, err = w.s.o.Book.ReplaceWebhook(ctx, k, at)
	}
	if err != nil {
		w.s.log.Warn("that a webhook is disabled was not written", "error", err)
		return false
	}
	w.s.counts.disabled.Add(1)
	w.s.log.Error("a webhook is disabled: it failed for too long", "webhook", w.hook.ID, "error", a.err)
	return true
}
