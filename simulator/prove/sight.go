package prove

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// sight is what a viewer whose box moves sees. While a move is under way it must be shown what both boxes have, and may be
// shown what either has; the `ready` behind the move's `view` says that all of the new one is there.
type sight struct {
	run    *run
	viewer int

	mu    sync.Mutex // guards what follows; the ledger's is taken under it
	sid   string     // of this connection's stream
	moves int        // since the run's start
	seq   int        // of the last move of this connection
	told  bool       // its `view` came
	over  bool       // no move is under way
	gone  bool       // the viewer left for good, and asks for nothing
	band  band
	must  []bool
	may   []bool
	floor []uint32 // that the move must show
}

// begin is a new connection, which sees what its address says.
func (s *sight) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq, s.told, s.over, s.band = 0, false, true, s.run.options.band(0)
	s.settleLocked()
}

func (s *sight) settleLocked() {
	n := len(s.run.devices)
	s.must, s.may = s.band.sees(n, 0), s.band.sees(n, s.band.margin())
	s.run.ledger.Look(s.viewer, s.must)
}

// leave is for good: who moves the box may be about to, and would have the viewer ask again for what it is no more shown.
func (s *sight) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	s.run.ledger.Look(s.viewer, make([]bool, len(s.run.devices)))
}

// move begins a move and returns what is to be said; false means that the viewer has left.
func (s *sight) move() (view, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return view{}, false
	}
	s.moves++
	s.seq++
	s.told, s.over, s.band = false, false, s.run.options.band(s.moves)
	n := len(s.run.devices)
	must, may := s.band.sees(n, 0), s.band.sees(n, s.band.margin())
	for i := range must {
		must[i], may[i] = must[i] && s.must[i], may[i] || s.may[i]
	}
	s.must, s.may, s.floor = must, may, s.run.ledger.Floor()
	s.run.ledger.Look(s.viewer, must)
	s.run.ledger.Moving(s.viewer)
	return view{Seq: s.seq, BBox: s.band.box(), sid: s.sid}, true
}

// viewed takes a `view`.
func (s *sight) viewed(data []byte) {
	var v view
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := json.Unmarshal(data, &v); err != nil || v.Seq < 1 || v.Seq > s.seq {
		s.run.ledger.Breach(Malformed, "viewer %d: view %s, and %d moves were made", s.viewer, data, s.seq)
		return
	}
	s.told = v.Seq == s.seq
}

// ready takes a `ready`; what it promises is for the ledger to see.
func (s *sight) ready(data []byte) {
	var ready struct{ SID string }
	s.mu.Lock()
	defer s.mu.Unlock()
	if json.Unmarshal(data, &ready) == nil && ready.SID != "" {
		s.sid = ready.SID
	}
	if !s.told || s.over {
		return
	}
	s.over = true
	s.settleLocked()
	s.run.ledger.Promise(s.viewer, s.floor)
	s.run.moves.Add(1)
}

func (s *sight) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

func (s *sight) maySee(device int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.may[device]
}

// pan moves the box until ctx ends, one move after the other. A move that could not be said is followed by another one.
func (s *sight) pan(ctx context.Context, say func(context.Context, view) error) {
	tick := time.NewTicker(s.run.options.PanEvery)
	defer tick.Stop()
	for failed := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !failed && (!s.isOver() || !s.run.ledger.IsReady(s.viewer) || s.run.sent.Load()) {
			continue
		}
		next, ok := s.move()
		if !ok {
			return
		}
		failed = say(ctx, next) != nil
	}
}

// view is what is said to move a box, and the event that answers.
type view struct {
	Seq  int        `json:"seq"`
	BBox [4]float64 `json:"bbox,omitzero"`
	sid  string
}
