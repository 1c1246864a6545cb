package redisbus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// The library's settings, and why they are not its defaults:
//
//   - MaxRetries -1: a script that timed out may have run. What we repeat carries a number or a call id by which the
//     script knows it; the library's own repetitions would be none that we count or bound.
//   - ContextTimeoutEnabled: else deadlines of contexts are ignored.
//   - Protocol 2 and no maintenance notifications: no pushes between replies that we do not use.
//   - PipelinePoolSize -1 and small buffers: the library would hold 64 KiB and a second pool for each server.
//
// A Cluster's client still follows redirections, and repeats on them; every script may be repeated.
func newClient(l *location, tlsConfig *tls.Config, poolSize int) redis.UniversalClient {
	off := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if !l.tls {
		tlsConfig = nil
	} else if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	switch l.topology {
	case sentinel:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: l.master, SentinelAddrs: l.addrs, DB: l.db, TLSConfig: tlsConfig,
			Username: l.username, Password: l.password,
			SentinelUsername: l.sentinelUsername, SentinelPassword: l.sentinelPassword,
			MaxRetries: -1, Protocol: 2, PoolSize: poolSize, ContextTimeoutEnabled: true, DisableIdentity: true,
			DialTimeout: dialTimeout, ReadTimeout: attemptTimeout, WriteTimeout: attemptTimeout, PoolTimeout: attemptTimeout,
			ReadBufferSize: connectionBufferSize, WriteBufferSize: connectionBufferSize, DialerRetries: 1, PipelinePoolSize: -1,
		})
	case cluster:
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: l.addrs, Username: l.username, Password: l.password, TLSConfig: tlsConfig,
			MaxRetries: -1, Protocol: 2, PoolSize: poolSize, ContextTimeoutEnabled: true, DisableIdentity: true,
			DialTimeout: dialTimeout, ReadTimeout: attemptTimeout, WriteTimeout: attemptTimeout, PoolTimeout: attemptTimeout,
			ReadBufferSize: connectionBufferSize, WriteBufferSize: connectionBufferSize, DialerRetries: 1,
			MaintNotificationsConfig: off,
		})
	case standalone:
	}
	return redis.NewClient(&redis.Options{
		Addr: l.addrs[0], Username: l.username, Password: l.password, DB: l.db, TLSConfig: tlsConfig,
		MaxRetries: -1, Protocol: 2, PoolSize: poolSize, PipelinePoolSize: -1, ContextTimeoutEnabled: true, DisableIdentity: true,
		DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: attemptTimeout, WriteTimeout: attemptTimeout, PoolTimeout: attemptTimeout,
		ReadBufferSize: connectionBufferSize, WriteBufferSize: connectionBufferSize,
		MaintNotificationsConfig: off,
	})
}

// quietLibrary keeps the library from writing to stderr: what it would say reaches us as errors.
type quietLibrary struct{}

// Printf implements the library's logger.
func (quietLibrary) Printf(context.Context, string, ...any) {}

// call runs a step until it succeeds, it is refused for good, ctx ends or CallTimeout is over. Steps must be fit to be
// repeated: a try that got no answer may have been carried out.
func (b *Bus) call(ctx context.Context, what string, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, b.opts.CallTimeout, errGaveUp)
	defer cancel()
	pause := backOff{}
	for {
		err := b.attempt(ctx, step)
		if err == nil || !isPassing(err) {
			return err
		}
		b.counters.add(countRetries)
		if !pause.wait(ctx, b.closed) {
			return b.unavailable(ctx, what, err)
		}
	}
}

// refresh has a Cluster's client ask which server has which slot. By itself it does that when it is redirected, but not
// when a server is gone, and a subscription never makes it.
func (b *Bus) refresh(ctx context.Context) {
	for _, client := range []redis.UniversalClient{b.client, b.blocking} {
		if c, ok := client.(*redis.ClusterClient); ok {
			c.ReloadState(ctx)
		}
	}
}

// attempt is one try. It makes sure first that the store is the one that we think it is.
func (b *Bus) attempt(ctx context.Context, step func(context.Context) error) error {
	if b.isClosed() {
		return bus.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	err := b.verify(ctx)
	if err == nil {
		err = step(ctx)
	}
	if err != nil && b.isClosed() {
		return bus.ErrClosed
	}
	if err != nil && isPassing(err) {
		b.refresh(ctx)
	}
	return err
}

// errGaveUp is the cause of a context that CallTimeout ended, so that it is told from the caller's own.
var errGaveUp = errors.New("no answer in time")

// unavailable is what a caller gets whose call had to be given up: its context's error where that ended, else a kind.
func (b *Bus) unavailable(ctx context.Context, what string, err error) error {
	if b.isClosed() {
		return bus.ErrClosed
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errGaveUp) {
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	b.counters.add(countFailures)
	return &devices.Error{Kind: devices.Unavailable, Detail: "the store does not answer", Err: fmt.Errorf("%s: %w", what, err)}
}

// isPassing tells whether an error may go by itself: the network's, and those by which a server says "not now".
// What is left is a refusal with a kind of its own, a lost lease, a closed bus, or a fault of our scripts.
func isPassing(err error) bool {
	if reply, ok := errors.AsType[redis.Error](err); ok {
		for _, prefix := range []string{
			"LOADING", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "MOVED", "ASK", "OOM", "MISCONF", "BUSY",
			"NOREPLICAS", "UNBLOCKED", "NOSCRIPT", "ERR max number of clients", "NOAUTH", "WRONGPASS",
		} {
			if strings.HasPrefix(reply.Error(), prefix) {
				return true
			}
		}
		// A script that met one of them inside says so in the middle of its message.
		return strings.Contains(reply.Error(), "OOM") || strings.Contains(reply.Error(), "READONLY") || strings.Contains(reply.Error(), "MISCONF")
	}
	if _, ours := errors.AsType[*devices.Error](err); ours || errors.Is(err, bus.ErrLost) || errors.Is(err, bus.ErrClosed) {
		return false
	}
	switch _, network := errors.AsType[net.Error](err); {
	case network, errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout):
		return true
	default:
		return !errors.Is(err, errMalformed) && !errors.Is(err, context.Canceled)
	}
}

// backOff is the pauses between tries: doubled each time, with jitter, so that those who lost a server together do not
// come back to it together.
type backOff struct{ last time.Duration }

// wait returns false where ctx or the bus ended first.
func (p *backOff) wait(ctx context.Context, closed <-chan struct{}) bool {
	p.last = min(max(2*p.last, firstPause), lastPause)
	return pause(ctx, closed, p.last/2+rand.N(p.last/2))
}

func pause(ctx context.Context, closed <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-closed:
	}
	return false
}
