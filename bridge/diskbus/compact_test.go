package diskbus

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

func TestCompactingLeavesTheStateAndNoOldLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openIn(t, newWorld(), Options{Dir: dir})
	fill(t, b, 40)
	old, err := filepath.Glob(filepath.Join(dir, "log-*"))
	if err != nil || len(old) != 1 {
		t.Fatalf("%v, %v", old, err)
	}
	want := contents(b.memory)
	var wg sync.WaitGroup
	for range 3 { // who asks while one is written gets the next one
		wg.Go(func() {
			if err := b.Compact(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := os.Stat(old[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old log: %v", err)
	}
	if n := b.Stats().Snapshots; n < 1 || n > 3 {
		t.Errorf("%d snapshots", n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if contents(again.memory) != want {
		t.Error("what is there now is not what was held")
	}
}

func TestCompactingEndsWithTheBusOrWhoAsked(t *testing.T) {
	t.Parallel()
	b := openIn(t, newWorld(), Options{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Compact(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Compact(t.Context()); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}
