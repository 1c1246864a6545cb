package redisbus

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

func TestWhoOwnsWhatIsTold(t *testing.T) {
	s := startServer(t)
	b := open(t, s.url(), func(o *Options) { o.Partitions = 3 })
	operator := open(t, s.url(), sameStore(b))
	owners, bridges, err := operator.Owners(testContext(t))
	if err != nil || len(owners) != 3 || len(bridges) != 0 {
		t.Fatalf("of a new store: %+v, %+v, %v", owners, bridges, err)
	}
	for i, o := range owners {
		if o.Partition != i || o.Held || o.Bridge != "" || o.Offset != 0 || o.Published != 0 || o.Unread != 0 {
			t.Errorf("%+v", o)
		}
	}
	l := own(t, b, 1)
	now := time.Now()
	if _, err := l.Publish(testContext(t), &bus.Flush{Time: now.UnixMilli(), Changes: []bus.Change{change(fleetIn(1, 3), 1, "a")}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Append(testContext(t), bus.Append{Door: 1, Seq: 1, Entries: []bus.Entry{entry(fleetIn(1, 3), 1), entry(fleetIn(2, 3), 2), entry(fleetIn(2, 3), 3)}}); err != nil {
		t.Fatal(err)
	}
	s.do(t, "SET", b.keys[0].lease, "a bridge of before", "PX", "60000") // they had no names
	name := fmt.Sprintf("%016x", uint64(b.share.name))
	eventually(t, "the bridge is told", func() error {
		if owners, bridges, err = operator.Owners(testContext(t)); err != nil || len(bridges) != 1 {
			return fmt.Errorf("%+v, %w", bridges, err)
		}
		return nil
	})
	if bridges[0] != (Bridge{Name: name, Owns: 1, Able: true}) {
		t.Errorf("%+v, want %s", bridges, name)
	}
	if o := owners[0]; !o.Held || o.Bridge != "" {
		t.Errorf("%+v", o)
	}
	if o := owners[1]; !o.Held || o.Bridge != name || o.Offset != 1 || o.Published != now.UnixMilli() || o.Unread != 1 || o.LapsesMS <= 0 {
		t.Errorf("%+v", o)
	}
	if o := owners[2]; o.Held || o.Unread != 2 {
		t.Errorf("%+v", o)
	}
}

func TestABridgeTooManyIsCounted(t *testing.T) {
	s := startServer(t)
	b := open(t, s.url(), func(o *Options) { o.Partitions = 1 })
	args := []any{"ZADD", bridgesKey(b.opts.Prefix)}
	for n := range bus.MaxLiveDoors {
		args = append(args, time.Now().Add(time.Hour).UnixMilli(), fmt.Sprintf("%016x1", n+1))
	}
	s.do(t, args...)
	l := own(t, b, 0) // after the others had their time
	eventually(t, "it is counted", func() error {
		if b.Stats().Counts["bridges_over"] == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	publish(t, l, change(fleetIn(0, 1), 1, "a"))
}
