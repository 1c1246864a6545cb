package diskbus

import (
	"errors"
	"io"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// readSnapshot puts a snapshot into a memory that holds nothing.
func readSnapshot(path string, m *bus.Memory) (int64, error) {
	f, size, err := openToRead(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	frames := newFrameReader(f, size)
	if err := readImages(frames, m); err != nil {
		return 0, damaged(path, frames.at, err)
	}
	return size, nil
}

func readImages(frames *frameReader, m *bus.Memory) error {
	r := snapshotReader{memory: m}
	for {
		payload, err := frames.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = records(payload, r.record)
		}
		if err != nil {
			return err
		}
	}
	if !r.whole {
		return errTorn
	}
	return nil
}

// snapshotReader gathers one image at a time.
type snapshotReader struct {
	memory *bus.Memory
	image  *bus.Image
	left   [4]uint64 // devices, events, entries, doors that the image lacks
	seen   int
	whole  bool
}

func (r *snapshotReader) record(kind byte, body []byte) error {
	if r.whole {
		return errMalformed
	}
	if kind == recordPartition || kind == recordEnd {
		if err := r.finish(); err != nil {
			return err
		}
		if kind == recordPartition {
			return r.begin(body)
		}
		p := parser{left: body}
		r.whole = p.uvarint() == uint64(r.seen) && r.seen == r.memory.Partitions()
		if !r.whole {
			return errMalformed
		}
		return p.end()
	}
	if r.image == nil {
		return errMalformed
	}
	return r.member(kind, body)
}

func (r *snapshotReader) begin(body []byte) error {
	p, i := parser{left: body}, new(bus.Image)
	i.Partition = p.partition()
	i.Position = bus.Position{Epoch: bus.Epoch(p.fixed()), Offset: p.uvarint()}
	i.Time = p.varint()
	i.Floor = bus.Floor{Tombstones: p.uvarint(), Events: p.uvarint()}
	i.Consumed, i.Last, i.LastTime = bus.EntryID(p.uvarint()), bus.EntryID(p.uvarint()), p.varint()
	for n := range r.left {
		r.left[n] = p.uvarint()
	}
	r.image = i
	return p.end()
}

func (r *snapshotReader) finish() error {
	if r.image == nil {
		return nil
	}
	if r.left != [4]uint64{} {
		return errMalformed
	}
	r.seen++
	i := r.image
	r.image = nil
	return r.memory.Restore(i)
}

func (r *snapshotReader) member(kind byte, body []byte) error {
	p := parser{left: body}
	switch kind {
	case recordDevice:
		r.left[0]--
		d := bus.HeldDevice{RemovedAt: p.varint()}
		record := p.bytes()
		v, err := bus.DecodeVersioned(p.left)
		if err != nil {
			return err
		}
		d.Change, d.Offset = v.Change, v.Offset
		d.Record = append([]byte(nil), record...)
		r.image.Devices = append(r.image.Devices, d)
		return nil
	case recordEvent:
		r.left[1]--
		b, err := bus.DecodeBatch(body)
		if err != nil || len(b.Events) != 1 {
			return errors.Join(errMalformed, err)
		}
		r.image.Events = append(r.image.Events, bus.VersionedEvent{Event: b.Events[0], Offset: b.Position.Offset})
		return nil
	case recordEntry:
		r.left[2]--
		at := p.varint()
		e, err := bus.DecodeEntry(p.left)
		if err != nil {
			return err
		}
		e.Time, e.ID = at, r.image.Consumed+bus.EntryID(len(r.image.Inlet))+1
		r.image.Inlet = append(r.image.Inlet, e)
		return nil
	case recordConfig:
		p.partition()
		r.image.Config = p.uvarint()
		return p.end()
	case recordCommands:
		_, rows, err := decodeCommands(body)
		r.image.Commands = append(r.image.Commands, rows...)
		return err
	case recordTrail:
		t := bus.HeldTrail{Device: p.device(), Fleet: p.fleet(), At: p.varint()}
		for len(p.left) > 0 {
			t.Blocks = append(t.Blocks, append([]byte{}, p.bytes()...))
		}
		r.image.Trails = append(r.image.Trails, t)
		return p.end()
	case recordDoor:
		r.left[3]--
		r.image.Doors = append(r.image.Doors, bus.DoorMark{Door: bus.DoorID(p.fixed()), Seq: p.uvarint()})
		return p.end()
	}
	return errNewer
}
