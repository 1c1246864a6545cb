package mqttin

import (
	"context"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// Where several doors share a bus, a client that comes to another door than the one that has its connection must end that
// one: a client id has one connection [MQTT-3.1.4-3], and a dead one would look alive until its keep-alive. So each door
// announces who signed in, and ends what it has of a client that signed in elsewhere after that.
//
// After, by the one order in which all doors hear the announcements: a door that hears another's and has not heard its own
// of the same client yet has the newer connection, and the other will hear so. Clocks are not asked.
//
// A login does not wait for it. What cannot be announced is not announced: the older connection then ends by its
// keep-alive, and presence, which counts connections, is right either way.

// elsewhere is what one door knows of the others.
type elsewhere struct {
	logins bus.Logins // nil: there is one door

	mu      sync.Mutex
	pending []bus.LoginMark
	wake    chan struct{} // of capacity 1: pending is not empty
}

// maxUnannounced bounds the logins that wait to be announced.
const maxUnannounced = 32_768

// announce queues a login.
func (b *Broker) announceLogin(s *session) {
	e := &b.elsewhere
	if e.logins == nil {
		return
	}
	e.mu.Lock()
	full := len(e.pending) >= maxUnannounced
	if !full {
		e.pending = append(e.pending, bus.LoginMark{Account: s.who.Account, Client: s.client.ID})
	}
	e.mu.Unlock()
	if full {
		b.counters.note(LoginUnannounced, s.conn.remote)
		return
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *elsewhere) take() []bus.LoginMark {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.pending
	e.pending = nil
	return list
}

// tellLogins announces until ctx ends: what came while the last announcement was under way goes with the next.
func (b *Broker) tellLogins(ctx context.Context) {
	for {
		select {
		case <-b.elsewhere.wake:
		case <-ctx.Done():
			return
		}
		list := b.elsewhere.take()
		if len(list) == 0 {
			continue
		}
		if err := b.elsewhere.logins.AnnounceLogins(ctx, b.door, list); err != nil && ctx.Err() == nil {
			b.counters.noteMany(LoginUnannounced, len(list))
		}
	}
}

// hearLogins follows what doors announce until ctx ends.
func (b *Broker) hearLogins(ctx context.Context) {
	pause := retryFirst
	for ctx.Err() == nil {
		began := time.Now()
		_ = b.elsewhere.logins.FollowLogins(ctx, b.heardLogins) // it is told by the bus's own counters
		if time.Since(began) > retryMost {
			pause = retryFirst
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		pause = min(2*pause, retryMost)
	}
}

// heardLogins ends sessions of clients that signed in elsewhere.
func (b *Broker) heardLogins(door bus.DoorID, logins []bus.LoginMark) {
	for i := range logins {
		s := b.registry.heard(&logins[i], door == b.door, time.Now())
		if s != nil {
			b.endElsewhere(s)
		}
	}
}

// heard notes that the announcement of a session was heard, or returns the session that another door's ends: of the same
// client and account, and announced before. Two clients that throw each other out over two doors are slowed as at one.
func (r *registry) heard(l *bus.LoginMark, own bool, now time.Time) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[l.Client]
	switch {
	case s == nil || s.who.Account != l.Account:
	case own:
		s.announced = true
	case s.announced && (s.isKept || r.flaps.take(l.Client, now)):
		return s
	}
	return nil
}

// endElsewhere ends a session whose client is at another door, in a goroutine of its own, as revoke does. Its last will is
// not heard: it speaks of a device that is there.
func (b *Broker) endElsewhere(s *session) {
	if s.elsewhere.Swap(true) {
		return
	}
	b.counters.note(TakenElsewhere, s.conn.remote)
	s.conn.write.Store(int64(stopWrite))
	_ = s.conn.SetWriteDeadline(time.Now().Add(stopWrite))
	b.writers.Go(func() {
		s.kick(packets.ErrSessionTakenOver)
		s.client.Stop(packets.ErrSessionTakenOver)
		b.forget(s)
	})
}
