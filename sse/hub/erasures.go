package hub

import (
	"slices"
	"sync"

	"github.com/fleetcast/fleetcast/devices"
)

// erasures are those who wait until partitions have said that they erased a device.
type erasures struct {
	mu      sync.Mutex
	waiting []*Erasure
}

// Erasure follows the erasing of a device through the partitions.
type Erasure struct {
	of     *erasures
	device devices.DeviceID
	done   chan struct{}

	// guarded by of.mu
	left map[int]struct{}
}

// FollowErasure waits from now on until every partition has erased a device, as this edge knows them: what it shows and
// resumes from has nothing of it then. Close ends it.
func (h *Hub) FollowErasure(device devices.DeviceID) *Erasure {
	e := &Erasure{of: &h.erasures, device: device, done: make(chan struct{}), left: map[int]struct{}{}}
	for _, t := range h.tables {
		e.left[t.partition] = struct{}{}
	}
	h.erasures.mu.Lock()
	defer h.erasures.mu.Unlock()
	h.erasures.waiting = append(h.erasures.waiting, e)
	return e
}

// Done is closed when every partition has.
func (e *Erasure) Done() <-chan struct{} { return e.done }

// Close may be called twice.
func (e *Erasure) Close() {
	e.of.mu.Lock()
	defer e.of.mu.Unlock()
	e.of.waiting = slices.DeleteFunc(e.of.waiting, func(o *Erasure) bool { return o == e })
}

// told notes what a partition said.
func (w *erasures) told(partition int, erased []devices.DeviceID) {
	if len(erased) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.waiting {
		if _, left := e.left[partition]; !left || !slices.Contains(erased, e.device) {
			continue
		}
		if delete(e.left, partition); len(e.left) == 0 {
			close(e.done)
		}
	}
}
