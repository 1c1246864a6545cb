package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/secret"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Policy says what becomes of a device that is not registered.
type Policy string

// The policies.
const (
	// Refuse lets nobody in who is not registered.
	Refuse Policy = "refuse"
	// Quarantine refuses too, but shows who asked.
	Quarantine Policy = "quarantine"
	// Register registers a device when it speaks for the first time: in open mode any, else one that a gateway speaks
	// for in one of its fleets.
	Register Policy = "register"
)

// The defaults and bounds of Options.
const (
	DefaultMaxDevices        = 100_000
	DefaultRegisterPerMinute = 6_000
	DefaultMaxStrangers      = 1_000
	DefaultStrangersAMinute  = 30
	strangerAge              = 7 * 24 * time.Hour

	// visibleWithin bounds how long a change that was committed is waited for to show in this process.
	visibleWithin = 2 * time.Second
	// attempts bounds how often a change is tried that others' changes overtook.
	attempts = 5
)

// Options of a Registry. Store is needed; zero values stand for the defaults.
type Options struct {
	Store store.Store
	// Open: whoever connects is anonymous, and Unknown is Register.
	Open    bool
	Unknown Policy // Refuse
	// MaxDevices bounds the devices of the installation.
	MaxDevices int
	// RegisterPerMinute bounds how many devices register themselves. Further ones wait for their turn; in open mode they
	// may speak meanwhile.
	RegisterPerMinute int
	// MaxStrangers bounds the quarantine.
	MaxStrangers int
	// StrangersPerMinute bounds how many come into quarantine: each costs a write and a hash.
	StrangersPerMinute int
	// Hashers is how many passwords are hashed at once.
	Hashers int
	JWT     secret.JWTOptions
	Now     func() time.Time
	Logger  *slog.Logger
}

// Registry is the devices, fleets and credentials of an installation as this process sees them. Its methods may be
// called concurrently.
type Registry struct {
	o        Options
	log      *slog.Logger
	dir      *directory
	follower *store.Follower
	pass     *secret.Passwords
	jwt      *secret.JWTVerifier
	counts   counters

	changing sync.Mutex // changes by people, one at a time, so that bounds of numbers hold in this process
	waiting  waitingList
}

// New checks the options and wires a registry. It starts nothing.
func New(o Options) (*Registry, error) {
	if o.Store == nil {
		return nil, devices.Errorf(devices.Invalid, "store", "is missing")
	}
	setDefault(&o.Unknown, Refuse)
	setDefault(&o.MaxDevices, DefaultMaxDevices)
	setDefault(&o.RegisterPerMinute, DefaultRegisterPerMinute)
	setDefault(&o.MaxStrangers, DefaultMaxStrangers)
	setDefault(&o.StrangersPerMinute, DefaultStrangersAMinute)
	setDefault(&o.Hashers, secret.DefaultHashers)
	if o.Open {
		o.Unknown = Register
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch o.Unknown {
	case Refuse, Quarantine, Register:
	default:
		return nil, devices.Errorf(devices.Invalid, "unknown devices", "%q is none of %s, %s, %s", o.Unknown, Refuse, Quarantine, Register)
	}
	verifier, err := secret.NewJWTVerifier(o.JWT, o.Now)
	if err != nil {
		return nil, err
	}
	r := &Registry{o: o, log: o.Logger, dir: newDirectory(), pass: secret.NewPasswords(o.Hashers), jwt: verifier, waiting: newWaitingList()}
	r.follower = store.NewFollower(o.Store, r.dir.apply, KindDevice, KindFleet, KindCredential, KindStranger)
	return r, nil
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Run follows the store, and registers and quarantines who asked, until ctx ends. It returns an error only where the
// store was closed under it.
func (r *Registry) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { r.register(ctx) })
	err := r.follower.Run(ctx)
	cancel()
	wg.Wait()
	if err != nil {
		return fmt.Errorf("follow store: %w", err)
	}
	return nil
}

// Ready tells whether the registry has been loaded. It stays so while the store is away.
func (r *Registry) Ready() bool { return r.follower.Ready() }

// Wait waits until the registry has all up to a revision of the store; with 0, until it is loaded.
func (r *Registry) Wait(ctx context.Context, at store.Revision) error {
	return r.follower.Wait(ctx, at)
}

// Revision is how far the registry follows the store.
func (r *Registry) Revision() (store.Revision, bool) { return r.follower.Revision() }

// Follow begins a feed of what changes.
func (r *Registry) Follow() *Feed { return r.dir.feed() }

// Open tells whether the registry asks nobody for credentials.
func (r *Registry) Open() bool { return r.o.Open }

func (r *Registry) nowMS() int64 { return r.o.Now().UnixMilli() }

// put is the op that writes a value, which is one of this package's and so is JSON.
func put(kind store.Kind, id string, v any, condition store.Condition) (store.Op, error) {
	value, err := json.Marshal(v)
	if err != nil {
		return store.Op{}, fmt.Errorf("encode %s: %w", kind, err)
	}
	return store.Op{Kind: kind, ID: id, Value: value, If: condition}, nil
}

// commit writes and waits, for a bounded time, until this process sees what it wrote: who creates a device and lists the
// devices expects it there.
func (r *Registry) commit(ctx context.Context, ops []store.Op) (store.Revision, error) {
	at, err := r.o.Store.Commit(ctx, ops)
	if err != nil {
		return 0, err
	}
	visible, cancel := context.WithTimeout(ctx, visibleWithin)
	defer cancel()
	_ = r.follower.Wait(visible, at) // it is committed; that it does not show yet is no failure
	return at, nil
}

// load reads the present value of a record from the store, not from memory, which may be behind.
func load[T any](ctx context.Context, r *Registry, kind store.Kind, id string, missing error) (*T, store.Revision, error) {
	record, err := r.o.Store.Get(ctx, kind, id)
	switch {
	case errors.Is(err, store.ErrNotFound), devices.KindOf(err) == devices.NotFound:
		return nil, 0, missing
	case err != nil:
		return nil, 0, err
	}
	v := new(T)
	if err := json.Unmarshal(record.Value, v); err != nil {
		return nil, 0, fmt.Errorf("decode %s: %w", kind, err)
	}
	return v, record.Revision, nil
}

// The errors that the API shows of what is not there, or not as the caller thinks.
var (
	ErrNoDevice     = devices.Errorf(devices.NotFound, "", "there is no such device")
	ErrNoFleet      = devices.Errorf(devices.NotFound, "", "there is no such fleet")
	ErrNoCredential = devices.Errorf(devices.NotFound, "", "there is no such credential")
	ErrStale        = devices.Errorf(devices.Conflict, "", "it was changed meanwhile: read it again")
)

// retry runs a step again while others' changes overtake it. A step whose caller told a revision fails at the first.
func retry(expected store.Revision, step func() error) error {
	for range attempts {
		err := step()
		switch {
		case overtakenBy(err) == "":
			return err
		case expected != 0:
			return ErrStale
		}
	}
	return ErrStale
}

// overtakenBy returns the key of the record on which a commit failed because it was not as it was read, or "". A
// conflict of another kind is for people and names no record.
func overtakenBy(err error) string {
	wrong, ok := errors.AsType[*devices.Error](err)
	if !ok || wrong.Kind != devices.Conflict || !strings.Contains(wrong.Field, "/") {
		return ""
	}
	return wrong.Field
}
