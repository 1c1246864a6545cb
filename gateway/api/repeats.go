package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// KindRepeat is the kind of records of requests with an Idempotency-Key.
const KindRepeat store.Kind = "repeat"

// Bounds of what is remembered of requests with an Idempotency-Key.
const (
	// RepeatTTL is how long a key means the same request.
	RepeatTTL = 24 * time.Hour
	// RepeatsPerCaller bounds the keys of one caller; past it the oldest is forgotten early. maxRepeats bounds all.
	RepeatsPerCaller = 5_000
	maxRepeats       = 50_000
	// maxRepeatedBytes bounds an answer that is kept: what POST answers is small.
	maxRepeatedBytes = 16 << 10
	// repeatLease is how long a request may be under way. One that took longer ended with its process, and nobody knows
	// how far it came.
	repeatLease = time.Minute

	repeatBound       = 5 * time.Second // a call to the store
	repeatHousekeeing = time.Minute
)

// repeated is a record: a request that is under way, or its answer.
type repeated struct {
	Caller      string `json:"caller"` // hash
	Fingerprint []byte `json:"fingerprint"`
	Expires     int64  `json:"expires"`          // unix ms
	Until       int64  `json:"until,omitempty"`  // unix ms; it is under way, at most so long
	Sealed      []byte `json:"sealed,omitempty"` // the answer, which only who has the key can read
}

// Repeats remembers what was answered to requests with an Idempotency-Key, in the store, so that every edge answers a
// repeated one so again. Its methods may be called concurrently; a nil one remembers nothing.
type Repeats struct {
	store    store.Store
	follower *store.Follower
	now      func() time.Time
	log      *slog.Logger

	kept, replayed, mismatched, underWay, unknown, forgotten atomic.Uint64

	mu      sync.Mutex // guards what follows
	records map[string]known
	callers map[string]int // records by caller
}

// known is what this process has in mind of a record.
type known struct {
	caller  string
	expires int64
}

// NewRepeats returns one that follows the store while it runs.
func NewRepeats(s store.Store, log *slog.Logger) *Repeats {
	p := &Repeats{store: s, now: time.Now, log: log, records: map[string]known{}, callers: map[string]int{}}
	p.follower = store.NewFollower(s, p.apply, KindRepeat)
	return p
}

// RepeatStats are numbers about requests with an Idempotency-Key.
type RepeatStats struct {
	Keys       int    `json:"keys"` // remembered now
	Kept       uint64 `json:"kept"`
	Replayed   uint64 `json:"replayed"`
	Mismatched uint64 `json:"mismatched"`
	UnderWay   uint64 `json:"under_way"`
	Unknown    uint64 `json:"unknown"`
	Forgotten  uint64 `json:"forgotten"` // before their time
}

// Stats returns the numbers of now.
func (p *Repeats) Stats() RepeatStats {
	p.mu.Lock()
	keys := len(p.records)
	p.mu.Unlock()
	return RepeatStats{
		Keys: keys, Kept: p.kept.Load(), Replayed: p.replayed.Load(), Mismatched: p.mismatched.Load(),
		UnderWay: p.underWay.Load(), Unknown: p.unknown.Load(), Forgotten: p.forgotten.Load(),
	}
}

// Run follows the store, and removes what has expired, until ctx ends.
func (p *Repeats) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { p.keepHouse(ctx) })
	err := p.follower.Run(ctx)
	cancel()
	wg.Wait()
	if err != nil {
		return fmt.Errorf("follow store: %w", err)
	}
	return nil
}

func (p *Repeats) apply(u store.Update) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u.Snapshot {
		clear(p.records)
		clear(p.callers)
	}
	for i := range u.Records {
		r := &u.Records[i]
		if old, ok := p.records[r.ID]; ok {
			delete(p.records, r.ID)
			if p.callers[old.caller]--; p.callers[old.caller] == 0 {
				delete(p.callers, old.caller)
			}
		}
		var v repeated
		if r.Value == nil || json.Unmarshal(r.Value, &v) != nil {
			continue // deleted; or of a version that means something else by it, whose answer says conflict
		}
		p.records[r.ID] = known{v.Caller, v.Expires}
		p.callers[v.Caller]++
	}
}

// keepHouse removes what has expired, a few at a time. Every edge does; what another has removed is no error.
func (p *Repeats) keepHouse(ctx context.Context) {
	tick := time.NewTicker(repeatHousekeeing)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if ops := p.expired(); len(ops) > 0 {
			if _, err := p.store.Commit(ctx, ops); err != nil && ctx.Err() == nil {
				p.log.Warn("answers whose time is over were not removed", "error", err)
			}
		}
	}
}

func (p *Repeats) expired() (ops []store.Op) {
	now := p.now().UnixMilli()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, r := range p.records {
		if r.expires < now && len(ops) < store.MaxOps {
			ops = append(ops, store.Op{Kind: KindRepeat, ID: id})
		}
	}
	return ops
}

// room returns what has to be forgotten before one more of a caller's is remembered.
func (p *Repeats) room(caller string) (ops []store.Op, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.records) >= maxRepeats {
		return nil, devices.Errorf(devices.Exhausted, "Idempotency-Key", "cannot be remembered: there are %d", maxRepeats)
	}
	if p.callers[caller] < RepeatsPerCaller {
		return nil, nil
	}
	oldest := ""
	for id, r := range p.records {
		if r.caller == caller && (oldest == "" || r.expires < p.records[oldest].expires) {
			oldest = id
		}
	}
	p.forgotten.Add(1)
	return []store.Op{{Kind: KindRepeat, ID: oldest}}, nil
}

// The answers to a request that was made before.
var (
	errUnderWay = devices.Errorf(devices.Conflict, "Idempotency-Key", "is of a request that is under way")
	errUnknown  = devices.Errorf(devices.Conflict, "Idempotency-Key", "is of a request of which nobody knows whether it was carried out, as the process ended meanwhile: look, and use another key")
	errOtherUse = errors.New("the key is of another request")
)

// claim makes the request of the key the caller's own, or returns what was answered to it before.
func (p *Repeats) claim(ctx context.Context, k *keyed) (at store.Revision, answered *kept, err error) {
	ctx, cancel := context.WithTimeout(ctx, repeatBound)
	defer cancel()
	ops, err := p.room(k.caller)
	if err != nil {
		return 0, nil, err
	}
	now := p.now()
	value, err := json.Marshal(repeated{
		Caller: k.caller, Fingerprint: k.fingerprint, Expires: now.Add(RepeatTTL).UnixMilli(), Until: now.Add(repeatLease).UnixMilli(),
	})
	if err != nil {
		return 0, nil, fmt.Errorf("encode record: %w", err)
	}
	op := store.Op{Kind: KindRepeat, ID: k.id, Value: value, If: store.Condition{Absent: true}}
	at, err = p.store.Commit(ctx, append(ops, op))
	if devices.KindOf(err) != devices.Conflict {
		return at, nil, err
	}
	old, err := p.store.Get(ctx, KindRepeat, k.id)
	if devices.KindOf(err) == devices.NotFound { // it failed a moment ago
		p.underWay.Add(1)
		return 0, nil, errUnderWay
	}
	if err != nil {
		return 0, nil, err
	}
	var r repeated
	if err := json.Unmarshal(old.Value, &r); err != nil {
		return 0, nil, errUnknown
	}
	if r.Expires < now.UnixMilli() { // nobody has removed it yet
		op.If = store.Condition{Revision: old.Revision}
		if at, err = p.store.Commit(ctx, []store.Op{op}); devices.KindOf(err) == devices.Conflict {
			err = errUnderWay
		}
		return at, nil, err
	}
	answered, err = p.known(k, &r)
	return 0, answered, err
}

// known is what a record says to a request that comes again.
func (p *Repeats) known(k *keyed, r *repeated) (*kept, error) {
	switch {
	case string(r.Fingerprint) != string(k.fingerprint):
		p.mismatched.Add(1)
		return nil, errOtherUse
	case r.Until != 0 && p.now().UnixMilli() <= r.Until:
		p.underWay.Add(1)
		return nil, errUnderWay
	case r.Until != 0:
		p.unknown.Add(1)
		return nil, errUnknown
	}
	answer, err := k.open(r.Sealed)
	if err != nil {
		p.unknown.Add(1)
		return nil, errUnknown
	}
	p.replayed.Add(1)
	return answer, nil
}

// keep remembers the answer, or forgets a request that failed: who repeats it has it tried anew. ctx is not the client's,
// which may be gone.
func (p *Repeats) keep(ctx context.Context, k *keyed, at store.Revision, answer *kept) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), repeatBound)
	defer cancel()
	op := store.Op{Kind: KindRepeat, ID: k.id, If: store.Condition{Revision: at}}
	if answer != nil {
		sealed, err := k.seal(answer)
		if err == nil {
			op.Value, err = json.Marshal(repeated{Caller: k.caller, Fingerprint: k.fingerprint, Expires: p.now().Add(RepeatTTL).UnixMilli(), Sealed: sealed})
		}
		if err != nil {
			p.log.Error("an answer was not kept", "error", err)
			return
		}
		p.kept.Add(1)
	}
	if _, err := p.store.Commit(ctx, []store.Op{op}); err != nil {
		p.log.Warn("an answer was not kept: a request that repeats it is told that its outcome is not known", "error", err)
	}
}
