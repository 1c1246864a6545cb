package redisconn

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// AttemptTimeout bounds one try of a call: reads and writes of a connection, and the wait for one.
const AttemptTimeout = 2 * time.Second

const (
	dialTimeout          = time.Second
	connectionBufferSize = 16 << 10
)

// New returns a client that connects when it is first used. The library's settings, and why they are not its defaults:
//
//   - MaxRetries -1: a script that timed out may have run. What we repeat carries a number or a call id by which the
//     script knows it; the library's own repetitions would be none that we count or bound.
//   - ContextTimeoutEnabled: else deadlines of contexts are ignored.
//   - Protocol 2 and no maintenance notifications: no pushes between replies that we do not use.
//   - PipelinePoolSize -1 and small buffers: the library would hold 64 KiB and a second pool for each server.
//
// A Cluster's client still follows redirections, and repeats on them; so whatever is sent must be fit to be repeated.
//
// tlsConfig is used where the URL asks for TLS, in place of the system's roots and TLS 1.2. It is not changed.
func New(l *Location, tlsConfig *tls.Config, poolSize int) redis.UniversalClient {
	quieting.Do(func() { redis.SetLogger(quietLibrary{}) })
	off := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if !l.tls {
		tlsConfig = nil
	} else if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	switch l.Topology {
	case Sentinel:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: l.master, SentinelAddrs: l.addrs, DB: l.db, TLSConfig: tlsConfig,
			Username: l.username, Password: l.password,
			SentinelUsername: l.sentinelUsername, SentinelPassword: l.sentinelPassword,
			MaxRetries: -1, Protocol: 2, PoolSize: poolSize, ContextTimeoutEnabled: true, DisableIdentity: true,
			DialTimeout: dialTimeout, ReadTimeout: AttemptTimeout, WriteTimeout: AttemptTimeout, PoolTimeout: AttemptTimeout,
			ReadBufferSize: connectionBufferSize, WriteBufferSize: connectionBufferSize, DialerRetries: 1, PipelinePoolSize: -1,
		})
	case Cluster:
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: l.addrs, Username: l.username, Password: l.password, TLSConfig: tlsConfig,
			MaxRetries: -1, Protocol: 2, PoolSize: poolSize, ContextTimeoutEnabled: true, DisableIdentity: true,
			DialTimeout: dialTimeout, ReadTimeout: AttemptTimeout, WriteTimeout: AttemptTimeout, PoolTimeout: AttemptTimeout,
			ReadBufferSize: connectionBufferSize, WriteBufferSize: connectionBufferSize, DialerRetries: 1,
			MaintNotificationsConfig: off,
		})
	case Standalone:
	}
	return redis.NewClient(&redis.Options{
		Addr: l.addrs[0], Username: l.username, Password: l.password, DB: l.db, TLSConfig: tlsConfig,
		MaxRetries: -1, Protocol: 2, PoolSize: poolSize, PipelinePoolSize: -1, ContextTimeoutEnabled: true, DisableIdentity: true,
		DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: AttemptTimeout, WriteTimeout: AttemptTimeout, PoolTimeout: AttemptTimeout,
		ReadBufferSize: connectionBufferSize, WriteBufferSize: connectionBufferSize,
		MaintNotificationsConfig: off,
	})
}

// Refresh has a Cluster's client ask which server has which slot. By itself it does that when it is redirected, but not
// when a server is gone, and a subscription never makes it.
func Refresh(ctx context.Context, client redis.UniversalClient) {
	if c, ok := client.(*redis.ClusterClient); ok {
		c.ReloadState(ctx)
	}
}

var quieting sync.Once

// quietLibrary keeps the library from writing to stderr: what it would say reaches us as errors.
type quietLibrary struct{}

// Printf implements the library's logger.
func (quietLibrary) Printf(context.Context, string, ...any) {}
