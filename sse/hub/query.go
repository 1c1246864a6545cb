package hub

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// Format makes the bytes of a transport's messages. It is stateless; a transport has one value per format.
type Format interface {
	// Name is a part of the view's identity: viewers share bytes only within a format.
	Name() string
	// AppendAssets appends the messages that carry the frames, each the JSON of one asset. There is at least one. The
	// id, unless empty, goes to the last message.
	AppendAssets(dst []byte, frames [][]byte, id string) []byte
	// AppendEvent appends one named event with JSON data, and the id unless it is empty.
	AppendEvent(dst []byte, name string, data []byte, id string) []byte
	// AppendID appends an id without a message: from then on the client comes back with it.
	AppendID(dst []byte, id string) []byte
}

// Packer is a Format whose pieces are compressed. A piece is what viewers are given at once: a tick's chunk, a slice, a
// heartbeat. It is packed once, when it is made, and all viewers of the view get the same bytes; so a piece must be read
// from its own bytes alone, whatever came before it. Viewers that do not want it compressed have another view.
type Packer interface {
	Format
	// Pack returns the packed piece, which may be piece itself.
	Pack(piece []byte) []byte
}

// Query is a filter whose parts were checked. The zero value reads everything at the hub's window.
type Query struct {
	Fleets  []devices.FleetID  // empty: every fleet
	Devices []devices.DeviceID // empty: every device of those fleets
	BBox    devices.BBox       // zero: everywhere
	Fields  devices.Projection
	Every   time.Duration // the view's own tick; the hub's window where it is shorter
}

// normalise sorts and deduplicates, so that equal filters are equal views.
func (q Query) normalise(window time.Duration) Query {
	q.Fleets = slices.Clone(q.Fleets)
	slices.SortFunc(q.Fleets, func(a, b devices.FleetID) int { return cmp.Compare(a.String(), b.String()) })
	q.Fleets = slices.Compact(q.Fleets)
	q.Devices = slices.Clone(q.Devices)
	slices.SortFunc(q.Devices, func(a, b devices.DeviceID) int { return cmp.Compare(a.String(), b.String()) })
	q.Devices = slices.Compact(q.Devices)
	q.Every = max(q.Every, window)
	return q
}

// hash names the filter. No id holds a NUL, so the parts cannot run into one another.
func (q Query) hash() [sha256.Size]byte {
	h := sha256.New()
	for _, id := range q.Fleets {
		h.Write(append([]byte(id.String()), 0))
	}
	h.Write([]byte{0})
	for _, id := range q.Devices {
		h.Write(append([]byte(id.String()), 0))
	}
	h.Write([]byte{0, byte(q.Fields.Key()), byte(q.Fields.Key() >> 8)})
	h.Write([]byte(q.BBox.String()))
	return [sha256.Size]byte(h.Sum(nil))
}

// viewKey is the identity of a view: viewers with the same one share its bytes.
type viewKey struct {
	filter [sha256.Size]byte
	every  time.Duration
	format string
}
