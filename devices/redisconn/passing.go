package redisconn

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/devices"
)

const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// IsPassing tells whether an error may go by itself: the network's, and those by which a server says "not now". What is
// left is a refusal with a kind of its own, the end of a context that was not a deadline, or a fault of a script.
func IsPassing(err error) bool {
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
	if _, ours := errors.AsType[*devices.Error](err); ours {
		return false
	}
	switch _, network := errors.AsType[net.Error](err); {
	case network, errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout):
		return true
	default:
		return !errors.Is(err, context.Canceled)
	}
}

// BackOff is the pauses between tries: doubled each time, with jitter, so that those who lost a server together do not
// come back to it together.
type BackOff struct{ last time.Duration }

// Wait returns false where ctx or closed ended first.
func (p *BackOff) Wait(ctx context.Context, closed <-chan struct{}) bool {
	p.last = min(max(2*p.last, firstPause), lastPause)
	return Pause(ctx, closed, p.last/2+rand.N(p.last/2))
}

// Pause waits for d; it returns false where ctx or closed ended first.
func Pause(ctx context.Context, closed <-chan struct{}, d time.Duration) bool {
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
