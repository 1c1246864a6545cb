package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/trail"
	"github.com/fleetcast/fleetcast/devices"
)

// keepFix adds the reading's fix to the trail and closes the block where that makes it full.
func (s *state) keepFix(d *device, h *hygiene, c *cleaned, received int64) {
	if d.addFix(h, c, received, s.counters) && d.tail.IsFull() {
		s.closed = append(s.closed, bus.TrailBlock{
			Device: d.asset.ID, Fleet: d.asset.Fleet, Data: d.tail.Close(), Keep: blocksFor(h.TrailFixes),
		})
	}
}

// addFix adds a fix in its place by time and tells whether the trail has more of it now.
func (d *device) addFix(h *hygiene, c *cleaned, received int64, n *counters) bool {
	if !c.Has.Has(devices.FieldPosition) || c.held || c.at <= 0 || h.TrailFixes == 0 {
		return false
	}
	if c.at < received-int64(h.TrailSeconds)*1000 {
		n.add(reasonTrailOld)
		return false
	}
	f := devices.Fix{
		At: c.at, Lat: c.Lat, Lon: c.Lon, Has: c.Has, Altitude: c.Altitude, Speed: c.Speed, Heading: c.Heading,
	}
	if !d.tail.Add(&f) {
		n.add(reasonTrailHad)
		return false
	}
	n.add(countFixes)
	return true
}

// blocksFor is how many closed blocks hold at least a number of fixes.
func blocksFor(fixes int) int { return (fixes + trail.BlockFixes - 1) / trail.BlockFixes }

// forgetTrail drops the trail of a device whose fleet keeps none.
func (s *state) forgetTrail(d *device) {
	d.tail.Reset()
	s.closed = append(s.closed, bus.TrailBlock{Device: d.asset.ID, Fleet: d.asset.Fleet})
}

// dropClosed drops the blocks of a device that is removed before they were published.
func (s *state) dropClosed(key deviceKey) {
	s.closed = slices.DeleteFunc(s.closed, func(b bus.TrailBlock) bool { return b.Device == key.device && b.Fleet == key.fleet })
}

// closedTrails are the blocks of a flush. A device that was removed and came back within the flush has no removal in it,
// so its old trail is forgotten here.
func (s *state) closedTrails(dst []bus.TrailBlock) []bus.TrailBlock {
	clear(dst)
	dst = dst[:0]
	for _, t := range s.dirtyGone {
		if s.isSuperseded(t) {
			dst = append(dst, bus.TrailBlock{Device: t.key.device, Fleet: t.key.fleet})
		}
	}
	return append(dst, s.closed...)
}

// Trails reads trails, in any process that has the bus. Its methods may be called concurrently.
type Trails struct {
	bus      bus.Trails
	settings Settings
	now      func() time.Time
}

// NewTrails makes a reader. settings may be nil for the defaults.
func NewTrails(b bus.Trails, settings Settings) (*Trails, error) {
	if b == nil {
		return nil, errors.New("make trails: the bus is missing")
	}
	return &Trails{bus: b, settings: settings, now: time.Now}, nil
}

// Trail returns the fixes of a live device that a query asks for, in the order of their times, or an error of kind
// NotFound. It has what the last publish had: a fix is there as soon as it is live.
func (t *Trails) Trail(ctx context.Context, fleet devices.FleetID, device devices.DeviceID, q devices.TrailQuery) ([]devices.Fix, error) {
	settings := devices.DefaultHygiene()
	if t.settings != nil {
		if h := t.settings.Hygiene(fleet); h != nil {
			settings = *h
		}
	}
	kept, err := t.bus.Trail(ctx, fleet, device)
	if err != nil {
		return nil, fmt.Errorf("read trail: %w", err)
	}
	d, err := decodeDevice(kept.Record)
	if err != nil {
		return nil, fmt.Errorf("read trail: %w", err)
	}
	fixes, _ := trail.Merge(append(kept.Blocks, d.tail.Bytes()))
	oldest := t.now().UnixMilli() - int64(settings.TrailSeconds)*1000
	fixes = trail.Cut(fixes, &devices.TrailQuery{From: max(oldest, d.since), Limit: settings.TrailFixes})
	if settings.TrailFixes == 0 {
		return nil, nil
	}
	return trail.Cut(fixes, &q), nil
}
