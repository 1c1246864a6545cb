package prove

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/fleetcast/fleetcast/simulator/sseclient"
)

// viewer is a dashboard that writes down what it is told. Its watch method is one goroutine, which owns everything.
type viewer struct {
	run   *run
	index int
	edge  int  // index of the edge that it asks next
	batch bool // it asks for batches

	id    string
	idEra int // in which id was told
	held  []uint32
	retry time.Duration
}

func (v *viewer) init(r *run, index int) {
	v.run, v.index, v.edge, v.idEra = r, index, index, -1
	v.batch = index%4 == 3
	v.held = make([]uint32, r.options.Devices)
	v.retry = defaultRetry
}

// watch keeps a stream open until ctx ends, each time at the next edge.
func (v *viewer) watch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := v.once(ctx)
		v.run.ledger.Closed(v.index)
		if ctx.Err() != nil {
			return
		}
		if refused, ok := errors.AsType[*statusError](err); ok {
			v.run.refused(refused)
		}
		wait := v.retry
		if asked := v.run.options.Reconnect; asked > 0 {
			wait = asked
		}
		timer.Reset(wait - rand.N(wait/4+1))
	}
}

// once is one connection. It returns why it ended, or was none.
func (v *viewer) once(ctx context.Context) error {
	era, ok := v.run.eras.enter()
	if !ok {
		return errBusy
	}
	if age := v.run.options.ResumeEvery; age > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, age-rand.N(age/2+1))
		defer cancel()
	}
	edges := v.run.options.URLs
	base := edges[v.edge%len(edges)]
	v.edge++
	floor := v.run.ledger.Floor()
	s, err := openStream(ctx, &v.run.options, base, v.batch, v.id)
	if err != nil {
		return err
	}
	defer s.end()
	if !v.run.eras.is(era) {
		return errBusy
	}
	v.run.ledger.Open(v.index, era, v.idEra, floor)
	if v.id == "" {
		clear(v.held)
	}
	v.run.streams.Add(1)
	for {
		e, err := s.next()
		if retry := s.parser.Retry(); retry > 0 {
			v.retry = retry
		}
		if err == nil {
			v.event(e)
		}
		if id := s.parser.LastEventID(); id != "" && id != v.id {
			v.id, v.idEra = id, era
		}
		if err != nil {
			return err
		}
		if e.HasID {
			v.run.ids.note(v.batch, e.ID, v.held)
		}
	}
}

func (v *viewer) event(e sseclient.Event) {
	l := v.run.ledger
	switch e.Type {
	case "", "batch":
		if err := assets(e, v.asset); err != nil {
			l.Breach(Malformed, "viewer %d: %v", v.index, err)
		}
	case "ready":
		l.Ready(v.index)
	case "reset":
		clear(v.held)
		l.Reset(v.index, reasonOf(e.Data))
	case "removed":
		var gone struct{ ID string }
		if err := json.Unmarshal(e.Data, &gone); err != nil {
			l.Breach(Malformed, "viewer %d: removed: %v", v.index, err)
			return
		}
		if device, ours := v.run.names.find(gone.ID, len(v.held)); ours {
			v.held[device] = 0
			l.Removed(v.index, device)
		}
	}
}

func (v *viewer) asset(data []byte) {
	device, s, ours, err := v.run.names.parseAsset(data, len(v.held))
	if err != nil {
		v.run.ledger.Breach(Malformed, "viewer %d: %v", v.index, err)
		return
	}
	if ours {
		v.held[device] = s.Seq
		v.run.ledger.Shown(v.index, device, s, v.run.now())
	}
}

func reasonOf(data []byte) string {
	var reset struct{ Reason string }
	if json.Unmarshal(data, &reset) != nil || reset.Reason == "" {
		return "no reason"
	}
	return reset.Reason
}
