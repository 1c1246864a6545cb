package prove

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/simulator/sseclient"
)

// viewer is a dashboard that writes down what it is told. Its watch method is one goroutine, which owns everything.
type viewer struct {
	run    *run
	index  int
	edge   int // index of the edge that it asks next
	habits habits
	sees   []bool // the devices that it asks for; nil is all
	sight  *sight // nil: it has no box that moves
	gone   atomic.Bool

	id    string
	idEra int // in which id was told
	held  []uint32
	retry time.Duration
}

func (v *viewer) init(r *run, index int) {
	v.run, v.index, v.edge, v.idEra = r, index, index, -1
	v.habits = r.options.habits(index)
	v.sees = r.asks[v.habits.ask].sees
	if v.habits.ask == askBox { // an edge that was started since cannot say who left it
		r.ledger.Wanders(index)
	}
	if v.habits.pans {
		v.sight = &sight{run: r, viewer: index}
	}
	r.ledger.Look(index, v.sees)
	v.held = make([]uint32, r.options.Devices)
	v.retry = defaultRetry
}

// hasLeft tells whether it is to be gone for good.
func (v *viewer) hasLeft() bool { return v.habits.leaves > 0 && v.run.now() >= v.habits.leaves }

// leave is for good: what is sent from now on is nothing that it asked for.
func (v *viewer) leave() {
	v.gone.Store(true)
	if v.sight != nil {
		v.sight.leave()
		return
	}
	v.run.ledger.Look(v.index, make([]bool, len(v.held)))
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
		if ctx.Err() != nil || v.gone.Load() {
			return
		}
		if v.hasLeft() {
			v.leave()
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
	if age := v.run.options.ResumeEvery; age > 0 && v.habits.cut {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, age-rand.N(age/2+1))
		defer cancel()
	}
	edges := v.run.options.URLs
	base := edges[v.edge%len(edges)]
	v.edge++
	floor := v.run.ledger.Floor()
	s, err := v.run.open(ctx, listening{base, &v.run.asks[v.habits.ask], v.id, v.habits.over, v.habits.paceBytes})
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
	v.run.opened[v.habits.over].Add(1)
	if v.sight != nil {
		v.sight.begin()
		panning, stop := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer stop()
		running.Go(func() { v.sight.pan(panning, s.look) })
	}
	return v.listen(ctx, s, era)
}

// listen writes down what comes until the stream ends.
func (v *viewer) listen(ctx context.Context, s stream, era int) error {
	for {
		e, err := s.next()
		id, retry := s.at()
		if retry > 0 {
			v.retry = retry
		}
		if err == nil {
			v.event(e)
		}
		if id != "" && id != v.id {
			v.id, v.idEra = id, era
		}
		if err != nil {
			return err
		}
		if e.HasID && v.sight == nil {
			v.run.ids.note(idKey{v.habits.ask, v.habits.over == overWebSocket, e.ID}, v.held)
		}
		if v.hasLeft() {
			v.leave()
			if v.habits.silently {
				<-ctx.Done() // or until the one who opened the stream finds it silent
			}
			return errLeft
		}
	}
}

var errLeft = errors.New("the viewer left")

func (v *viewer) event(e sseclient.Event) {
	l := v.run.ledger
	switch e.Type {
	case "", "batch":
		if err := assets(e, v.asset); err != nil {
			l.Breach(Malformed, "viewer %d: %v", v.index, err)
		}
	case "ready":
		if v.sight != nil {
			v.sight.ready(e.Data)
		}
		l.Ready(v.index)
	case "view":
		if v.sight != nil {
			v.sight.viewed(e.Data)
		}
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
		if v.sight == nil && v.sees != nil && !v.sees[device] || v.sight != nil && !v.sight.maySee(device) {
			v.run.ledger.Breach(Leaked, "viewer %d: device %d is none that it asked for", v.index, device)
		}
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
