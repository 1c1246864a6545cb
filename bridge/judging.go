package bridge

import (
	"container/heap"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
)

// Rules are what people want to be told of, as this process has them. Its method may be called concurrently and must not
// wait: it is asked once for many entries.
type Rules interface {
	// Rules returns the present set, another one whenever a rule or a fence changed, and nil while they are not known.
	Rules() *rules.Set
}

const (
	// reviewStep is how many devices are looked at in a row where the rules changed.
	reviewStep = 500
	// settleTime is how long an owner only reads before it lets time alone say something: what waits in the inlet may
	// already say otherwise.
	settleTime = 2 * time.Second
	// lateFor is how long after a device's last word the late readings that it sends are taken to go on.
	lateFor = 5 * time.Minute
	// maxPendingEvents is from how many alerts on a flush is not waited for, nor more entries read where it fails.
	maxPendingEvents = 1024
)

// judging is what the rules said of a partition's devices. Each reading is judged before it is coalesced; what time alone
// says is judged at the time at which it came true, so that an owner that reads what another has read says the same.
type judging struct {
	eval    *rules.Evaluator
	set     *rules.Set // nil: not known yet, and nothing is judged
	isOn    bool       // there are rules
	watched int        // devices of which something is remembered
	blank   *alerts    // of a device of which nothing is
	dues    dueHeap
	steps   []rules.Alert // scratch
	events  []bus.Event   // since the last publish

	reviewing bool // not every device was looked at since the rules changed
	next      int  // the place in state.all of the next
}

func newJudging() judging { return judging{eval: rules.NewEvaluator(), blank: newAlerts()} }

// refreshSet looks whether the rules changed.
func (s *state) refreshSet() {
	if s.opts.Rules == nil {
		return
	}
	j := &s.judging
	set := s.opts.Rules.Rules()
	if set == j.set || set == nil {
		return
	}
	j.set, j.isOn = set, set.Len() > 0
	j.eval.Use(set)
	s.beginReview()
}

// beginReview has every device looked at: alerts of rules that are gone are cleared, and places and silence are judged
// where they are.
func (s *state) beginReview() {
	s.judging.reviewing, s.judging.next = s.judging.set != nil && (s.judging.isOn || s.judging.watched > 0), 0
}

// reviewSome looks at the next devices. It is called where the inlet is read to its end; now is its clock.
func (s *state) reviewSome(now int64) {
	j := &s.judging
	for end := min(j.next+reviewStep, len(s.all)); j.next < end; j.next++ {
		s.reviewAlerts(s.all[j.next], now)
	}
	j.reviewing = j.next < len(s.all)
}

func (s *state) reviewAlerts(d *device, now int64) {
	if d.gone || d.alerts == nil && !s.judging.isOn {
		return
	}
	s.judge(d, rules.ByTime, now)
	if w := d.alerts; w != nil {
		if !w.late.IsEmpty() {
			in := rules.Input{Asset: &d.asset, At: now}
			s.tell(d, s.judging.eval.Reconcile(&w.late, &in, s.judging.steps[:0]))
		}
		s.touch(d)
		s.settleAlerts(d, w)
	}
}

// input is what the rules are asked about a device as it is.
func (s *state) input(d *device, cause rules.Cause, at int64) rules.Input {
	if s.judging.set.UsesMetrics() {
		d.asset.Metrics = s.heldMetrics(d)
	}
	return rules.Input{Asset: &d.asset, Cause: cause, At: at, Entry: uint64(d.applied)}
}

// judge asks the rules about a device that came, went, or was there for a while.
func (s *state) judge(d *device, cause rules.Cause, at int64) {
	if s.judging.set == nil || !s.judging.isOn && d.alerts == nil {
		return
	}
	w := s.alertsOf(d)
	in := s.input(d, cause, at)
	in.Lag = w.lag
	s.judging.steps = s.judging.eval.Evaluate(&w.track, &in, s.judging.steps[:0])
	d.asset.Metrics = nil
	s.settleAlerts(d, w)
	s.tell(d, s.judging.steps)
}

// heardReading is a reading that was merged.
type heardReading struct {
	*devices.Reading
	cleaned  *cleaned
	received int64
	older    bool // a member was older than what is held
	newer    bool // a member was not
}

// judgeReading asks the rules about a device as a reading left it, and about what the reading itself says where that is
// older than what is held.
func (s *state) judgeReading(d *device, r *heardReading) {
	if d.alerts == nil && !s.judging.eval.Asks(&d.asset) {
		return
	}
	w := s.alertsOf(d)
	at := r.cleaned.at
	if at == 0 {
		at = r.received
	}
	j := &s.judging
	j.steps = j.steps[:0]
	if r.newer || !r.older {
		w.lag = max(r.received-at, 0)
		in := s.input(d, rules.ByReading, at)
		j.steps = j.eval.Evaluate(&w.track, &in, j.steps)
		d.asset.Metrics = nil
		if !r.older && !w.late.IsEmpty() {
			j.steps = w.late.Close(&d.asset, at, "newer readings follow", j.steps)
		}
	}
	if r.older {
		j.steps = s.judgeLate(d, w, r, at)
	}
	s.settleAlerts(d, w)
	s.tell(d, j.steps)
}

// judgeLate asks the rules about what a late reading says by itself.
func (s *state) judgeLate(d *device, w *alerts, r *heardReading, at int64) []rules.Alert {
	a := devices.Asset{ID: d.asset.ID, Fleet: d.asset.Fleet, Status: d.asset.Status, Measures: r.cleaned.Measures}
	for i := range r.Metrics {
		if isSane(&r.Metrics[i]) {
			a.Metrics = append(a.Metrics, r.Metrics[i])
		}
	}
	in := rules.Input{Asset: &a, Cause: rules.ByLate, At: at, Entry: uint64(d.applied)}
	return s.judging.eval.EvaluateLate(&w.late, &w.track, &in, s.judging.steps)
}

// acknowledge notes that a person has seen an alert.
func (s *state) acknowledge(d *device, e *bus.Entry) {
	a := e.Acknowledgement
	if d.alerts == nil {
		s.counters.add(reasonNoAlert)
		return
	}
	step, ok := d.alerts.track.Acknowledge(a.Alert, a.By, e.Time, &d.asset)
	if !ok {
		step, ok = d.alerts.late.Acknowledge(a.Alert, a.By, e.Time, &d.asset)
	}
	if !ok {
		s.counters.add(reasonNoAlert)
		return
	}
	step.Comment = a.Text
	s.tell(d, append(s.judging.steps[:0], step))
}

// closeAlerts clears what is open, since the device leaves its fleet, and forgets the rest.
func (s *state) closeAlerts(d *device, why string) {
	w := d.alerts
	if w == nil {
		return
	}
	at := max(s.lastTime, d.asset.Received)
	steps := w.track.Close(&d.asset, at, why, s.judging.steps[:0])
	steps = w.late.Close(&d.asset, at, why, steps)
	s.tell(d, steps)
	w.notes = nil
	s.settleAlerts(d, w)
}

// tidyAlerts forgets what was cleared long ago, and ends what a device that is quiet now had held back. kept is for how long the
// device's fleet keeps alerts; 0: as long as others.
func (s *state) tidyAlerts(d *device, now int64, kept time.Duration) {
	w := d.alerts
	if w == nil {
		return
	}
	if !w.late.IsEmpty() && now-d.asset.Received > lateFor.Milliseconds() {
		s.touch(d)
		s.tell(d, w.late.Close(&d.asset, now, "newer readings follow", s.judging.steps[:0]))
	}
	if kept == 0 {
		kept = s.opts.AlertsKept
	}
	if w.forget(now - kept.Milliseconds()) {
		s.touch(d)
	}
	s.settleAlerts(d, w)
}

// ripenBefore judges what time alone had made true before an entry of this time.
func (s *state) ripenBefore(received int64) {
	if s.judging.set == nil {
		return
	}
	for dues := &s.judging.dues; len(*dues) > 0 && (*dues)[0].alerts.due <= received; {
		s.ripen((*dues)[0])
	}
}

func (s *state) ripen(d *device) {
	w := d.alerts
	at := w.due
	s.judge(d, rules.ByTime, at)
	s.touch(d)
	if w.place >= 0 && w.due <= at { // it must come to an end, whatever the rules say
		w.due = 0
		heap.Remove(&s.judging.dues, w.place)
	}
}

// isFull tells whether there are so many events that they are not gathered further.
func (j *judging) isFull() bool { return len(j.events) >= maxPendingEvents }

// judgeTime judges what the passing of time and changed rules say, where the inlet is read to its end.
func (o *ownership) judgeTime(now time.Time) {
	if !o.atEnd || now.Sub(o.start) < settleTime {
		return
	}
	clock := o.inletClock(now)
	o.state.ripenBefore(clock)
	if o.state.judging.reviewing {
		o.state.reviewSome(clock)
	}
}

// judgeAt is when judgeTime has something to do; the zero time is not as long as nothing comes.
func (o *ownership) judgeAt(now time.Time) time.Time {
	j := &o.state.judging
	at := now
	switch {
	case j.set == nil || !o.atEnd: // what is read next wakes the loop
		return time.Time{}
	case j.reviewing:
	case len(j.dues) > 0:
		at = now.Add(time.Duration(j.dues[0].alerts.due-o.inletClock(now)) * time.Millisecond)
	default:
		return time.Time{}
	}
	if settled := o.start.Add(settleTime); at.Before(settled) {
		return settled
	}
	return at
}
