// Package roster keeps the long-lived connections of a server: how many there may be, in all and of one client, which of
// them are open, and how they end when the server stops.
//
// It knows nothing of what goes over a connection: the handlers of both transports share it.
package roster

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Member is an open connection.
type Member interface {
	comparable
	// Drain has the connection end soon and tell its client to come back after a time. It does not block, and may be
	// called twice.
	Drain(back time.Duration)
	// Cut ends the connection now, whatever it is doing.
	Cut()
}

// Verdict says whether there is a place for a connection.
type Verdict uint8

// The verdicts.
const (
	Admitted   Verdict = iota
	Stopping           // the server takes no more
	Full               // all places are taken
	ClientFull         // all places of this client are taken
)

// Roster is made by New. Its methods may be called concurrently.
type Roster[M Member] struct {
	most, mostOfClient int
	empty              chan struct{} // closed when the server stops and no place is taken

	mu       sync.Mutex // guards what follows
	stopping bool
	taken    int
	opened   uint64
	members  map[M]struct{}
	clients  map[netip.Prefix]int
}

// New makes a roster of so many places in all, and so many of one client.
func New[M Member](most, mostOfClient int) *Roster[M] {
	return &Roster[M]{most: most, mostOfClient: mostOfClient, empty: make(chan struct{}), members: map[M]struct{}{}, clients: map[netip.Prefix]int{}}
}

// Admit takes a place, which must be given back by Release where the verdict is Admitted. A client that is no valid prefix
// has no bound of its own.
func (r *Roster[M]) Admit(client netip.Prefix) Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopping:
		return Stopping
	case r.taken >= r.most:
		return Full
	case client.IsValid() && r.clients[client] >= r.mostOfClient:
		return ClientFull
	}
	r.taken++
	if client.IsValid() {
		r.clients[client]++
	}
	return Admitted
}

// Release gives a place back. It is the last thing that a connection does.
func (r *Roster[M]) Release(client netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken--
	if client.IsValid() {
		if r.clients[client]--; r.clients[client] == 0 {
			delete(r.clients, client)
		}
	}
	if r.stopping && r.taken == 0 {
		close(r.empty)
	}
}

// Add makes a connection known to Drain and Close. One that Drain has missed is drained here.
func (r *Roster[M]) Add(m M) {
	r.mu.Lock()
	r.opened++
	r.members[m] = struct{}{}
	late := r.stopping
	r.mu.Unlock()
	if late {
		m.Drain(back(0))
	}
}

// Remove forgets a connection that has ended. Its place is taken until Release.
func (r *Roster[M]) Remove(m M) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, m)
}

// Counts are the places that are taken now, those of requests that are becoming a connection among them, and the
// connections that ever were.
func (r *Roster[M]) Counts() (taken int, opened uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken, r.opened
}

// IsStopping tells whether Drain or Close was called.
func (r *Roster[M]) IsStopping() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopping
}

// Members are the open connections.
func (r *Roster[M]) Members() []M {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all()
}

func (r *Roster[M]) all() []M {
	members := make([]M, 0, len(r.members))
	for m := range r.members {
		members = append(members, m)
	}
	return members
}

// stop refuses what comes from now on and returns what is there.
func (r *Roster[M]) stop() []M {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopping {
		r.stopping = true
		if r.taken == 0 {
			close(r.empty)
		}
	}
	return r.all()
}

// spreadOf is the time over which so many clients are to come back.
func spreadOf(members int) time.Duration { return time.Duration(members) * time.Second / reconnectRate }

// back is when a client is to come back, where all of them should be spread over a time.
func back(spread time.Duration) time.Duration {
	return minReturn + rand.N(max(spread, minReturn)+1)
}

// Close refuses new connections, cuts the open ones and waits until they are gone. It may be called twice. An error says
// that some would not go within a bounded time.
func (r *Roster[M]) Close() error {
	members := r.stop()
	for _, m := range members {
		m.Drain(back(spreadOf(len(members))))
		m.Cut()
	}
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-r.empty:
		return nil
	case <-timer.C:
		taken, _ := r.Counts()
		return fmt.Errorf("close connections: %d are still open", taken)
	}
}
