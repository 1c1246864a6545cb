package registry

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Bounds of who waits to be written. Past them a device is not noted; it is again when it connects again.
const (
	maxWaitingDevices   = 100_000
	maxWaitingStrangers = 128
	// registerBatch bounds one commit: a device and perhaps its fleet.
	registerBatch = store.MaxOps / 2
	// registerEvery is how often the list is looked at, and so how late a device registers.
	registerEvery = time.Second
)

// strangerRequest is a stranger with what it showed, until that is hashed.
type strangerRequest struct {
	Stranger
	secret []byte
}

// waitingList is who is to be registered or quarantined. Its methods may be called concurrently and never wait.
type waitingList struct {
	mu        sync.Mutex // guards what follows
	devices   map[devices.DeviceID]devices.FleetID
	strangers map[devices.DeviceID]strangerRequest
}

func newWaitingList() waitingList {
	return waitingList{devices: map[devices.DeviceID]devices.FleetID{}, strangers: map[devices.DeviceID]strangerRequest{}}
}

func (w *waitingList) device(c *counters, id devices.DeviceID, fleet devices.FleetID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, there := w.devices[id]; !there && len(w.devices) >= maxWaitingDevices {
		c.registerFull.Add(1)
		return
	}
	w.devices[id] = fleet
}

func (w *waitingList) stranger(c *counters, s strangerRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, there := w.strangers[s.ID]; there {
		return // the first is shown
	}
	if len(w.strangers) >= maxWaitingStrangers {
		c.quarantineFull.Add(1)
		return
	}
	w.strangers[s.ID] = s
}

func (w *waitingList) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.devices) + len(w.strangers)
}

// take removes and returns at most so many of each.
func (w *waitingList) take(most, mostStrangers int) (map[devices.DeviceID]devices.FleetID, []strangerRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := map[devices.DeviceID]devices.FleetID{}
	for id, fleet := range w.devices {
		if len(taken) >= most {
			break
		}
		taken[id] = fleet
		delete(w.devices, id)
	}
	var strangers []strangerRequest
	for id, s := range w.strangers {
		if len(strangers) >= mostStrangers {
			break
		}
		strangers = append(strangers, s)
		delete(w.strangers, id)
	}
	return taken, strangers
}

// register writes who waits, at most so many a minute, until ctx ends.
func (r *Registry) register(ctx context.Context) {
	ticker := time.NewTicker(registerEvery)
	defer ticker.Stop()
	var budget, strangerBudget float64
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		// A second's share, and what was not used of a minute.
		budget = min(budget+share(r.o.RegisterPerMinute), float64(r.o.RegisterPerMinute))
		strangerBudget = min(strangerBudget+share(r.o.StrangersPerMinute), float64(r.o.StrangersPerMinute))
		if !r.follower.Ready() || r.waiting.len() == 0 {
			continue
		}
		taken, strangers := r.waiting.take(min(int(budget), registerBatch), int(strangerBudget))
		budget -= float64(len(taken))
		strangerBudget -= float64(len(strangers))
		r.writeDevices(ctx, taken)
		r.writeStrangers(ctx, strangers)
		if n := r.waiting.len(); n > 0 {
			r.counts.deferred.Add(uint64(n)) // device-seconds of waiting
		}
	}
}

func share(perMinute int) float64 {
	return float64(perMinute) * registerEvery.Seconds() / 60
}

// writeDevices registers devices that spoke, in one commit. One that somebody else made meanwhile falls out of it.
func (r *Registry) writeDevices(ctx context.Context, taken map[devices.DeviceID]devices.FleetID) {
	for len(taken) > 0 {
		ops := r.registerOps(taken)
		if len(ops) == 0 {
			return
		}
		_, err := r.commit(ctx, ops)
		switch {
		case err == nil:
			r.counts.registered.Add(uint64(len(taken)))
			return
		case overtakenBy(err) != "":
			if drop(taken, overtakenBy(err)) {
				continue
			}
			// A fleet that came meanwhile: it shows soon, and the next round goes without it.
		case ctx.Err() != nil:
			return
		default:
			r.log.Warn("devices that spoke could not be registered, trying again", "devices", len(taken), "error", err)
		}
		for id, fleet := range taken {
			r.waiting.device(&r.counts, id, fleet)
		}
		return
	}
}

// drop removes the device that a key of a record names.
func drop(taken map[devices.DeviceID]devices.FleetID, key string) bool {
	name, ok := strings.CutPrefix(key, keyOf(KindDevice, ""))
	if !ok {
		return false
	}
	id, err := devices.ParseDeviceID(name)
	delete(taken, id)
	return err == nil
}

// registerOps drops from taken what is there already or has no place any more, and makes the ops of the rest.
func (r *Registry) registerOps(taken map[devices.DeviceID]devices.FleetID) []store.Op {
	now := r.nowMS()
	var ops []store.Op
	fleets := map[devices.FleetID]int{}
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	total := len(r.dir.devices)
	for id, fleet := range taken {
		f := r.dir.fleets[fleet]
		switch {
		case r.dir.devices[id] != nil:
			delete(taken, id)
			continue
		case total >= r.o.MaxDevices, f != nil && f.MaxDevices > 0 && r.dir.counts[fleet]+fleets[fleet] >= f.MaxDevices:
			r.counts.registerNo.Add(1)
			delete(taken, id)
			continue
		}
		if f == nil && fleets[fleet] == 0 {
			if op, err := put(KindFleet, fleet.String(), &Fleet{ID: fleet, Created: now, Updated: now}, store.Condition{Absent: true}); err == nil {
				ops = append(ops, op)
			}
		}
		fleets[fleet]++
		total++
		d := &Device{ID: id, Fleet: fleet, Status: Enabled, Auto: true, Created: now, Updated: now}
		if op, err := put(KindDevice, id.String(), d, store.Condition{Absent: true}); err == nil {
			ops = append(ops, op)
		}
	}
	return ops
}

// writeStrangers puts strangers into quarantine, one commit each: they are few by their bound.
func (r *Registry) writeStrangers(ctx context.Context, strangers []strangerRequest) {
	if len(strangers) == 0 {
		return
	}
	r.forgetStrangers(ctx)
	for i := range strangers {
		s := &strangers[i]
		r.dir.mu.RLock()
		known := r.dir.devices[s.ID] != nil || r.dir.strangers[s.ID] != nil || r.dir.credentials[s.ID.String()] != nil
		full := len(r.dir.strangers) >= r.o.MaxStrangers
		r.dir.mu.RUnlock()
		switch {
		case known:
			continue
		case full:
			r.counts.quarantineFull.Add(1)
			continue
		}
		if s.secret != nil {
			s.Password = r.pass.Hash(ctx, s.secret)
		}
		op, err := put(KindStranger, s.ID.String(), &s.Stranger, store.Condition{Absent: true})
		if err == nil {
			_, err = r.commit(ctx, []store.Op{op})
		}
		switch {
		case err == nil:
			r.counts.quarantined.Add(1)
		case ctx.Err() == nil && devices.KindOf(err) != devices.Conflict:
			r.log.Warn("a stranger could not be quarantined", "error", err)
		}
	}
}

// forgetStrangers ends the quarantine of who waited too long.
func (r *Registry) forgetStrangers(ctx context.Context) {
	before := r.o.Now().Add(-strangerAge).UnixMilli()
	var ops []store.Op
	r.dir.mu.RLock()
	for id, s := range r.dir.strangers {
		if s.Seen < before && len(ops) < store.MaxOps {
			ops = append(ops, store.Op{Kind: KindStranger, ID: id.String(), If: store.Condition{Revision: s.Revision}})
		}
	}
	r.dir.mu.RUnlock()
	if len(ops) > 0 {
		_, _ = r.commit(ctx, ops) // who was let in or rejected meanwhile makes it a conflict; the next call tries again
	}
}
