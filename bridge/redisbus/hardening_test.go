package redisbus

import (
	"errors"
	"fmt"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func TestAServerWithoutShardedChannelsIsUsed(t *testing.T) {
	s := startServer(t, "--rename-command", "SPUBLISH", "", "--rename-command", "SSUBSCRIBE", "")
	b := open(t, s.url(), quick)
	l := own(t, b, 0)
	v := watch(t, b, 0)
	at := publish(t, l, change(fleetIn(0, 1), 1, "a"))
	v.until(t, at)
	v.mustHold(t, 1, "a")
	if v.snapshots != 1 {
		t.Fatalf("%d snapshots: the batch did not come by the channel", v.snapshots)
	}
}

func TestAKilledSubscriptionMissesNothing(t *testing.T) {
	s := startServer(t)
	b := open(t, s.url(), quick)
	l := own(t, b, 0)
	v := watch(t, b, 0)
	for n := range 30 {
		if n%5 == 0 {
			s.do(t, "CLIENT", "KILL", "TYPE", "pubsub")
		}
		v.until(t, publish(t, l, change(fleetIn(0, 1), n%3, fmt.Sprint(n))))
		v.mustHold(t, n%3, fmt.Sprint(n))
	}
	if v.snapshots != 1 {
		t.Fatalf("%d snapshots: gaps were not filled from the log", v.snapshots)
	}
}

func TestALargeFlushGoesInPartsInOrder(t *testing.T) {
	s := startServer(t)
	b := open(t, s.url())
	f := fleetIn(0, 1)
	l := own(t, b, 0)
	if err := door(b)(t.Context(), entry(f, 1)); err != nil {
		t.Fatal(err)
	}
	got, err := l.Read(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	feed, err := b.Watch(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Next(testContext(t)); err != nil {
		t.Fatal(err)
	}
	flush := bus.Flush{Time: 1, Consumed: got[0].ID, Events: []bus.Event{{Name: "alert", Device: deviceN(1499), Fleet: f, Data: []byte("{}")}}}
	const many = 1500
	for n := range many {
		c := change(f, n, "a")
		c.Frame = append(c.Frame, make([]byte, 3<<10)...)
		flush.Changes = append(flush.Changes, c)
	}
	at, err := l.Publish(testContext(t), &flush)
	if err != nil {
		t.Fatal(err)
	}
	next, batches, events := 0, 0, 0
	for next < many || events == 0 {
		u, err := feed.Next(testContext(t))
		if err != nil || u.Batch == nil {
			t.Fatal(u, err)
		}
		batches++
		events += len(u.Batch.Events)
		for i := range u.Batch.Changes {
			if u.Batch.Changes[i].Device != deviceN(next) {
				t.Fatalf("change %d is of %s", next, u.Batch.Changes[i].Device)
			}
			next++
		}
		if last := u.Batch.Position.Offset == at.Offset; last != (events > 0) {
			t.Fatalf("batch %d of %d, events %d", u.Batch.Position.Offset, at.Offset, events)
		}
	}
	if batches < 3 || uint64(batches) != at.Offset {
		t.Fatalf("%d parts, offset %d", batches, at.Offset)
	}
	if n := s.do(t, "XLEN", b.keys[0].inlet); n != int64(0) {
		t.Fatalf("the inlet holds %v", n)
	}
}

func TestTheLogIsBounded(t *testing.T) {
	s := startServer(t)
	b := open(t, s.url(), func(o *Options) { o.MaxLogBatches, o.MaxLogBytes = 20, 30_000 })
	l := own(t, b, 0)
	for n := range 50 {
		publish(t, l, change(fleetIn(0, 1), n, "a"))
	}
	if n := s.do(t, "XLEN", b.keys[0].log); n != int64(20) {
		t.Errorf("the log holds %v batches", n)
	}
	for n := range 50 {
		c := change(fleetIn(0, 1), n, "a")
		c.Frame = append(c.Frame, make([]byte, 4000)...)
		publish(t, l, c)
	}
	if n := s.do(t, "XLEN", b.keys[0].log).(int64); n > 8 {
		t.Errorf("the log holds %v batches of 4 KB", n)
	}
}

func TestDoorsThatRestartForEverAreForgotten(t *testing.T) {
	s := startServer(t)
	b := open(t, s.url())
	for n := range maxDoors + 20 {
		if err := door(b)(t.Context(), entry(fleetIn(0, 1), n)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.do(t, "HLEN", b.keys[0].doors); n != int64(maxDoors) {
		t.Fatalf("%v doors are remembered", n)
	}
}

func TestAStoreWithForeignBytesStopsNobody(t *testing.T) {
	s := startServer(t)
	b := open(t, s.url(), quick)
	l := own(t, b, 0)
	v := watch(t, b, 0)
	for _, garbage := range []string{"", "1", "1 2 3 4 5 6\n", "1 99999999999999999999 0 0 0 x\n", "\x00\n\x21"} {
		s.do(t, "SPUBLISH", b.keys[0].live, garbage)
	}
	at := publish(t, l, change(fleetIn(0, 1), 1, "a"))
	v.until(t, at)
	v.mustHold(t, 1, "a")
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.do(t, "XADD", b.keys[0].inlet, "900-0", "t", "1", "n", "x", "e", "garbage")
	_, err := own(t, b, 0).Read(t.Context(), 1)
	if err == nil || errors.Is(err, bus.ErrLost) {
		t.Fatalf("an inlet that cannot be read gives %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]Options{
		"no url":              {},
		"negative partitions": {URL: "redis://x", Partitions: -1},
		"too many partitions": {URL: "redis://x", Partitions: bus.MaxPartitions + 1},
		"a brace in the keys": {URL: "redis://x", Prefix: "a{b}"},
		"a negative bound":    {URL: "redis://x", MaxEvents: -1},
		"too short a lease":   {URL: "redis://x", LeaseTTL: 1},
	} {
		if _, err := Open(t.Context(), o); devices.KindOf(err) != devices.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
