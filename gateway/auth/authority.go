package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/secret"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Defaults and bounds of Options.
const (
	DefaultSessionTTL = 12 * time.Hour
	MaxSessionTTL     = 30 * 24 * time.Hour
	// MaxTokenTTL bounds what is signed here: a token is a proof that lies about in files.
	MaxTokenTTL = 365 * 24 * time.Hour
	// TicketTTL is how long a ticket waits to be used first.
	TicketTTL = 30 * time.Second
	// MaxSessions and MaxSessionsPerUser bound who is signed in at once; past the second a person's oldest ends.
	MaxSessions        = 10_000
	MaxSessionsPerUser = 20
	MaxUsers           = 10_000
	MaxKeys            = 10_000

	housekeepingEvery = time.Minute
)

// Options of an Authority. Store must be set.
type Options struct {
	Store store.Store
	// JWT are keys of an identity provider, and what its tokens must say of themselves. JWKS are places where it
	// publishes keys.
	JWT  secret.JWTOptions
	JWKS []JWKSOptions
	// LocalToken is what the command line on this machine shows: it read it where only this program's owner can. It
	// opens everything, and ends with the process. "" is none.
	LocalToken string
	// SessionTTL is how long who signed in stays so.
	SessionTTL time.Duration
	// SecureCookies says that people come by https only: cookies are then for this host and https alone.
	SecureCookies bool
	Now           func() time.Time
	Logger        *slog.Logger
}

// Authority knows who may ask. Its methods may be called concurrently.
type Authority struct {
	o        Options
	log      *slog.Logger
	dir      *directory
	follower *store.Follower
	pass     *secret.Passwords
	provider *secret.JWTVerifier // nil: no fixed keys of others
	jwks     []*jwks
	throttle *throttle
	counts   counters

	changing sync.Mutex // one change of people at a time, so that what is counted and what is written agree
}

// New checks the options. It starts nothing.
func New(o Options) (*Authority, error) {
	if o.Store == nil {
		return nil, errors.New("make authority: a store is needed")
	}
	if o.SessionTTL == 0 {
		o.SessionTTL = DefaultSessionTTL
	}
	if o.SessionTTL < time.Minute || o.SessionTTL > MaxSessionTTL {
		return nil, devices.Errorf(devices.Invalid, "session-ttl", "is not between 1m and %v", MaxSessionTTL)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Authority{o: o, log: o.Logger, dir: newDirectory(o.Now), pass: secret.NewPasswords(0), throttle: newThrottle(o.Now)}
	var err error
	if a.provider, err = secret.NewJWTVerifier(o.JWT, o.Now); err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	for _, each := range o.JWKS {
		k, err := newJWKS(each, o.Now, o.Logger)
		if err != nil {
			return nil, fmt.Errorf("make authority: %w", err)
		}
		a.jwks = append(a.jwks, k)
	}
	a.follower = store.NewFollower(o.Store, a.dir.apply, KindUser, KindKey, KindSession, KindSigning, KindRevoked, KindTicket, KindSetup)
	return a, nil
}

// Run follows the store and removes what has ended until ctx ends. It returns an error only where the store was closed
// under it.
func (a *Authority) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { a.keepHouse(ctx) })
	for _, k := range a.jwks {
		wg.Go(func() { k.run(ctx) })
	}
	err := a.follower.Run(ctx)
	cancel()
	wg.Wait()
	if err != nil {
		return fmt.Errorf("follow store: %w", err)
	}
	return nil
}

// Ready tells whether the store was read once. Until then nobody is let in.
func (a *Authority) Ready() bool { return a.follower.Ready() }

var errNotLoaded = devices.Errorf(devices.Unavailable, "", "who may ask is not loaded yet; try again")

// keepHouse removes records whose time is over, a few at a time. Every edge does; what another has removed is no error.
func (a *Authority) keepHouse(ctx context.Context) {
	tick := time.NewTicker(housekeepingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		a.throttle.forget()
		if ops := a.ended(); len(ops) > 0 {
			if _, err := a.o.Store.Commit(ctx, ops); err != nil && ctx.Err() == nil {
				a.log.Warn("what has ended was not removed", "error", err)
			}
		}
	}
}

// ended are deletions of records whose time is over.
func (a *Authority) ended() []store.Op {
	now := a.o.Now().UnixMilli()
	var ops []store.Op
	add := func(kind store.Kind, id string, expires int64) {
		if expires != 0 && expires < now && len(ops) < store.MaxOps {
			ops = append(ops, store.Op{Kind: kind, ID: id})
		}
	}
	a.dir.mu.RLock()
	defer a.dir.mu.RUnlock()
	for id, s := range a.dir.sessions {
		add(KindSession, id, s.Expires)
	}
	for id, k := range a.dir.keys {
		add(KindKey, id, k.Expires)
	}
	for kind, of := range map[store.Kind]map[string]int64{KindRevoked: a.dir.revoked, KindTicket: a.dir.tickets, KindSetup: a.dir.setups} {
		for id, expires := range of {
			add(kind, id, expires)
		}
	}
	return ops
}

// commit writes, and waits until this edge knows what it wrote.
func (a *Authority) commit(ctx context.Context, ops ...store.Op) error {
	at, err := a.o.Store.Commit(ctx, ops)
	if err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	if err := a.follower.Wait(ctx, at); err != nil {
		return fmt.Errorf("wait for what was kept: %w", err)
	}
	return nil
}

// newName returns a random name of so many bytes' worth.
func newName(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// Wait waits until the store was read once.
func (a *Authority) Wait(ctx context.Context) error {
	if err := a.follower.Wait(ctx, 0); err != nil {
		return fmt.Errorf("wait for the store: %w", err)
	}
	return nil
}
