package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/expr-lang/expr/vm"
	"github.com/tidwall/rtree"

	"github.com/fleetcast/fleetcast/devices"
)

// MaxRulesPerDevice bounds the rules that are asked of one device; of more, those of the smallest ids are, and those that
// may never be asked of a device are faults.
const MaxRulesPerDevice = 64

// Set is all rules and fences, compiled. It is immutable and may be shared; asking it is for one goroutine at a time
// with each Scratch.
type Set struct {
	rules   []rule                    // by id
	byFleet map[devices.FleetID][]int // of those that name no devices
	rest    []int                     // of fleets that no rule names
	byName  map[devices.DeviceID][]int
	metrics bool // a rule may ask for metrics
	fences  []*shape
	tree    rtree.RTreeG[int] // over fences
}

// rule is a rule made ready.
type rule struct {
	Rule
	version uint32            // another where the rule means something else
	fence   int               // in Set.fences
	place   string            // what people call that fence
	seenBy  []devices.FleetID // who may see it; empty: all
	program *vm.Program
	measure measure // of a threshold; its of is nil where it is about a metric
	metric  string
}

// Fault is a rule or a fence that a Set had to leave out.
type Fault struct {
	Rule string
	Err  error
}

// Compile makes a Set. Rules that cannot be asked (their fence is gone, for example) and those that are disabled are
// left out; the faults tell of the former.
func Compile(all []Rule, fences []Fence) (*Set, []Fault) {
	s := &Set{byFleet: map[devices.FleetID][]int{}, byName: map[devices.DeviceID][]int{}}
	var faults []Fault
	byID := map[string]int{}
	for i := range fences {
		compiled, err := fences[i].Geometry.compile()
		if err != nil {
			faults = append(faults, Fault{fences[i].ID, err})
			continue
		}
		byID[fences[i].ID] = len(s.fences)
		s.fences = append(s.fences, compiled)
	}
	named := map[devices.FleetID]bool{}
	for i := range all {
		if all[i].Disabled {
			continue
		}
		r, err := s.compile(&all[i], fences, byID)
		if err != nil {
			faults = append(faults, Fault{all[i].ID, err})
			continue
		}
		s.rules = append(s.rules, r)
		for _, f := range r.Fleets {
			named[f] = true
		}
	}
	slices.SortFunc(s.rules, func(a, b rule) int { return cmp.Compare(a.ID, b.ID) })
	s.spread(named)
	s.plant()
	return s, append(faults, s.crowded()...)
}

func (s *Set) compile(given *Rule, fences []Fence, byID map[string]int) (rule, error) {
	if err := given.Check(); err != nil {
		return rule{}, err
	}
	r := rule{Rule: *given, fence: -1}
	meaning := []any{given.When, given.ForSeconds}
	switch given.When.Type {
	case InFence:
		at, ok := byID[given.When.Fence]
		if !ok {
			return rule{}, devices.Errorf(devices.NotFound, "when.fence", "is not there")
		}
		r.fence = at
		for i := range fences {
			if fences[i].ID == given.When.Fence {
				meaning = append(meaning, fences[i].Geometry)
				r.place, r.seenBy = cmp.Or(fences[i].Name, fences[i].ID), fences[i].Fleets
			}
		}
	case Expression:
		program, err := compileExpression(given.When.Expression)
		if err != nil {
			return rule{}, err
		}
		r.program = program
	case Threshold:
		r.bind()
	case Offline:
	}
	text, err := json.Marshal(meaning)
	if err != nil {
		return rule{}, fmt.Errorf("sum up rule: %w", err)
	}
	sum := sha256.Sum256(text)
	r.version = binary.LittleEndian.Uint32(sum[:])
	return r, nil
}

// spread lists the rules of each fleet that a rule names, those of all other fleets, and those of devices by their names.
func (s *Set) spread(named map[devices.FleetID]bool) {
	for i := range s.rules {
		r := &s.rules[i]
		s.metrics = s.metrics || r.metric != "" || r.program != nil
		for _, id := range r.Devices {
			s.byName[id] = append(s.byName[id], i)
		}
		if len(r.Devices) > 0 {
			continue
		}
		if len(r.Fleets) == 0 {
			s.rest = append(s.rest, i)
		}
		for f := range named {
			if r.isAbout(f) {
				s.byFleet[f] = append(s.byFleet[f], i)
			}
		}
	}
}

// placeFor is what people of a fleet call the fence: its name is for those who may see it.
func (r *rule) placeFor(fleet devices.FleetID) string {
	if len(r.seenBy) > 0 && !slices.Contains(r.seenBy, fleet) {
		return r.When.Fence
	}
	return r.place
}

// isAbout tells whether the rule is about devices of a fleet.
func (r *rule) isAbout(fleet devices.FleetID) bool {
	return len(r.Fleets) == 0 || slices.Contains(r.Fleets, fleet)
}

// crowded are the rules that some devices are not asked, since there are too many before them.
func (s *Set) crowded() (faults []Fault) {
	beyond := map[int]bool{}
	lists := []([]int){s.rest}
	for _, list := range s.byFleet {
		lists = append(lists, list)
	}
	for _, list := range s.byName {
		lists = append(lists, list)
	}
	for _, list := range lists {
		for _, i := range list[min(len(list), MaxRulesPerDevice):] {
			beyond[i] = true
		}
	}
	for i := range s.rules {
		if beyond[i] {
			faults = append(faults, Fault{s.rules[i].ID, devices.Errorf(devices.Exhausted, "", "is not asked of every device: only %d rules are, those of the smallest ids", MaxRulesPerDevice)})
		}
	}
	return faults
}

// plant fills the tree with where each fence can be met, its border's largest hysteresis included. A fence that reaches
// over the antimeridian stands there twice.
func (s *Set) plant() {
	margins := make([]float64, len(s.fences))
	for i := range s.rules {
		if at := s.rules[i].fence; at >= 0 {
			margins[at] = max(margins[at], s.rules[i].When.Hysteresis)
		}
	}
	for i, f := range s.fences {
		b := f.reach(margins[i])
		for _, turn := range [...]float64{0, 360, -360} {
			if b.Min[0]+turn <= 180 && b.Max[0]+turn >= -180 {
				s.tree.Insert([2]float64{b.Min[0] + turn, b.Min[1]}, [2]float64{b.Max[0] + turn, b.Max[1]}, i)
			}
		}
	}
}

// of returns the rules that may be about devices of a fleet and name none, by their places in the set.
func (s *Set) of(fleet devices.FleetID) []int {
	if list, ok := s.byFleet[fleet]; ok {
		return list
	}
	return s.rest
}

// list returns the rules that are asked of a device, by their places in the set, and the scratch, in which the list stands
// where it had to be put together.
func (s *Set) list(fleet devices.FleetID, id devices.DeviceID, scratch []int) (list, kept []int) {
	general, own := s.of(fleet), s.byName[id]
	if len(own) == 0 {
		return general[:min(len(general), MaxRulesPerDevice)], scratch
	}
	scratch = append(scratch[:0], general[:min(len(general), MaxRulesPerDevice)]...)
	for _, i := range own {
		if s.rules[i].isAbout(fleet) {
			scratch = append(scratch, i)
		}
	}
	slices.Sort(scratch)
	return scratch[:min(len(scratch), MaxRulesPerDevice)], scratch
}

// UsesMetrics tells whether a rule may ask for metrics, so that an asset without them would be judged wrongly.
func (s *Set) UsesMetrics() bool { return s.metrics }

// find returns the rule of an id, or nil.
func (s *Set) find(id string) *rule {
	i, ok := slices.BinarySearchFunc(s.rules, id, func(r rule, id string) int { return cmp.Compare(r.ID, id) })
	if !ok {
		return nil
	}
	return &s.rules[i]
}

// Len is the number of rules that are asked.
func (s *Set) Len() int { return len(s.rules) }
