package rules

import (
	"slices"

	"github.com/expr-lang/expr/vm"

	"github.com/fleetcast/fleetcast/devices"
)

// Cause says what made the owner ask.
type Cause uint8

// The causes.
const (
	ByReading Cause = iota // a reading was merged: every rule is asked
	ByStatus               // the device came or went
	ByTime                 // a Due has come, and all that was said before is merged
	ByLate                 // a reading that was older than what is held
)

// Input is what the rules are asked about.
type Input struct {
	Asset *devices.Asset // as what happened left it; Status counts
	Cause Cause
	At    int64 // when it happened, unix ms: the reading's own time, else the inlet's
	Lag   int64 // ByTime: how much later than their own time the device's readings were heard, as Due was told
	// Entry names what is applied: two owners that apply the same entry make the same alerts.
	Entry uint64
}

// Evaluator asks a set about devices, for one goroutine.
type Evaluator struct {
	set  *Set
	vm   vm.VM
	env  environment
	near []int  // fences that the place may be in
	list []int  // the rules that are asked, where they had to be put together
	live *Track // what is known besides while late readings are looked at
	full bool   // env is filled
}

// NewEvaluator returns an evaluator that has no rules yet.
func NewEvaluator() *Evaluator {
	empty, _ := Compile(nil, nil)
	return &Evaluator{set: empty, env: newEnvironment()}
}

// Use has the set asked from now on. Tracks find out when they are asked next; Evaluate clears the alerts of rules that
// are gone or mean something else now.
func (e *Evaluator) Use(s *Set) { e.set = s }

// Asks tells whether any rule is about devices of a fleet, or about this device.
func (e *Evaluator) Asks(a *devices.Asset) bool {
	return len(e.set.rules) > 0 && (len(e.set.of(a.Fleet)) > 0 || len(e.set.byName[a.ID]) > 0)
}

// Evaluate asks the rules about a device and appends the steps of alerts that follow.
func (e *Evaluator) Evaluate(t *Track, in *Input, out []Alert) []Alert {
	out = e.Reconcile(t, in, out)
	var list []int
	list, e.list = e.set.list(in.Asset.Fleet, in.Asset.ID, e.list)
	t.due, t.gone = 0, 0
	if len(list) == 0 {
		return out
	}
	e.full = false
	e.locate(in)
	for _, i := range list {
		if r := &e.set.rules[i]; e.live == nil || !e.live.isRaised(r) {
			out = e.ask(t, r, in, out)
		}
	}
	return out
}

// EvaluateLate asks the rules about a reading that was older than what is held, by what it says itself: in.Asset has its
// members only. late is a track of its own, since such readings have an order of their own, as of a device that sends
// what it held back after what it says now; live is the device's other track, and what that has raised is not raised
// again. Whether a device is there is not asked.
func (e *Evaluator) EvaluateLate(late, live *Track, in *Input, out []Alert) []Alert {
	e.live = live
	defer func() { e.live = nil }()
	return e.Evaluate(late, in, out)
}

// Reconcile forgets rules that are gone, mean something else or are no longer about the device, and clears their alerts,
// where the track was last asked by another set.
func (e *Evaluator) Reconcile(t *Track, in *Input, out []Alert) []Alert {
	if t.set == e.set {
		return out
	}
	t.set = e.set
	if t.IsEmpty() {
		return out
	}
	var list []int
	list, e.list = e.set.list(in.Asset.Fleet, in.Asset.ID, e.list)
	t.memories = slices.DeleteFunc(t.memories, func(m memory) bool {
		r := e.set.find(m.rule)
		isAsked := r != nil && slices.ContainsFunc(list, func(i int) bool { return &e.set.rules[i] == r })
		if isAsked && r.version == m.version {
			return false
		}
		if m.phase == raised {
			step := m.step(in.Asset, Cleared, in.At)
			step.label(r)
			step.Text = "the rule was changed"
			out = append(out, step)
		}
		return true
	})
	return out
}

// locate finds the fences that the device may be in.
func (e *Evaluator) locate(in *Input) {
	e.near = e.near[:0]
	if len(e.set.fences) == 0 || !in.Asset.Has.Has(devices.FieldPosition) {
		return
	}
	p := [2]float64{in.Asset.Lon, in.Asset.Lat}
	e.set.tree.Search(p, p, func(_, _ [2]float64, i int) bool {
		e.near = append(e.near, i)
		return true
	})
}

// ask asks one rule and takes the step that follows.
func (e *Evaluator) ask(t *Track, r *rule, in *Input, out []Alert) []Alert {
	m := t.recall(r)
	held := m != nil && m.phase != idle
	answer := e.answer(r, in, m)
	isEdge := r.When.Type == InFence && r.When.On.isEdge()
	switch {
	case answer == no && held:
		if m.phase == raised {
			step := m.step(in.Asset, Cleared, in.At)
			step.label(r)
			step.Text, step.Value = r.describe(in.Asset, Cleared)
			out = append(out, step)
		}
		t.forget(m, isEdge)
	case answer == no && isEdge && m == nil:
		t.memory(r).armed = true
	case answer == yes && !held && (!isEdge || m != nil && m.armed):
		m = t.memory(r)
		m.phase, m.since = pending, r.when(in)
		return e.ripen(t, r, m, in, out)
	case answer == yes && m != nil && m.phase == pending:
		return e.ripen(t, r, m, in, out)
	case answer == unknown && m != nil:
		t.schedule(r, m)
	}
	return out
}

// ripen raises an alert when its condition has held for long enough.
func (e *Evaluator) ripen(t *Track, r *rule, m *memory, in *Input, out []Alert) []Alert {
	at := r.when(in)
	if at < r.ripe(m) {
		t.schedule(r, m)
		return out
	}
	m.phase, m.since, m.alert = raised, at, alertID(r.ID, in.Asset.ID, in.Entry, m.since)
	step := m.step(in.Asset, Raised, at)
	step.label(r)
	step.Text, step.Value = r.describe(in.Asset, Raised)
	return append(out, step)
}

// when is the time that counts for the rule: places are known by the time of the readings.
func (r *rule) when(in *Input) int64 {
	if in.Cause == ByTime && r.When.Type != Offline {
		return in.At - in.Lag
	}
	return in.At
}

// ripe is when a condition that holds since then has held for long enough.
func (r *rule) ripe(m *memory) int64 { return m.since + int64(r.ForSeconds*1000) }

// schedule notes when time alone will raise an alert.
func (t *Track) schedule(r *rule, m *memory) {
	if m.phase != pending || !r.isTimed() {
		return
	}
	due := &t.due
	if r.When.Type == Offline {
		due = &t.gone
	}
	if ripe := r.ripe(m); *due == 0 || ripe < *due {
		*due = ripe
	}
}

// Resume prepares the track of a record that was read: Due tells then when time alone may raise an alert.
func (e *Evaluator) Resume(t *Track) {
	t.due, t.gone = 0, 0
	for i := range t.memories {
		if r := e.set.find(t.memories[i].rule); r != nil {
			t.schedule(r, &t.memories[i])
		}
	}
}

// isTimed tells whether the condition goes on holding while the device says nothing: silence and places do. A value
// that was too high once is not known to be so still.
func (r *rule) isTimed() bool { return r.When.Type == Offline || r.When.Type == InFence }

// asks tells whether the cause has something to say to the rule.
func (r *rule) asks(c Cause) bool {
	switch c {
	case ByReading:
		return true
	case ByStatus:
		return r.When.Type == Offline
	case ByTime:
		return r.isTimed()
	case ByLate:
		return r.When.Type != Offline
	}
	return false
}

// answer is what the condition says of the device.
func (e *Evaluator) answer(r *rule, in *Input, m *memory) truth {
	if !r.asks(in.Cause) {
		return unknown
	}
	held := m != nil && m.phase != idle
	switch r.When.Type {
	case Threshold:
		return r.threshold(in.Asset, held)
	case Offline:
		if in.Asset.Status == devices.Unknown {
			return unknown // nobody saw it leave, nor has it come back
		}
		return truthOf(in.Asset.Status == devices.Offline)
	case InFence:
		return e.fence(r, in.Asset, held)
	case Expression:
		if !e.full {
			e.env.fill(in.Asset, in.Asset.Status)
			e.full = true
		}
		return e.env.ask(&e.vm, r.program)
	}
	return unknown
}

// fence asks where a device is. Once the condition holds, the border moves away by the hysteresis.
func (e *Evaluator) fence(r *rule, a *devices.Asset, held bool) truth {
	if !a.Has.Has(devices.FieldPosition) {
		return unknown
	}
	wantsInside := r.When.On.wantsInside()
	margin := 0.0
	if held == wantsInside {
		margin = r.When.Hysteresis // it holds inside and was inside; or it holds outside and was inside
	}
	inside := slices.Contains(e.near, r.fence) && e.set.fences[r.fence].contains(a.Lat, a.Lon, margin)
	return truthOf(inside == wantsInside)
}

// forget ends what is remembered of a rule, but that an edge rule's device was seen on the other side.
func (t *Track) forget(m *memory, isEdge bool) {
	if isEdge {
		*m = memory{rule: m.rule, version: m.version, armed: true}
		return
	}
	t.memories = slices.DeleteFunc(t.memories, func(other memory) bool { return other.rule == m.rule })
}
