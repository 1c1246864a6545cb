package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestTheStackStopsInReverseOrderWhateverFails(t *testing.T) {
	var s stack
	var order []string
	for _, name := range []string{"bus", "hub", "door"} {
		s.push(name, time.Second, func(context.Context) error {
			order = append(order, name)
			if name == "hub" {
				return errors.New("no")
			}
			return nil
		})
	}
	err := s.unwind(t.Context(), quiet())
	if !slices.Equal(order, []string{"door", "hub", "bus"}) {
		t.Errorf("stopped in the order %v", order)
	}
	if err == nil || err.Error() != "stop hub: no" {
		t.Errorf("error is %v", err)
	}
	if err := s.unwind(t.Context(), quiet()); err != nil || len(order) != 3 {
		t.Errorf("the second time: error %v, %d stops", err, len(order))
	}
}

func TestAPartThatDoesNotStopIsLeftAfterItsBoundAndTheRestIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s stack
		r := newRunner(quiet())
		release, below := make(chan struct{}), false
		s.push("below", time.Second, func(context.Context) error { below = true; return nil })
		s.push("stubborn", time.Second, r.start(t.Context(), "stubborn", func(context.Context) error { <-release; return nil }))
		err := s.unwind(t.Context(), quiet()) // returns at all: time is false here
		if err == nil || err.Error() != "stop stubborn: it is still running" || !below {
			t.Errorf("error is %v, the part below was stopped: %v", err, below)
		}
		close(release)
	})
}

func TestAStackStopsEverythingThoughItsContextHasEnded(t *testing.T) {
	var s stack
	r := newRunner(quiet())
	for range 3 {
		s.push("part", time.Second, r.start(t.Context(), "part", func(ctx context.Context) error { <-ctx.Done(); return nil }))
		s.push("check", time.Second, func(ctx context.Context) error { return ctx.Err() })
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.unwind(ctx, quiet()); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if len(s.entries) != 0 {
		t.Errorf("%d steps are left", len(s.entries))
	}
}

func TestThePartThatFailsFirstIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		returned error
		want     string
	}{
		"with an error": {errors.New("disk on fire"), "run door: disk on fire"},
		"by returning":  {nil, "run door: it returned"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(quiet())
			stopHub := r.start(t.Context(), "hub", func(ctx context.Context) error { <-ctx.Done(); return nil })
			stopDoor := r.start(t.Context(), "door", func(context.Context) error { return c.returned })
			<-r.failed
			if err := r.err(); err == nil || err.Error() != c.want {
				t.Errorf("failure is %v, want %s", err, c.want)
			}
			for _, stop := range []func(context.Context) error{stopDoor, stopHub} {
				if err := stop(t.Context()); err != nil {
					t.Errorf("stop repeats the failure: %v", err)
				}
			}
		})
	}
}

func TestAnErrorWhileStoppingIsReturnedByStop(t *testing.T) {
	r := newRunner(quiet())
	stop := r.start(t.Context(), "bridge", func(ctx context.Context) error { <-ctx.Done(); return errors.New("last flush refused") })
	if err := stop(t.Context()); err == nil || !strings.Contains(err.Error(), "last flush refused") {
		t.Errorf("error is %v", err)
	}
	if r.err() != nil {
		t.Errorf("it counts as a failure: %v", r.err())
	}
}
