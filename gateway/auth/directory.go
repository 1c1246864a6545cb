package auth

import (
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices/store"
)

// directory is what the store knows of people, as far as it is followed.
type directory struct {
	mu         sync.RWMutex // guards what follows
	users      map[string]*User
	keys       map[string]*Key
	sessions   map[string]*session
	signings   map[string]*signing
	revoked    map[string]int64
	tickets    map[string]int64
	setups     map[string]int64 // hash of a setup token → when it ends
	unreadable int

	now      func() time.Time
	watchers watchers
}

func newDirectory(now func() time.Time) *directory {
	d := &directory{now: now}
	d.clear()
	d.watchers.byProof = map[string]map[*watcher]struct{}{}
	return d
}

func (d *directory) clear() {
	d.users, d.keys, d.sessions = map[string]*User{}, map[string]*Key{}, map[string]*session{}
	d.signings, d.revoked = map[string]*signing{}, map[string]int64{}
	d.tickets, d.setups, d.unreadable = map[string]int64{}, map[string]int64{}, 0
}

// apply takes an update of the store and has every watcher asked whose proof may no longer hold.
func (d *directory) apply(u store.Update) {
	d.mu.Lock()
	if u.Snapshot {
		d.clear()
	}
	for i := range u.Records {
		d.put(&u.Records[i])
	}
	d.mu.Unlock()
	d.watchers.recheck(func(proof string) bool {
		d.mu.RLock()
		defer d.mu.RUnlock()
		return d.holds(proof, d.now())
	})
}

func (d *directory) put(r *store.Record) {
	switch r.Kind {
	case KindUser:
		put(d, d.users, r)
	case KindKey:
		put(d, d.keys, r)
	case KindSession:
		put(d, d.sessions, r)
	case KindSigning:
		put(d, d.signings, r)
	case KindRevoked:
		putUntil(d, d.revoked, r)
	case KindTicket:
		putUntil(d, d.tickets, r)
	case KindSetup:
		putUntil(d, d.setups, r)
	}
}

func put[T any](d *directory, into map[string]*T, r *store.Record) {
	delete(into, r.ID)
	if r.Value == nil {
		return
	}
	v := new(T)
	if err := decode(r.Value, v); err != nil {
		d.unreadable++ // and nobody is let in by it
		return
	}
	into[r.ID] = v
}

func putUntil(d *directory, into map[string]int64, r *store.Record) {
	if r.Value == nil {
		delete(into, r.ID)
		return
	}
	var v until
	if err := decode(r.Value, &v); err != nil {
		d.unreadable++
		v.Expires = 1<<62 - 1 // a token that was revoked stays so, whatever else was written
	}
	into[r.ID] = v.Expires
}
