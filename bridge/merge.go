package bridge

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/trail"
	"github.com/fleetcast/fleetcast/devices"
)

// mergedFields are the members that an asset keeps; fieldCount is their number, and the bit of each is its place in
// times.
const (
	fieldCount   = 6
	mergedFields = devices.Fields(1<<fieldCount - 1)
)

// recentReadings is how many of a device's last readings are remembered to tell duplicates. It covers what a client has
// in flight and what two gateways hear of one message; beyond it a duplicate is still harmless, since fields are merged
// by time.
const recentReadings = 8

// device is the state of one device, with the time of every field.
type device struct {
	// Kept in the record.
	asset   devices.Asset     // its Metrics and At are set when it is encoded
	times   [fieldCount]int64 // of each member, also after it was cleared, so that an older value does not come back
	metrics []metric          // sorted by name, cleared ones among them
	recent  [recentReadings]uint64
	next    int         // place in recent of the next reading
	conns   []conn      // live, the oldest first
	since   int64       // when the device was removed, if it came back since: older readings do not count
	unseen  bool        // nobody saw how its last connection ended: it goes unknown then, not offline
	offline int64       // when it goes offline unless it is heard, by the inlet's clock; 0: it does not
	applied bus.EntryID // the last entry applied
	born    int64       // when it was registered; 0: it was not, as far as is known
	every   int64       // the longest it is known to be silent while all is well, ms; see learn
	suspect *suspect    // the last fix that was taken for a jump, nil where the last was none
	tail    trail.Tail  // the open block of its trail
	alerts  *alerts     // what its rules said, nil where there is nothing to remember

	// The present owner's.
	room     int // bytes that the metrics may take in a frame
	presence presence
	rules    *hygiene // of its fleet, at their revision; nil: not asked for yet
	dirty    bool     // changed since the last publish
	gone     bool     // removed since: a flush passes over it
}

// mergeReading takes what is newest of a reading: by effective time, and by arrival where times are equal. It tells
// whether a member was older than what is held, and whether one was not.
func (s *state) mergeReading(d *device, r *devices.Reading, c *cleaned) (older, newer bool) {
	older, newer = d.mergeMeasures(&c.Measures, r.Cleared, c.at)
	for i := range r.Metrics {
		m := &r.Metrics[i]
		if !isSane(m) {
			s.counters.add(reasonBadMetric)
			continue
		}
		if s.mergeMetric(d, m, c.at) {
			newer = true
		} else {
			older = true
		}
	}
	if older {
		s.counters.add(reasonOlder)
	}
	return older, newer
}

// mergeMeasures tells whether a member was older than what is held, and whether one was not. A member that is both set
// and cleared is set.
func (d *device) mergeMeasures(m *devices.Measures, cleared devices.Fields, at int64) (older, newer bool) {
	touched := (m.Has | cleared) & mergedFields
	for i := range d.times {
		field := devices.Fields(1) << i
		switch {
		case touched&field == 0:
		case at < d.times[i]:
			older = true
			touched &^= field
		default:
			d.times[i] = at
		}
	}
	d.asset.Has = d.asset.Has&^touched | m.Has&touched
	to, from := members(&d.asset.Measures), members(m)
	for i, field := range memberFields {
		switch {
		case touched&field == 0:
		case m.Has&field != 0:
			*to[i] = *from[i]
		default:
			*to[i] = 0
		}
	}
	return older, touched != 0
}

// assetTime is the time of the position, or of the newest value where there is none.
func (d *device) assetTime() int64 {
	if d.asset.Has.Has(devices.FieldPosition) {
		return d.times[0]
	}
	var newest int64
	for i, at := range d.times {
		if d.asset.Has.Has(devices.Fields(1) << i) {
			newest = max(newest, at)
		}
	}
	for i := range d.metrics {
		if d.metrics[i].isHeld() {
			newest = max(newest, d.metrics[i].at)
		}
	}
	return newest
}

// isDuplicate tells whether the reading is one of the last that were merged, and remembers it where it is not.
// Merging a duplicate would be harmless but at equal times, where the later arrival wins: a redelivered message must
// not win over the one that followed it.
func (d *device) isDuplicate(r *devices.Reading, claimed int64) bool {
	h := r.Key
	if h != 0 {
		h = max(mix(h, keyed), 1)
	} else {
		h = hashReading(r, claimed)
	}
	for _, known := range d.recent {
		if known == h {
			return true
		}
	}
	d.recent[d.next] = h
	d.next = (d.next + 1) % recentReadings
	return false
}

// keyed tells the hashes of keys from those of contents. It is part of the record's format.
const keyed = 0x6b65796564

// hashReading is part of the record's format: it must never change within a version. It is never 0. A device that
// makes hashes collide harms only itself.
func hashReading(r *devices.Reading, claimed int64) uint64 {
	h := mix(uint64(claimed), uint64(r.Has)<<16|uint64(r.Cleared))
	for i, v := range members(&r.Measures) {
		if r.Has&memberFields[i] != 0 {
			h = mix(h, math.Float64bits(*v))
		}
	}
	if r.Has.Has(devices.FieldSatellites) {
		h = mix(h, uint64(r.Satellites))
	}
	for i := range r.Metrics {
		v := &r.Metrics[i].Value
		h = mixText(h, r.Metrics[i].Name)
		switch v.Kind {
		case devices.Text:
			h = mixText(h^uint64(v.Kind), v.Text)
		default:
			h = mix(h^uint64(v.Kind), math.Float64bits(v.Num))
		}
	}
	return max(h, 1)
}

func mix(h, v uint64) uint64 {
	high, low := bits.Mul64(h^0x9e3779b97f4a7c15, v^0xe7037ed1a0b428db)
	return high ^ low
}

func mixText(h uint64, s string) uint64 {
	h = mix(h, uint64(len(s)))
	var word [8]byte
	for len(s) > 0 {
		n := copy(word[:], s)
		clear(word[n:])
		h = mix(h, binary.LittleEndian.Uint64(word[:]))
		s = s[n:]
	}
	return h
}
