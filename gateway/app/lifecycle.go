package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// A stack is the named list of what has been started and must be stopped, last started first.
type stack struct {
	entries []stackEntry
}

type stackEntry struct {
	name  string
	bound time.Duration
	stop  func(context.Context) error
}

// push puts a step on top. Its stop gets a context that ends after bound, and must return then.
func (s *stack) push(name string, bound time.Duration, stop func(context.Context) error) {
	s.entries = append(s.entries, stackEntry{name, bound, stop})
}

// slide puts a step below those that were there first at height, so that it stops after what came later.
func (s *stack) slide(height int, name string, bound time.Duration, stop func(context.Context) error) {
	s.entries = slices.Insert(s.entries, height, stackEntry{name, bound, stop})
}

// unwind stops everything from the top and joins the errors. A step that fails does not keep the ones below from being
// stopped, and neither does the end of ctx: each then gets its chance with a context that has ended.
func (s *stack) unwind(ctx context.Context, log *slog.Logger) error {
	var errs []error
	for len(s.entries) > 0 {
		e := s.entries[len(s.entries)-1]
		s.entries = s.entries[:len(s.entries)-1]
		begin := time.Now()
		if err := e.unwind(ctx); err != nil {
			errs = append(errs, err)
		}
		log.DebugContext(ctx, "part stopped", "part", e.name, "took", time.Since(begin))
	}
	return errors.Join(errs...)
}

func (e *stackEntry) unwind(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.bound)
	defer cancel()
	if err := e.stop(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", e.name, err)
	}
	return nil
}

// A runner runs parts, each in a goroutine that it waits for, and keeps the first failure of any.
type runner struct {
	log    *slog.Logger
	failed chan struct{} // closed with the first failure

	mu      sync.Mutex
	failure error
}

func newRunner(log *slog.Logger) *runner {
	return &runner{log: log, failed: make(chan struct{})}
}

// start runs a part until the returned stop is called. A part that returns before that has failed, whatever it returns.
// stop ends the part's context and waits for it as long as its own context lasts; it returns what the part did, which
// is nil for a part that stopped because it was told to.
func (r *runner) start(ctx context.Context, name string, run func(context.Context) error) (stop func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		err := run(ctx)
		if ctx.Err() == nil {
			r.fail(name, err)
			err = nil // told once, by failure
		}
		done <- err
	}()
	return func(waiting context.Context) error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-waiting.Done():
			return errors.New("it is still running")
		}
	}
}

func (r *runner) fail(name string, err error) {
	if err == nil {
		err = errors.New("it returned")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure != nil {
		return
	}
	r.failure = fmt.Errorf("run %s: %w", name, err)
	r.log.Error("part failed", "part", name, "error", err)
	close(r.failed)
}

// err is the first failure, or nil.
func (r *runner) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure
}
