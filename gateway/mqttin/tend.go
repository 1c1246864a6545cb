package mqttin

import (
	"context"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// tendEvery is how often what ends by itself is looked for, and sweepEvery how often what nobody needs any more.
const (
	tendEvery  = time.Second
	sweepEvery = 15 * time.Second
)

// tend ends kept sessions and credentials when their time has come, until ctx ends.
func (b *Broker) tend(ctx context.Context) {
	ticker := time.NewTicker(tendEvery)
	defer ticker.Stop()
	swept := time.Now()
	for {
		select {
		case now := <-ticker.C:
			b.endOutdated(now)
			if now.Sub(swept) >= sweepEvery {
				swept = now
				b.sweep(now)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (b *Broker) endOutdated(now time.Time) {
	expired, wills := b.registry.due(now)
	for _, s := range expired {
		b.forget(s)
	}
	for _, s := range wills {
		b.sendWill(s, now)
	}
	for _, s := range b.registry.outdated(now) {
		b.revoke(s, CredentialExpired, packets.ErrMaxConnectTime)
	}
}

// sweep forgets packet ids of QoS 2 that were never released, messages that have expired, and accounts that nothing is
// remembered of.
func (b *Broker) sweep(now time.Time) {
	for _, s := range b.registry.all() {
		if s.client.State.Inflight.Len() > 0 {
			s.client.ClearExpiredInflights(now.Unix(), int64(b.limits.SessionExpiry/time.Second))
		}
		if x := s.box.Load(); x != nil {
			x.sweep(now)
		}
	}
	b.retained.sweep(now)
	b.registry.sweep(now)
}

// watch ends what the authenticator says no longer holds, until ctx ends.
func (b *Broker) watch(ctx context.Context) {
	pause := retryFirst
	for ctx.Err() == nil {
		if err := b.auth.Watch(ctx, b.recheck); err == nil || ctx.Err() != nil {
			return
		}
		b.counters.note(WatchFailed, "")
		b.recheck(nil) // who was revoked meanwhile is not known
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, retryMost)
	}
}

// recheck ends the connections and sessions of accounts whose credential no longer holds, and has every topic judged
// anew.
func (b *Broker) recheck(accounts []string) {
	b.generation.Add(1)
	for _, s := range b.registry.of(accounts) {
		if !b.auth.Holds(s.who) {
			b.revoke(s, Revoked, packets.ErrAdministrativeAction)
		}
	}
}

// revoke ends a session whose credential does not hold any more, in a goroutine of its own: the word of why is written
// to a peer that may not read.
func (b *Broker) revoke(s *session, why Reason, code packets.Code) {
	if s.revoked.Swap(true) {
		return
	}
	b.counters.note(why, s.conn.remote)
	s.conn.write.Store(int64(stopWrite))
	_ = s.conn.SetWriteDeadline(time.Now().Add(stopWrite)) // of a write that hangs already
	b.writers.Go(func() {
		s.kick(code)
		s.client.Stop(code)
		b.forget(s)
	})
}

// slow has a connection wait that sends more than its account may. The time is that of the goroutine which reads it, so
// the device is held back by TCP.
func (b *Broker) slow(s *session, bytes int) error {
	if s.holder == nil { // open mode
		return nil
	}
	wait := s.holder.meter.take(time.Now(), bytes, &s.who.Rates)
	if wait == 0 {
		return nil
	}
	if wait > time.Duration(s.client.State.Keepalive)*time.Second {
		b.counters.note(RateExceeded, s.conn.remote)
		return packets.ErrMessageRateTooHigh
	}
	b.counters.note(RatePaused, s.conn.remote)
	s.conn.leave()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.halt:
	}
	return nil
}
