package mqttin

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// buckets are token buckets by key, at most limit of them. A bucket is the time at which it will be full again, so that
// one that is full is not worth keeping. It is guarded by its owner's lock.
type buckets struct {
	limit  int
	burst  time.Duration // what a whole bucket takes to fill
	refill time.Duration // what one token takes
	seed   maphash.Seed
	full   map[uint64]time.Time
}

// maxTracked is how many user names, addresses and client ids are remembered for their failures: 10,000 × some 60 bytes.
const maxTracked = 10_000

func newBuckets(limit, burst int, refill time.Duration) buckets {
	return buckets{
		limit: limit, burst: time.Duration(burst) * refill, refill: refill, seed: maphash.MakeSeed(), full: map[uint64]time.Time{},
	}
}

// key hashes what a peer chose, which may be long. The seed is secret, so that nobody can meet another's bucket.
func (b *buckets) key(text string) uint64 { return maphash.String(b.seed, text) }

// isEmpty tells whether there is no token.
func (b *buckets) isEmpty(key uint64, now time.Time) bool {
	return b.full[key].Sub(now) > b.burst-b.refill
}

// take takes a token. It returns false, and takes none, where there is none.
func (b *buckets) take(text string, now time.Time) bool {
	key := b.key(text)
	if b.isEmpty(key, now) {
		return false
	}
	b.spend(key, now)
	return true
}

// spend takes a token, also where there is none: the debt is one token at most.
func (b *buckets) spend(key uint64, now time.Time) {
	full, known := b.full[key]
	if !known && len(b.full) >= b.limit {
		b.makeRoom(now)
	}
	if full.Before(now) {
		full = now
	}
	b.full[key] = minTime(full.Add(b.refill), now.Add(b.burst))
}

// makeRoom forgets a few buckets that are full, or else the fullest of a sample. Whoever floods the table with names
// makes it forget its own failures as likely as another's.
func (b *buckets) makeRoom(now time.Time) {
	const sample = 16
	var least uint64
	var at time.Time
	seen := 0
	for key, full := range b.full { // in random order
		if !full.After(now) {
			delete(b.full, key)
		} else if at.IsZero() || full.Before(at) {
			least, at = key, full
		}
		if seen++; seen == sample {
			break
		}
	}
	if len(b.full) >= b.limit {
		delete(b.full, least)
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Failed attempts to log in. An address that fails 20 times waits 3 s for each further one; a user name that fails 10
// times, from wherever, 6 s. So nobody gets to have many passwords hashed. A device goes on from the address where it
// was last let in, whatever others try with its name from elsewhere.
const (
	addressBurst  = 20
	addressRefill = 3 * time.Second
	accountBurst  = 10
	accountRefill = 6 * time.Second
)

// attempts remembers who failed to log in. Loopback is not counted as an address: all behind a proxy come from there.
type attempts struct {
	mu        sync.Mutex
	byAccount buckets
	byAddress buckets
	good      map[uint64]netip.Prefix // where a user name was last let in, by the key of byAccount
}

func newAttempts() *attempts {
	return &attempts{
		byAccount: newBuckets(maxTracked, accountBurst, accountRefill), byAddress: newBuckets(maxTracked, addressBurst, addressRefill),
		good: map[uint64]netip.Prefix{},
	}
}

// mayTry tells whether an attempt is worth looking at.
func (a *attempts) mayTry(user string, from netip.Prefix, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if from.IsValid() && a.byAddress.isEmpty(a.byAddress.key(from.String()), now) {
		return false
	}
	key := a.byAccount.key(user)
	if !a.byAccount.isEmpty(key, now) {
		return true
	}
	good, known := a.good[key]
	return known && good == from
}

// failed notes an attempt with a wrong secret.
func (a *attempts) failed(user string, from netip.Prefix, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if from.IsValid() {
		a.byAddress.spend(a.byAddress.key(from.String()), now)
	}
	a.byAccount.spend(a.byAccount.key(user), now)
}

// succeeded notes where an account was let in.
func (a *attempts) succeeded(user string, from netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := a.byAccount.key(user)
	if _, known := a.good[key]; !known && len(a.good) >= maxTracked {
		for other := range a.good {
			delete(a.good, other)
			break
		}
	}
	a.good[key] = from
}

// meter holds what is sent in the name of an account to its rates. What is above them is not refused: the connection is
// not read until it is within them again.
type meter struct {
	mu       sync.Mutex
	messages time.Time // when the bucket will be full again
	bytes    time.Time
}

// take notes a packet and returns how long its connection is to wait.
func (m *meter) take(now time.Time, bytes int, r *devices.Rates) time.Duration {
	burst := time.Duration(r.Burst) * time.Second
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.messages.Before(now) {
		m.messages = now
	}
	if m.bytes.Before(now) {
		m.bytes = now
	}
	m.messages = m.messages.Add(time.Second / time.Duration(r.Messages))
	m.bytes = m.bytes.Add(time.Duration(bytes) * time.Second / time.Duration(r.Bytes))
	return max(m.messages.Sub(now)-burst, m.bytes.Sub(now)-burst, 0)
}

func (m *meter) isFull(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.messages.After(now) && !m.bytes.After(now)
}
