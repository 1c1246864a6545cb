package prove

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// pollEvery is how often a condition that must come is looked at.
	pollEvery = 50 * time.Millisecond
	// probesAnAudit is how many ids of earlier are resumed in each audit.
	probesAnAudit = 3
)

var errBusy = errors.New("a fault is being made")

// until polls a condition; false means that it did not hold before the time was over.
func until(ctx context.Context, holds func() bool) bool {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// audit waits, at most Settle, until all that is owed is there: at each edge by GET and in a fresh stream's snapshot, at
// each viewer, and for whoever resumes with an earlier id. What is not there then is a breach. It tells whether all was.
func (r *run) audit(ctx context.Context, owed []uint32) bool {
	ctx, cancel := context.WithTimeout(ctx, r.options.Settle)
	defer cancel()
	whole := true
	for i, base := range r.options.URLs {
		whole = r.auditAssets(ctx, i, base, owed) && whole
		whole = r.auditSnapshot(ctx, i, base, owed) && whole
	}
	whole = r.auditViewers(ctx, owed) && whole
	for i := range probesAnAudit {
		whole = r.auditID(ctx, r.options.URLs[i%len(r.options.URLs)], owed) && whole
	}
	r.audits.Add(1)
	return whole
}

// covers tells whether all that is owed of the devices that are seen is held; nil sees all.
func covers(held, owed []uint32, sees []bool) bool {
	for d, n := range owed {
		if held[d] < n && (sees == nil || sees[d]) {
			return false
		}
	}
	return true
}

func (r *run) auditAssets(ctx context.Context, edge int, base string, owed []uint32) bool {
	held := make([]uint32, len(owed))
	var last error
	ok := until(ctx, func() bool {
		last = r.readAssets(ctx, base, owed, held)
		return last == nil && covers(held, owed, nil)
	})
	r.notKept(fmt.Sprintf("GET from edge %d", edge), held, owed, nil, ok)
	return ok
}

// notKept records what a reader did not find.
func (r *run) notKept(who string, held, owed []uint32, sees []bool, ok bool) {
	for d, n := range owed {
		if !ok && held[d] < n && (sees == nil || sees[d]) {
			r.ledger.NotKept(who, d, held[d], n)
		}
	}
}

func (r *run) auditSnapshot(ctx context.Context, edge int, base string, owed []uint32) bool {
	var held []uint32
	ok := until(ctx, func() bool {
		var err error
		held, err = r.probe(ctx, "snapshot", base, idKey{}, make([]uint32, len(owed)), nil)
		return err == nil && covers(held, owed, nil)
	})
	if len(held) == 0 {
		held = make([]uint32, len(owed))
	}
	r.notKept(fmt.Sprintf("snapshot of edge %d", edge), held, owed, nil, ok)
	if !ok && covers(held, owed, nil) {
		r.ledger.Breach(Unrecovered, "edge %d gives no snapshot", edge)
	}
	return ok
}

func (r *run) auditViewers(ctx context.Context, owed []uint32) bool {
	whole := true
	for i := range r.viewers {
		ok := until(ctx, func() bool { return r.viewers[i].gone.Load() || r.ledger.IsReady(i) && !r.ledger.Behind(i, owed) })
		whole = whole && ok
		if ok {
			continue
		}
		if !r.ledger.IsReady(i) {
			r.ledger.Breach(Unrecovered, "viewer %d is not live", i)
		}
		r.ledger.Settle(i, owed)
	}
	return whole
}

// auditID resumes with an id of earlier and what its holder holds at the least, and reads until that is up to date.
func (r *run) auditID(ctx context.Context, base string, owed []uint32) bool {
	key, least, ok := r.ids.pick()
	if !ok {
		return true
	}
	who, sees := "resumed "+key.id, r.asks[key.ask].sees
	held, err := r.probe(ctx, who, base, key, least, owed)
	if err != nil && ctx.Err() == nil {
		// A connection that breaks is no answer; another audit asks again.
		return true
	}
	ok = err == nil || covers(held, owed, sees)
	r.notKept(who, held, owed, sees, ok)
	return ok
}

// probe opens a stream with an id, or none, for somebody who holds what held says. It reads to ready, and on until owed
// is covered. It returns what is held then.
func (r *run) probe(ctx context.Context, who, base string, key idKey, held, owed []uint32) ([]uint32, error) {
	era, ok := r.eras.enter()
	if !ok {
		return held, errBusy
	}
	floor := r.ledger.Floor()
	sees := r.asks[key.ask].sees
	s, err := r.open(ctx, listening{base: base, ask: &r.asks[key.ask], id: key.id, over: key.over()})
	if err != nil {
		return held, err
	}
	defer s.end()
	if !r.eras.is(era) {
		return held, errBusy
	}
	r.probes.Add(1)
	for ready := false; !ready || !covers(held, owed, sees); {
		e, err := s.next()
		if err != nil {
			return held, err
		}
		switch e.Type {
		case "", "batch":
			err = assets(e, func(data []byte) { r.probed(who, data, era, held) })
		case "reset":
			if r.options.NoResets && key.ask != askBox {
				r.ledger.Breach(Declared, "%s: %s", who, reasonOf(e.Data))
			}
			clear(held)
		case "ready":
			ready = true
			r.ledger.Told(who, held, era, floor, sees)
		}
		if err != nil {
			r.ledger.Breach(Malformed, "%s: %v", who, err)
		}
	}
	return held, nil
}

func (r *run) probed(who string, data []byte, era int, held []uint32) {
	device, s, ours, err := r.names.parseAsset(data, len(held))
	switch {
	case err != nil:
		r.ledger.Breach(Malformed, "%s: %v", who, err)
	case ours && s.Seq < held[device]:
		r.ledger.Breach(Backwards, "%s: device %d went from %d back to %d", who, device, held[device], s.Seq)
	case ours:
		r.ledger.Read(who, device, s, era)
		held[device] = s.Seq
	}
}
