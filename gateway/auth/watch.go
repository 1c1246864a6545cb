package auth

import (
	"strings"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// What a proof hangs on, before its name.
const (
	bySession = "session/"
	byKey     = "key/"
	byLocal   = "local"    // the command line of this machine
	byToken   = "token/"   // of ours, or an identity provider's that names its tokens
	bySubject = "subject/" // of an identity provider's token without a name: nothing revokes it but its end
)

// holds tells whether a proof still opens what it opened. The caller holds the lock.
func (d *directory) holds(proof string, now time.Time) bool {
	switch {
	case strings.HasPrefix(proof, bySession):
		s := d.sessions[proof[len(bySession):]]
		return s != nil && now.UnixMilli() < s.Expires && d.userOf(s) != nil
	case strings.HasPrefix(proof, byKey):
		k := d.keys[proof[len(byKey):]]
		return k != nil && (k.Expires == 0 || now.UnixMilli() < k.Expires)
	case strings.HasPrefix(proof, byToken):
		_, revoked := d.revoked[proof[len(byToken):]]
		return !revoked
	case strings.HasPrefix(proof, bySubject), proof == byLocal:
		return true
	}
	return false
}

// userOf returns the user of a session, nil where the session no longer holds.
func (d *directory) userOf(s *session) *User {
	u := d.users[s.User]
	if u == nil || u.Disabled || u.Serial != s.Serial {
		return nil
	}
	return u
}

// watchers are what ends with a proof: streams.
type watchers struct {
	mu      sync.Mutex
	byProof map[string]map[*watcher]struct{}
}

// watcher is one thing that ends with a proof.
type watcher struct {
	end   func() // called at most once, in a goroutine of the authority's or of a timer
	once  sync.Once
	timer *time.Timer
}

func (w *watcher) stop() { w.once.Do(w.end) }

// Watch calls end when the caller's proof no longer holds: it was revoked, or its time is over. end must not block. The
// function that it returns ends the watch; it must be called.
func (a *Authority) Watch(c *devices.Caller, end func()) (unwatch func()) {
	if a == nil || c.Proof == "" {
		return func() {} // open mode
	}
	w := &watcher{end: end}
	ws := &a.dir.watchers
	ws.mu.Lock()
	of := ws.byProof[c.Proof]
	if of == nil {
		of = map[*watcher]struct{}{}
		ws.byProof[c.Proof] = of
	}
	of[w] = struct{}{}
	if !c.Expires.IsZero() {
		w.timer = time.AfterFunc(c.Expires.Sub(a.o.Now()), w.stop)
	}
	ws.mu.Unlock()
	if !a.Holds(c) { // it went while the watch was being set
		w.stop()
	}
	return func() {
		ws.mu.Lock()
		defer ws.mu.Unlock()
		w.once.Do(func() {}) // too late to end
		if w.timer != nil {
			w.timer.Stop()
		}
		delete(of, w)
		if len(of) == 0 && len(ws.byProof[c.Proof]) == 0 {
			delete(ws.byProof, c.Proof)
		}
	}
}

// recheck ends everything whose proof no longer holds.
func (ws *watchers) recheck(holds func(proof string) bool) {
	ws.mu.Lock()
	var gone []*watcher
	for proof, of := range ws.byProof {
		if holds(proof) {
			continue
		}
		for w := range of {
			gone = append(gone, w)
		}
	}
	ws.mu.Unlock()
	for _, w := range gone {
		w.stop()
	}
}

// Holds tells whether a caller's proof still opens what it opened.
func (a *Authority) Holds(c *devices.Caller) bool {
	now := a.o.Now()
	if !c.Expires.IsZero() && !now.Before(c.Expires) {
		return false
	}
	a.dir.mu.RLock()
	defer a.dir.mu.RUnlock()
	return a.dir.holds(c.Proof, now)
}
