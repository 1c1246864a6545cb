package bridge

import (
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
)

// state is everything that the owner of a partition holds of it. It is a pure function of the records that it was
// loaded from and the entries applied since; it does no I/O, has no lock and belongs to one goroutine.
type state struct {
	opts      *Options
	counters  *counters
	index     *fleetIndex
	partition int

	live    map[devices.DeviceID]*device
	removed map[deviceKey]*tombstone
	// removals are the tombstones in the order of their removal, for the bound on their number; some may have come back.
	removals []*tombstone
	leaving  *list.List // of *device, see leave

	applied   bus.EntryID // the last entry that was looked at
	lastTime  int64       // its time
	published bus.EntryID // the last that a publish consumed
	config    uint64      // the revision of what people configure that is in the state
	dirty     []*device
	dirtyGone []*tombstone
	commands  commands
	closed    []bus.TrailBlock // blocks of trails that were closed since the last publish

	all     []*device                   // the live ones and some that are gone, in the order in which they are looked at
	round   round                       // of looking at them
	absent  map[bus.DoorID]uint64       // of the round before: doors with connections that an answer of the bus did not have; see dropDead
	asked   map[devices.DeviceID]answer // of the registry's store, until something changes there
	tracing tracing
	outbox  []bus.Entry // what other partitions are to have, before the next publish

	fresh *freshness
	shown int64 // the inlet's time up to which was published

	rules         map[devices.FleetID]*hygiene // of the fleets that were heard since a setting changed
	rulesRevision uint64

	judging judging            // what the rules say
	erased  []devices.DeviceID // since the last publish

	// Reused from flush to flush.
	flush   bus.Flush
	scratch []byte
	metrics []devices.Metric

	unwritten    []Heard // what is to be written into the history before the next publish
	historyFails bool
}

// deviceKey names a removal: the same device may live on in another fleet.
type deviceKey struct {
	fleet  devices.FleetID
	device devices.DeviceID
}

// tombstone remembers that a device was removed from a fleet, so that a late reading does not bring it back.
type tombstone struct {
	key     deviceKey
	at      int64 // by the inlet's clock
	applied bus.EntryID
}

func newState(opts *Options, c *counters, index *fleetIndex) *state {
	s := &state{
		opts: opts, counters: c, index: index,
		live: make(map[devices.DeviceID]*device), removed: make(map[deviceKey]*tombstone), leaving: list.New(),
		rules: make(map[devices.FleetID]*hygiene), commands: newCommands(),
		asked:   make(map[devices.DeviceID]answer),
		round:   newRound(),
		fresh:   &freshness{},
		metrics: make([]devices.Metric, 0, devices.MaxMetrics), scratch: make([]byte, 0, 2*devices.MaxAssetBytes),
		judging: newJudging(),
	}
	s.refreshRules()
	return s
}

// load rebuilds the state from the records of the last owner. A record that cannot be read is counted; its device
// begins anew with its next entry. One that a newer release wrote is an error: it must not be begun anew, which would lose
// what the device was promised.
//
// A later bus will tell which door runs are over; their connections leave the sets here, and who was online only
// through them becomes unknown. Records keep live connections for that.
func (s *state) load(records iter.Seq[bus.Record]) error {
	var leaving []*device
	for r := range records {
		d, err := s.loadRecord(&r)
		switch {
		case errors.Is(err, errNewer):
			return fmt.Errorf("load %s/%s: %w", r.Fleet, r.Device, err)
		case err != nil:
			s.counters.add(reasonBadRecord)
		case d != nil && d.offline != 0:
			leaving = append(leaving, d)
		}
	}
	slices.SortStableFunc(s.removals, func(a, b *tombstone) int { return cmp.Compare(a.at, b.at) })
	for _, t := range s.removals {
		s.removed[t.key] = t
	}
	slices.SortStableFunc(leaving, func(a, b *device) int { return cmp.Compare(a.offline, b.offline) })
	for _, d := range leaving {
		s.leave(d, d.offline, s.opts.OfflineGrace)
	}
	s.beginReview()
	return nil
}

// loadRecord takes one record in, and returns the device where it is a live one.
func (s *state) loadRecord(r *bus.Record) (*device, error) {
	if r.Removed {
		t, err := decodeTombstone(r.Data)
		if err != nil {
			return nil, err
		}
		t.key = deviceKey{r.Fleet, r.Device}
		s.removals = append(s.removals, t)
		return nil, nil
	}
	d, err := decodeDevice(r.Data)
	if err != nil {
		return nil, err
	}
	if !s.index.claim(r.Device, r.Fleet) {
		s.counters.add(reasonFleetConflict) // two processes took it in; what is published already stays
	}
	s.keep(d, r.Device, r.Fleet)
	s.resume(d)
	return d, nil
}

// unload gives the devices' ids free for other partitions.
func (s *state) unload() {
	for id, d := range s.live {
		s.index.release(id, d.asset.Fleet)
	}
}

// keep makes d a live device of the state.
func (s *state) keep(d *device, id devices.DeviceID, fleet devices.FleetID) {
	d.asset.ID, d.asset.Fleet = id, fleet
	if reg, ok := s.registered(id); ok {
		d.asset.Name = reg.Name
	}
	s.setRoom(d)
	for i := range d.metrics {
		m := &d.metrics[i]
		m.nameBytes = s.jsonBytes(m.name)
		s.measure(m)
	}
	if s.live[id] != d {
		s.live[id] = d
		s.all = append(s.all, d)
	}
}

// setRoom says how many bytes the metrics may take beside the texts of the device.
func (s *state) setRoom(d *device) {
	d.room = devices.MaxAssetBytes - fixedBytes - s.jsonBytes(d.asset.ID.String()) - s.jsonBytes(d.asset.Fleet.String())
	if d.asset.Name != "" {
		d.room -= s.jsonBytes(d.asset.Name) + nameMemberBytes
	}
}

// apply applies one entry. now is the owner's clock since the state was loaded.
func (s *state) apply(e *bus.Entry, now time.Duration) {
	if e.ID <= s.applied {
		s.counters.add(reasonReplayed)
		return
	}
	s.applied = e.ID
	s.lastTime = max(s.lastTime, e.Time)
	if !isSound(e) {
		s.counters.add(reasonBadEntry)
		return
	}
	s.expireBefore(e.Time)
	s.ripenBefore(e.Time)
	switch e.Kind { // what needs no live device
	case bus.KindRemoval:
		s.remove(e)
		return
	case bus.KindErasure:
		s.erase(e)
		return
	case bus.KindCommand:
		s.applyCommand(e)
		return
	case bus.KindCommandState:
		s.applyReport(e)
		return
	default:
	}
	d := s.find(e)
	if d == nil {
		return
	}
	if e.ID <= d.applied {
		s.counters.add(reasonReplayed)
		return
	}
	d.applied = e.ID
	s.touch(d)
	switch e.Kind {
	case bus.KindReading:
		s.applyReading(d, e)
	case bus.KindConnection:
		s.applyConnection(d, e, now)
		s.judge(d, rules.ByStatus, e.Time)
	case bus.KindStatus:
		s.applyStatus(d, e)
		s.judge(d, rules.ByStatus, e.Time)
	case bus.KindAcknowledgement:
		s.acknowledge(d, e)
	case bus.KindRemoval, bus.KindErasure, bus.KindCommand, bus.KindCommandState: // were handled above, with the device that they may not find
	}
}

func isSound(e *bus.Entry) bool {
	switch e.Kind {
	case bus.KindReading:
		return e.Reading != nil && !e.Device.IsZero() && !e.Fleet.IsZero()
	case bus.KindAcknowledgement:
		return e.Acknowledgement != nil && !e.Device.IsZero() && !e.Fleet.IsZero()
	case bus.KindCommand:
		return e.Command != nil && !e.Device.IsZero() && !e.Fleet.IsZero()
	case bus.KindCommandState:
		return e.Report != nil && !e.Device.IsZero() && !e.Fleet.IsZero()
	case bus.KindConnection, bus.KindStatus, bus.KindRemoval, bus.KindErasure:
		return !e.Device.IsZero() && !e.Fleet.IsZero()
	default:
		return false
	}
}

func (s *state) applyReading(d *device, e *bus.Entry) {
	s.counters.add(countReadings)
	s.remember(d, e)
	r := e.Reading
	h := s.hygieneOf(d)
	h.ages.claimed(r, e.Time)
	if r.Retained && h.retained {
		// The asset must have a time of receipt, also where the device itself was never heard.
		if d.asset.Received == 0 {
			d.asset.Received = e.Time
		}
	} else {
		s.heard(d, e.Time)
	}
	c, taken := d.take(r, h, e.Time, s.counters)
	if !taken {
		s.judge(d, rules.ByStatus, e.Time)
		return
	}
	s.keepFix(d, h, &c, e.Time)
	older, newer := s.mergeReading(d, r, &c)
	if s.judging.set != nil && (s.judging.isOn || d.alerts != nil) {
		s.judgeReading(d, &heardReading{r, &c, e.Time, older, newer})
	}
}

// take does hygiene: it tells what is left of a reading, and false where nothing is to be taken.
func (d *device) take(r *devices.Reading, h *hygiene, received int64, n *counters) (c cleaned, taken bool) {
	c = h.clean(r, received, n)
	if r.Retained && h.retained {
		n.add(reasonKept)
	}
	switch {
	case c.at < d.since:
		n.add(reasonRemoved)
	case c.old:
		n.add(reasonTooOld)
	case h.duplicates && d.isDuplicate(r, c.claimed):
		n.add(reasonDuplicate)
	default:
		h.judgeFix(d, r, &c, received, n)
		return c, true
	}
	return c, false
}

// hygieneOf returns the rules of the device's fleet. A device keeps them until a setting changes.
func (s *state) hygieneOf(d *device) *hygiene {
	if d.rules != nil && d.rules.revision == s.rulesRevision {
		return d.rules
	}
	d.rules = s.rulesOf(d.asset.Fleet)
	if d.rules.TrailFixes == 0 {
		s.forgetTrail(d)
	}
	return d.rules
}

func (s *state) rulesOf(fleet devices.FleetID) *hygiene {
	if h := s.rules[fleet]; h != nil {
		return h
	}
	var settings *devices.HygieneSettings
	if s.opts.Settings != nil {
		settings = s.opts.Settings.Hygiene(fleet)
	}
	h := newHygiene(settings, s.rulesRevision)
	h.ages = s.fresh.of(fleet)
	s.rules[cloneFleet(fleet)] = h
	return h
}

// refreshRules looks whether a setting changed. It is asked once for many entries.
func (s *state) refreshRules() {
	s.refreshSet()
	if s.opts.Settings == nil {
		return
	}
	if now := s.opts.Settings.Revision(); now != s.rulesRevision {
		s.rulesRevision = now
		clear(s.rules)
	}
}

// remove removes a device from its fleet. A device that is not held leaves no tombstone: whoever may remove could fill
// the memory with them.
func (s *state) remove(e *bus.Entry) {
	key := deviceKey{e.Fleet, e.Device}
	d := s.live[e.Device]
	switch {
	case d != nil && d.asset.Fleet != e.Fleet:
		s.counters.add(reasonFleetConflict)
		return
	case d == nil && s.removed[key] == nil:
		s.counters.add(reasonUnknown)
		return
	case d == nil && e.ID <= s.removed[key].applied, d != nil && e.ID <= d.applied:
		s.counters.add(reasonReplayed)
		return
	}
	s.counters.add(countRemovals)
	t := &tombstone{key: key, at: e.Time, applied: e.ID}
	if d == nil {
		s.entomb(t)
		return
	}
	t.key = deviceKey{d.asset.Fleet, d.asset.ID} // the entry's memory is not ours
	s.bury(d, t)
}

// forgetRemovals keeps the number of remembered removals within the limit of devices; the oldest go. The bus prunes
// its tombstones by itself.
func (s *state) forgetRemovals() {
	if len(s.removals) <= s.opts.MaxDevices {
		return
	}
	s.removals = slices.DeleteFunc(s.removals, func(t *tombstone) bool { return s.removed[t.key] != t })
	// A tenth more than must be, so that the list is not moved for every removal.
	if excess := len(s.removals) - s.opts.MaxDevices; excess > 0 {
		excess = min(excess+s.opts.MaxDevices/10, len(s.removals)-1)
		for _, t := range s.removals[:excess] {
			delete(s.removed, t.key)
		}
		s.removals = slices.Delete(s.removals, 0, excess)
	}
}

// touch marks a device as changed.
func (s *state) touch(d *device) {
	if !d.dirty {
		d.dirty = true
		s.dirty = append(s.dirty, d)
	}
}
