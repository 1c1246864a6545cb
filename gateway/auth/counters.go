package auth

import "sync/atomic"

type counters struct {
	refused   atomic.Uint64 // requests without a proof that holds
	wrong     atomic.Uint64 // wrong names or passwords
	throttled atomic.Uint64
	signIns   atomic.Uint64
	tickets   atomic.Uint64
	spent     atomic.Uint64 // tickets that were used before, or too late
}

// Stats are numbers about people, for GET /api/stats.
type Stats struct {
	Users    int `json:"users"`
	Keys     int `json:"keys"`
	Sessions int `json:"sessions"`
	// Unreadable are records that this version cannot read; nobody is let in by them.
	Unreadable int `json:"unreadable"`
	// Counts are by reason, all reasons present.
	Counts map[string]uint64 `json:"counts"`
}

// Stats returns the numbers of now.
func (a *Authority) Stats() Stats {
	c := &a.counts
	a.dir.mu.RLock()
	defer a.dir.mu.RUnlock()
	return Stats{
		Users: len(a.dir.users), Keys: len(a.dir.keys), Sessions: len(a.dir.sessions), Unreadable: a.dir.unreadable,
		Counts: map[string]uint64{
			"refused": c.refused.Load(), "password_wrong": c.wrong.Load(), "throttled": c.throttled.Load(),
			"signed_in": c.signIns.Load(), "tickets": c.tickets.Load(), "ticket_spent": c.spent.Load(),
		},
	}
}
