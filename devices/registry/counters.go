package registry

import "sync/atomic"

// counters are what the registry counts, each by the reason that Stats names.
type counters struct {
	tokens, passwords, certificates, jwts          atomic.Uint64 // logins that were right
	wrong, disabled, unknown, oversized            atomic.Uint64 // logins that were not
	registered, deferred, registerFull, registerNo atomic.Uint64
	quarantined, quarantineFull                    atomic.Uint64
}

// Stats are what a registry holds now and what it counted since it was made.
type Stats struct {
	Devices     int    `json:"devices"`
	Fleets      int    `json:"fleets"`
	Credentials int    `json:"credentials"`
	Quarantined int    `json:"quarantined"`
	Unreadable  int    `json:"unreadable"` // records that this version cannot read
	Waiting     int    `json:"waiting"`    // devices that are to be registered or quarantined
	Revision    uint64 `json:"revision"`   // of the store, as far as it is followed
	// Counts are by reason, all reasons present.
	Counts map[string]uint64 `json:"counts"`
}

// Stats returns the numbers of now.
func (r *Registry) Stats() Stats {
	c := &r.counts
	hashed, cached, refused := r.pass.Counts()
	s := Stats{Waiting: r.waiting.len(), Counts: map[string]uint64{
		"login_token": c.tokens.Load(), "login_password": c.passwords.Load(), "login_certificate": c.certificates.Load(),
		"login_jwt": c.jwts.Load(), "login_wrong": c.wrong.Load(), "login_disabled": c.disabled.Load(),
		"login_unknown": c.unknown.Load(), "login_oversized": c.oversized.Load(),
		"password_hashed": hashed, "password_cached": cached, "password_refused": refused,
		"registered": c.registered.Load(), "register_deferred": c.deferred.Load(), "register_queue_full": c.registerFull.Load(),
		"register_refused": c.registerNo.Load(), "quarantined": c.quarantined.Load(), "quarantine_full": c.quarantineFull.Load(),
	}}
	at, _ := r.follower.Revision()
	s.Revision = uint64(at)
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	s.Devices, s.Fleets, s.Unreadable = len(r.dir.devices), len(r.dir.fleets), r.dir.unreadable
	s.Credentials, s.Quarantined = len(r.dir.credentials), len(r.dir.strangers)
	return s
}
