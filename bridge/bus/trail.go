package bus

import (
	"container/list"
	"context"

	"github.com/fleetcast/fleetcast/devices"
)

// TrailBlock is a piece of a device's trail that its owner has closed. What is open stands in the device's record, so
// that a trail costs a bus a write for many fixes and not one for each.
type TrailBlock struct {
	Device devices.DeviceID
	Fleet  devices.FleetID
	// Data is opaque to the bus, at most MaxTrailBlockBytes. Where there is none, what is kept of the trail is forgotten.
	Data []byte
	// Keep is how many blocks of the device are kept, this one among them; the oldest go.
	Keep int
}

// Bounds of trails.
const (
	MaxTrailBlockBytes = 4 << 10
	MaxTrailBlocks     = 4096 // of a device
)

// Trail is what a bus keeps of a device's trail.
type Trail struct {
	Record []byte   // the owner's own record of the device, which has the newest fixes
	Blocks [][]byte // closed before, in the order in which they were closed. After a publish in doubt one may be twice
}

// Trails is where edges read trails. They need not watch the partition, nor share a process with its owner.
type Trails interface {
	// Trail returns the trail of a live device as of some publish not long ago, or an error of kind NotFound. Its bytes
	// are the bus's and must not be changed.
	Trail(ctx context.Context, fleet devices.FleetID, device devices.DeviceID) (Trail, error)
}

// errNoTrail tells that there is no such device in the fleet.
var errNoTrail = &devices.Error{Kind: devices.NotFound, Detail: "there is no such asset"}

// Check tells whether a bus takes the block.
func (b *TrailBlock) Check() error {
	switch {
	case b.Device.IsZero() || b.Fleet.IsZero():
		return devices.Errorf(devices.Invalid, "trail", "names no device or no fleet")
	case len(b.Data) > MaxTrailBlockBytes:
		return devices.Errorf(devices.Invalid, "trail", "has a block of more than %d bytes", MaxTrailBlockBytes)
	case len(b.Data) > 0 && (b.Keep < 1 || b.Keep > MaxTrailBlocks):
		return devices.Errorf(devices.Invalid, "trail", "keeps less than 1 or more than %d blocks", MaxTrailBlocks)
	}
	return nil
}

// blockCost is what a block costs in memory besides its bytes, about.
const blockCost = 48

// trails are those of a partition. They have no lock; the partition's guards them. The bound on their bytes is held by
// the device whose last block is the oldest: it loses its oldest blocks first.
type trails struct {
	held  map[deviceKey]*heldTrail
	idle  *list.List // of *heldTrail, the one without a new block for longest first
	bytes int
}

type heldTrail struct {
	key     deviceKey
	blocks  [][]byte
	at      int64 // when the last block came, by the bus's clock, ms
	element *list.Element
}

func newTrails() trails { return trails{held: make(map[deviceKey]*heldTrail), idle: list.New()} }

func (t *trails) add(b *TrailBlock, now int64) {
	key := deviceKey{fleet: b.Fleet, device: b.Device}
	if len(b.Data) == 0 {
		t.remove(key)
		return
	}
	h := t.held[key]
	if h == nil {
		h = &heldTrail{key: key}
		h.element = t.idle.PushBack(h)
		t.held[key] = h
	} else {
		t.idle.MoveToBack(h.element)
	}
	h.at = now
	h.blocks = append(h.blocks, b.Data)
	t.bytes += len(b.Data) + blockCost
	if over := len(h.blocks) - b.Keep; over > 0 {
		t.drop(h, over)
	}
}

// drop drops the oldest blocks of a trail.
func (t *trails) drop(h *heldTrail, n int) {
	for _, data := range h.blocks[:n] {
		t.bytes -= len(data) + blockCost
	}
	clear(h.blocks[:n]) // lets the bytes go; the array itself goes at append's next growth
	h.blocks = h.blocks[n:]
}

func (t *trails) remove(key deviceKey) {
	if h := t.held[key]; h != nil {
		t.drop(h, len(h.blocks))
		t.idle.Remove(h.element)
		delete(t.held, key)
	}
}

// pruneOver keeps the bytes within their bound and returns the number of dropped blocks.
func (t *trails) pruneOver(limit int) (n uint64) {
	for t.bytes > limit {
		h := t.idle.Front().Value.(*heldTrail) // there is one: bytes are not 0
		t.drop(h, 1)
		n++
		if len(h.blocks) == 0 {
			t.remove(h.key)
		}
	}
	return n
}

// pruneBefore drops the trails of which no block came since a time and returns the number of blocks.
func (t *trails) pruneBefore(ms int64) (n uint64) {
	for e := t.idle.Front(); e != nil && e.Value.(*heldTrail).at < ms; e = t.idle.Front() {
		h := e.Value.(*heldTrail)
		n += uint64(len(h.blocks))
		t.remove(h.key)
	}
	return n
}

// image copies the trails, the one without a new block for longest first.
func (t *trails) image() []HeldTrail {
	out := make([]HeldTrail, 0, len(t.held))
	for e := t.idle.Front(); e != nil; e = e.Next() {
		h := e.Value.(*heldTrail)
		out = append(out, HeldTrail{
			Device: h.key.device, Fleet: h.key.fleet, At: h.at, Blocks: append([][]byte(nil), h.blocks...),
		})
	}
	return out
}

func (t *trails) restore(image []HeldTrail) error {
	for i := range image {
		h := &image[i]
		if t.held[deviceKey{h.Fleet, h.Device}] != nil {
			return errReplay("a trail")
		}
		for _, data := range h.Blocks {
			b := TrailBlock{Device: h.Device, Fleet: h.Fleet, Data: data, Keep: MaxTrailBlocks}
			if err := b.Check(); err != nil || len(data) == 0 {
				return errReplay("a block of a trail")
			}
			t.add(&b, h.At)
		}
	}
	return nil
}

// Trail implements Trails.
func (m *Memory) Trail(ctx context.Context, fleet devices.FleetID, device devices.DeviceID) (Trail, error) {
	if err := ctx.Err(); err != nil {
		return Trail{}, err
	}
	p := m.partitions[fleet.Partition(len(m.partitions))]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return Trail{}, ErrClosed
	}
	key := deviceKey{fleet: fleet, device: device}
	h := p.state.held[key]
	if h == nil || h.change.Removed() {
		return Trail{}, errNoTrail
	}
	out := Trail{Record: h.change.Record}
	if t := p.state.trails.held[key]; t != nil {
		out.Blocks = append(out.Blocks, t.blocks...)
	}
	return out, nil
}
