package mqttin

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// fakeLogins is one order of announcements for all who follow. It can be held, and it can fail.
type fakeLogins struct {
	mu     sync.Mutex
	list   []fakeLogin
	more   chan struct{}
	held   bool
	broken bool
	asked  int
}

type fakeLogin struct {
	door   bus.DoorID
	logins []bus.LoginMark
}

func (f *fakeLogins) AnnounceLogins(ctx context.Context, door bus.DoorID, logins []bus.LoginMark) error {
	f.mu.Lock()
	held, broken := f.held, f.broken
	f.asked++
	f.mu.Unlock()
	switch {
	case broken:
		return errors.New("the bus is away")
	case held:
		<-ctx.Done()
		return ctx.Err()
	}
	f.put(door, logins...)
	return nil
}

func (f *fakeLogins) put(door bus.DoorID, logins ...bus.LoginMark) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fakeLogin{door, logins})
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
}

func (f *fakeLogins) FollowLogins(ctx context.Context, heard func(bus.DoorID, []bus.LoginMark)) error {
	next := 0
	for {
		f.mu.Lock()
		list := f.list[next:]
		if len(list) == 0 && f.more == nil {
			f.more = make(chan struct{})
		}
		more := f.more
		f.mu.Unlock()
		for _, l := range list {
			heard(l.door, l.logins)
		}
		if next += len(list); len(list) > 0 {
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

// announced waits until the door has heard its own word of a client.
func (h *harness) announced(t testing.TB, id string) {
	t.Helper()
	eventually(t, "the word of "+id, func() bool {
		s := h.sessionOf(id)
		h.registry.mu.Lock()
		defer h.registry.mu.Unlock()
		return s != nil && s.announced
	})
}

func TestAClientThatComesToAnotherDoorEndsItsOlderConnection(t *testing.T) {
	t.Parallel()
	logins := new(fakeLogins)
	auth := newFakeAuth(aDevice("d1", "north"), aDevice("d2", "north"))
	one, two := guarded(t, Options{Logins: logins, Route: true}, auth), guarded(t, Options{Logins: logins}, newFakeAuth(aDevice("d1", "north"), aDevice("d2", "north")))
	o := as("d1")
	o.keep, o.expiry, o.willTopic, o.will = true, 600, "fleets/north/devices/d1/status", "offline"
	first, _ := connect(t, one, o)
	first.subscribe("fleets/north/devices/d1/commands/#", 1, 0)
	other, _ := connect(t, one, as("d2"))
	one.announced(t, "d1")
	second, _ := connect(t, two, o)
	if code := first.reason(); code != 0x8e {
		t.Errorf("reason %#x", code)
	}
	eventually(t, "the end of the session", func() bool { return one.sessionOf("d1") == nil })
	other.ping()
	two.announced(t, "d1")
	second.ping()
	if n := len(one.inlet.of(bus.KindStatus, "")); n != 0 || one.event(TakenElsewhere) != 1 {
		t.Errorf("%d wills, %d were ended", n, one.event(TakenElsewhere))
	}
	if subs := one.routes.match(commandTopic); len(subs) != 0 {
		t.Errorf("%d subscriptions are left", len(subs))
	}
	two.away(t, second) // and what is kept of it ends too
	third, connack := connect(t, one, o)
	if connack[0] != 0 {
		t.Error("a session that was at another door is present")
	}
	eventually(t, "the end of what was kept", func() bool { return two.sessionOf("d1") == nil })
	third.ping()
	one.well(t)
}

// An announcement that comes before one's own is of the older connection: the order tells, and no clock.
func TestTheNewerConnectionStays(t *testing.T) {
	t.Parallel()
	logins := &fakeLogins{held: true}
	h := guarded(t, Options{Logins: logins}, newFakeAuth(aDevice("d1", "north")))
	r, _ := connect(t, h, as("d1"))
	logins.put(77, bus.LoginMark{Account: "d1", Client: "d1"})
	logins.put(78, bus.LoginMark{Account: "somebody", Client: "d1"})
	logins.put(h.Door(), bus.LoginMark{Account: "d1", Client: "d1"}) // as if ours had got through only now
	h.announced(t, "d1")
	r.ping()
	logins.put(78, bus.LoginMark{Account: "somebody", Client: "d1"}) // another account's is another client
	r.ping()
	logins.put(77, bus.LoginMark{Account: "d1", Client: "d1"})
	r.gone()
}

// The bus hangs, or is away: nobody who signs in waits for it, and what is queued for it is bounded.
func TestALoginDoesNotWaitForTheOtherDoors(t *testing.T) {
	t.Parallel()
	logins := &fakeLogins{held: true}
	h := guarded(t, Options{Logins: logins}, newFakeAuth(aDevice("d1", "north")))
	for range 3 {
		r, _ := connect(t, h, as("d1"))
		r.ping()
	}
	s := h.sessionOf("d1")
	for range maxUnannounced + 1 {
		h.announceLogin(s)
	}
	h.counted(t, LoginUnannounced)
	broken := &fakeLogins{broken: true}
	h = guarded(t, Options{Logins: broken}, newFakeAuth(aDevice("d1", "north")))
	r, _ := connect(t, h, as("d1"))
	h.counted(t, LoginUnannounced)
	r.ping()
}

func TestTwoDoorsAreNotPlayedOffAgainstEachOther(t *testing.T) {
	t.Parallel()
	h := start(t, Limits{})
	r := client(t, h, 4, "both")
	s := h.sessionOf("both")
	h.registry.mu.Lock()
	s.announced = true
	h.registry.mu.Unlock()
	now := time.Now()
	for i := range flapBurst + 1 {
		got := h.registry.heard(&bus.LoginMark{Client: "both"}, false, now)
		if (got == s) != (i < flapBurst) {
			t.Fatalf("takeover %d: %v", i, got)
		}
	}
	r.ping()
}
