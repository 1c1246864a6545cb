package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Alive tells by an error that the process should be killed: a part failed, or does not answer for its counters within
// ctx, which takes the locks that its work takes. Nothing that another program is or does makes it fail. It waits for one
// answer at a time.
func (a *App) Alive(ctx context.Context) error {
	select {
	case <-a.runner.failed:
		return a.runner.err()
	default:
	}
	select {
	case a.asked <- struct{}{}:
	case <-ctx.Done():
		return errors.New("the answer before is still waited for")
	}
	answered := make(chan struct{})
	go func() {
		defer func() { <-a.asked }()
		defer close(answered)
		a.stats()
	}()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the parts' counters: %w", ctx.Err())
	}
}

// Status is one line for people: whether work may be sent here, and what is in the way.
func (a *App) Status() string {
	var reasons []string
	for _, c := range a.parts.allChecks() {
		if reason := c.Ready(); reason != "" {
			reasons = append(reasons, c.Role+": "+reason)
		}
	}
	if len(reasons) > 0 {
		return "not ready: " + strings.Join(reasons, "; ")
	}
	return "ready: " + a.opts.roles().String()
}
