package mqttin

import (
	"sync"
	"time"
)

// registry knows the newest session of each client id, connected or kept, and the sessions of each account. Sessions
// belong to accounts: a client id is the account's that uses it, until its session has ended.
type registry struct {
	limits   Limits
	counters *counters

	mu       sync.Mutex
	sessions map[string]*session // by client id
	accounts map[string]*holder  // by account; in open mode there are none
	kept     map[*session]time.Time
	expiring map[*session]struct{} // whose credential ends by itself
	flaps    buckets               // takeovers, by client id
}

// holder is what the sessions of one account share. It outlives them for as long as its meter is not full again, so
// that nobody gets a new burst by connecting anew.
type holder struct {
	meter meter
	full  time.Time // when the account may again connect as often as Limits.LoginsPerMinute says; guarded by registry.mu

	// Guarded by registry.mu.
	first *session // a list by session.sibling
	count int
}

func newRegistry(limits Limits, c *counters) registry {
	return registry{
		limits: limits, counters: c, sessions: map[string]*session{}, accounts: map[string]*holder{},
		kept: map[*session]time.Time{}, expiring: map[*session]struct{}{},
		flaps: newBuckets(maxTracked, flapBurst, flapRefill),
	}
}

// A connection that takes another's place with the same client id costs one of flapBurst, and one comes back each
// flapRefill. Two clients that throw each other out would go on for ever otherwise.
const (
	flapBurst  = 15
	flapRefill = 10 * time.Second
)

// enter makes s the session of its client id. The one before it becomes s.older and is overtaken from now on: its last
// will and its end no longer speak for the device. evicted is a kept session of the account that had to make room: it is to
// be forgotten.
func (r *registry) enter(s *session, now time.Time) (evicted *session, refused *refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, account := s.client.ID, s.who.Account
	older := r.sessions[id]
	h := r.accounts[account]
	foreign := older != nil && older.who.Account != account
	full := h != nil && h.count >= r.limits.SessionsPerAccount && (older == nil || foreign)
	if full {
		evicted = h.firstKept()
	}
	switch {
	case foreign && !s.mayEvict(id):
		return nil, refusals[ClientIDTaken]
	case full && evicted == nil:
		return nil, refusals[AccountLimit]
	case older != nil && !older.isKept && !r.flaps.take(id, now):
		return nil, refusals[Flapping]
	case h != nil && !h.mayConnect(now, r.limits.LoginsPerMinute):
		return nil, refusals[LoginRate]
	}
	if evicted != nil {
		r.discard(evicted)
	}
	if older != nil {
		older.overtaken.Store(true)
		r.unlink(older)
		s.older = older
	}
	r.sessions[id] = s
	r.link(s, account)
	return evicted, nil
}

// mayConnect counts one connection more of the account against its rate.
func (h *holder) mayConnect(now time.Time, perMinute int) bool {
	each := time.Minute / time.Duration(perMinute)
	if h.full.Before(now) {
		h.full = now
	}
	if h.full.Sub(now) > time.Minute-each {
		return false
	}
	h.full = h.full.Add(each)
	return true
}

// mayEvict tells whether a client id is the session's own: the name of its device. Whoever uses it besides is a squatter.
func (s *session) mayEvict(clientID string) bool {
	return !s.who.Device.IsZero() && s.who.Device.String() == clientID
}

// link needs r.mu.
func (r *registry) link(s *session, account string) {
	if account == "" {
		return
	}
	h := r.accounts[account]
	if h == nil {
		h = &holder{full: time.Now().Add(time.Minute / time.Duration(r.limits.LoginsPerMinute))}
		r.accounts[account] = h
	}
	s.holder = h
	s.sibling, h.first = h.first, s
	h.count++
	if !s.who.Expires.IsZero() {
		r.expiring[s] = struct{}{}
	}
}

// unlink needs r.mu.
func (r *registry) unlink(s *session) {
	delete(r.kept, s)
	delete(r.expiring, s)
	h := s.holder
	if h == nil || !h.drop(s) {
		return
	}
	h.count--
}

func (h *holder) drop(s *session) bool {
	for at := &h.first; *at != nil; at = &(*at).sibling {
		if *at == s {
			*at, s.sibling = s.sibling, nil
			return true
		}
	}
	return false
}

// firstKept is a session of the account that is kept, or nil. It needs registry.mu.
func (h *holder) firstKept() *session {
	for s := h.first; s != nil; s = s.sibling {
		if s.isKept {
			return s
		}
	}
	return nil
}

// discard forgets a kept session. It needs r.mu.
func (r *registry) discard(s *session) {
	s.ended.Store(true)
	r.unlink(s)
	if r.sessions[s.client.ID] == s {
		delete(r.sessions, s.client.ID)
	}
}

// part notes that the connection has ended, and that its session is kept until then; zero: it is not. It tells whether a
// newer connection has the session, which then decides what becomes of it.
func (r *registry) part(s *session, until time.Time) (overtaken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case s.overtaken.Load():
		return true
	case until.IsZero():
		r.discard(s)
	case r.sessions[s.client.ID] == s:
		s.isKept = true
		r.kept[s] = until
	}
	return false
}

// remove forgets a session.
func (r *registry) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.discard(s)
}

// due returns the kept sessions whose time has come, and those whose last will has waited long enough.
func (r *registry) due(now time.Time) (expired, wills []*session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s, until := range r.kept {
		switch {
		case now.After(until):
			expired = append(expired, s)
		case s.isWillDue(now):
			wills = append(wills, s)
		}
	}
	return expired, wills
}

// outdated returns the sessions whose credential has ended by itself.
func (r *registry) outdated(now time.Time) (list []*session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.expiring {
		if s.who.ExpiredAt(now) {
			list = append(list, s)
		}
	}
	return list
}

// of returns the sessions of some accounts, or of all that have one.
func (r *registry) of(accounts []string) (list []*session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add := func(h *holder) {
		for s := h.first; s != nil; s = s.sibling {
			list = append(list, s)
		}
	}
	for _, account := range accounts {
		if h := r.accounts[account]; h != nil {
			add(h)
		}
	}
	if len(accounts) == 0 {
		for _, h := range r.accounts {
			add(h)
		}
	}
	return list
}

// all returns every session.
func (r *registry) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*session, 0, len(r.sessions))
	for _, s := range r.sessions {
		list = append(list, s)
	}
	return list
}

// sweep forgets accounts that have no session and could send a whole burst again.
func (r *registry) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for account, h := range r.accounts {
		if h.count == 0 && h.meter.isFull(now) && h.full.Before(now) {
			delete(r.accounts, account)
		}
	}
}

func (r *registry) keptSessions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.kept)
}

func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions)
}
