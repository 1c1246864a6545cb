package keep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// place is a device in a fleet.
type place struct {
	fleet  devices.FleetID
	device devices.DeviceID
}

// share is what of the source belongs to one partition of the target.
type share struct {
	devices  []bus.HeldDevice
	trails   []bus.HeldTrail // the one without a new block for longest first
	events   []bus.Event     // the oldest first
	commands []bus.CommandRow
	time     int64
}

func (m *migration) shares() []share {
	out := make([]share, m.to.Partitions())
	of := func(f devices.FleetID) *share { return &out[f.Partition(len(out))] }
	for _, i := range m.images {
		for _, d := range i.Devices {
			s := of(d.Fleet)
			s.devices = append(s.devices, d)
		}
		for _, t := range i.Trails {
			s := of(t.Fleet)
			s.trails = append(s.trails, t)
		}
		for _, e := range i.Events {
			s := of(e.Fleet)
			s.events = append(s.events, e.Event)
		}
		for _, c := range i.Commands {
			s := of(c.Fleet)
			s.commands = append(s.commands, c)
		}
		for p := range out {
			out[p].time = max(out[p].time, i.Time)
		}
	}
	return out
}

// copyBus publishes the state as its owner would. The inlets go on where the source's ended: a record knows the last entry
// that was applied to it, and would take what is new for old. What owners had applied of what people configure is, there,
// all that was copied of it.
func (m *migration) copyBus(ctx context.Context) error {
	var last bus.EntryID
	var lastTime int64
	for _, i := range m.images {
		last, lastTime = max(last, i.Last), max(lastTime, i.LastTime)
	}
	if err := m.to.Seed(ctx, last, lastTime); err != nil {
		return err
	}
	for p, s := range m.shares() {
		if err := m.copyShare(ctx, p, &s); err != nil {
			return fmt.Errorf("copy partition %d: %w", p, err)
		}
	}
	return nil
}

func (m *migration) copyShare(ctx context.Context, partition int, s *share) (err error) {
	l, err := m.to.Own(ctx, partition)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Release(context.WithoutCancel(ctx))) }()
	publish := func(f *bus.Flush) error {
		f.Time = s.time
		_, err := l.Publish(ctx, f)
		return err
	}
	for part := range slices.Chunk(s.devices, flushDevices) {
		var f bus.Flush
		for i := range part {
			f.Changes = append(f.Changes, part[i].Change)
		}
		if err := publish(&f); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(s.trails, flushDevices) {
		var f bus.Flush
		for i := range part {
			for _, data := range part[i].Blocks {
				f.Trails = append(f.Trails, bus.TrailBlock{Device: part[i].Device, Fleet: part[i].Fleet, Data: data, Keep: bus.MaxTrailBlocks})
			}
		}
		if err := publish(&f); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(s.events, flushDevices) {
		if err := publish(&bus.Flush{Events: part}); err != nil {
			return err
		}
	}
	return publish(&bus.Flush{Commands: s.commands, Config: uint64(m.newest)})
}

// compareBus reads everything back.
func (m *migration) compareBus(ctx context.Context) error {
	for p, s := range m.shares() {
		if err := m.compareShare(ctx, p, &s); err != nil {
			return fmt.Errorf("compare partition %d: %w", p, err)
		}
	}
	return nil
}

var errOther = errors.New("what is there is not what was copied")

func (m *migration) compareShare(ctx context.Context, partition int, s *share) (err error) {
	l, err := m.to.Own(ctx, partition)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Release(context.WithoutCancel(ctx))) }()
	records := make(map[place]bus.Record)
	for r := range l.State() {
		records[place{r.Fleet, r.Device}] = r
	}
	events, _, err := l.Events(ctx)
	if err != nil {
		return err
	}
	if len(records) != len(s.devices) || len(events) != len(s.events) || len(l.Commands()) != len(s.commands) {
		return fmt.Errorf("%w: the numbers of devices, events or commands differ", errOther)
	}
	for i := range s.devices {
		d := &s.devices[i]
		if r := records[place{d.Fleet, d.Device}]; !bytes.Equal(r.Data, d.Record) || r.Removed != d.Removed() {
			return fmt.Errorf("%w: the record of %s", errOther, d.Device)
		}
	}
	if err := m.compareFrames(ctx, partition, s); err != nil {
		return err
	}
	for _, t := range s.trails {
		got, err := m.to.Trail(ctx, t.Fleet, t.Device)
		if err != nil {
			return err
		}
		if !slices.EqualFunc(got.Blocks, t.Blocks, bytes.Equal) {
			return fmt.Errorf("%w: the trail of %s", errOther, t.Device)
		}
	}
	return nil
}

func (m *migration) compareFrames(ctx context.Context, partition int, s *share) error {
	feed, err := m.to.Watch(ctx, partition)
	if err != nil {
		return err
	}
	defer feed.Close()
	u, err := feed.Next(ctx)
	if err != nil {
		return err
	}
	if u.Snapshot == nil || len(u.Snapshot.Devices) != len(s.devices) {
		return fmt.Errorf("%w: the number of devices", errOther)
	}
	frames := make(map[place][]byte)
	for i := range u.Snapshot.Devices {
		d := &u.Snapshot.Devices[i]
		frames[place{d.Fleet, d.Device}] = d.Frame
	}
	for i := range s.devices {
		d := &s.devices[i]
		if !bytes.Equal(frames[place{d.Fleet, d.Device}], d.Frame) {
			return fmt.Errorf("%w: the asset %s", errOther, d.Device)
		}
	}
	return nil
}
