package auth

import (
	"strings"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// ThrottleWindow is how long wrong passwords are counted, and then none are looked at.
const ThrottleWindow = time.Minute

// The bounds of guessing: so many wrong passwords of one name, and from one address, in the window; then no more are
// looked at until it is over. They are counted before anything is hashed.
const (
	failuresPerName    = 10
	failuresPerAddress = 30
	maxThrottled       = 20_000 // names and addresses that are remembered
)

// throttle counts wrong passwords.
type throttle struct {
	now func() time.Time

	mu    sync.Mutex
	names map[string]failures
	hosts map[string]failures
}

type failures struct {
	n    int
	till time.Time
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, names: map[string]failures{}, hosts: map[string]failures{}}
}

var errThrottled = devices.Errorf(devices.Exhausted, "", "too many wrong passwords; wait a minute")

// allow tells whether a password may be looked at. A name that somebody else guesses at is throttled for all: who has a
// session keeps it, and a minute later it is over.
func (t *throttle) allow(name, address string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if f := t.names[cutName(name)]; f.n >= failuresPerName && now.Before(f.till) {
		return errThrottled
	}
	if f := t.hosts[address]; f.n >= failuresPerAddress && now.Before(f.till) {
		return errThrottled
	}
	return nil
}

func (t *throttle) failed(name, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	count(t.names, cutName(name), now)
	count(t.hosts, address, now)
}

// cutName is what is remembered of a name: no longer than one can be. Longer ones are nobody's.
func cutName(name string) string {
	return strings.Clone(name[:min(len(name), MaxUserNameBytes+1)])
}

func count(of map[string]failures, key string, now time.Time) {
	f, known := of[key]
	if !known && len(of) >= maxThrottled {
		for other := range of { // any: whoever fills this with names has a bound by their address
			delete(of, other)
			break
		}
	}
	if !now.Before(f.till) {
		f = failures{till: now.Add(ThrottleWindow)}
	}
	f.n++
	of[key] = f
}

// forget drops what is over.
func (t *throttle) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, of := range []map[string]failures{t.names, t.hosts} {
		for key, f := range of {
			if !now.Before(f.till) {
				delete(of, key)
			}
		}
	}
}
