package redisbus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func commandOf(f devices.FleetID, n int, data string) bus.CommandRow {
	return bus.CommandRow{ID: devices.CommandIDFor("", fmt.Sprint(n), devices.DeviceID{}), Device: deviceN(n), Fleet: f, Data: []byte(data)}
}

// commandView folds what one who follows is told.
type commandView struct {
	mu   sync.Mutex
	rows map[devices.CommandID]string
}

func followCommands(t *testing.T, b *Bus) *commandView {
	t.Helper()
	feed, err := b.FollowCommands(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	v := &commandView{rows: map[devices.CommandID]string{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			u, err := feed.Next(context.Background())
			if err != nil {
				return
			}
			v.mu.Lock()
			if u.Whole {
				clear(v.rows)
			}
			for _, r := range u.Rows {
				v.rows[r.ID] = string(r.Data)
			}
			v.mu.Unlock()
		}
	}()
	t.Cleanup(func() { feed.Close(); <-done })
	return v
}

func (v *commandView) until(t *testing.T, rows ...bus.CommandRow) {
	t.Helper()
	eventually(t, "the commands", func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, r := range rows {
			if v.rows[r.ID] != string(r.Data) {
				return fmt.Errorf("%s is %q, want %q", r.ID, v.rows[r.ID], r.Data)
			}
		}
		if len(v.rows) != len(rows) {
			return fmt.Errorf("%d rows, want %d", len(v.rows), len(rows))
		}
		return nil
	})
}

func publishCommands(t *testing.T, l bus.Lease, rows ...bus.CommandRow) {
	t.Helper()
	if _, err := l.Publish(t.Context(), &bus.Flush{Time: 1, Commands: rows}); err != nil {
		t.Fatal(err)
	}
}

// What a server that died has lost is not what the doors hold for ever: they see that it went back.
func TestWhoFollowsCommandsSeesThatTheStoreWentBack(t *testing.T) {
	s := startServer(t, "--save", "3600 1")
	b := open(t, s.url(), quick)
	f := fleetIn(0, 1)
	l := own(t, b, 0)
	v := followCommands(t, b)
	publishCommands(t, l, commandOf(f, 1, "kept"))
	s.do(t, "SAVE")
	publishCommands(t, l, commandOf(f, 1, "lost"), commandOf(f, 2, "lost"))
	v.until(t, commandOf(f, 1, "lost"), commandOf(f, 2, "lost"))
	s.kill()
	s.start(t)
	v.until(t, commandOf(f, 1, "kept"))
	eventually(t, "the owner finds it", func() error {
		if _, err := l.Publish(t.Context(), &bus.Flush{Time: 1, Commands: []bus.CommandRow{commandOf(f, 3, "x")}}); !errors.Is(err, bus.ErrLost) {
			return errors.New("publish goes on")
		}
		return nil
	})
	publishCommands(t, own(t, b, 0), commandOf(f, 3, "new"))
	v.until(t, commandOf(f, 1, "kept"), commandOf(f, 3, "new"))
}

// A path that is cut while rows change is no gap, however many changed: the stream of names is short.
func TestWhoFollowsCommandsMissesNothingOverACut(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.addr())
	b := open(t, s.url(), quick)
	f := fleetIn(0, 1)
	l := own(t, b, 0)
	far := open(t, p.url(), quick, sameStore(b))
	v := followCommands(t, far)
	publishCommands(t, l, commandOf(f, 1, "a"))
	v.until(t, commandOf(f, 1, "a"))
	p.cut()
	publishCommands(t, l, commandOf(f, 1, "b"), commandOf(f, 2, "b"))
	v.until(t, commandOf(f, 1, "b"), commandOf(f, 2, "b"))
	s.do(t, "XTRIM", far.keys[0].told, "MAXLEN", 0) // as if a thousand had come
	s.do(t, "HINCRBY", far.keys[0].meta, "told", 1)
	publishCommands(t, l, commandOf(f, 2, "c"))
	v.until(t, commandOf(f, 1, "b"), commandOf(f, 2, "c"))
	s.do(t, "HSET", far.keys[0].commands, "junk", "junk") // must keep nobody from the others
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	publishCommands(t, own(t, b, 0), commandOf(f, 2, "d"))
	v.until(t, commandOf(f, 1, "b"), commandOf(f, 2, "d"))
}
