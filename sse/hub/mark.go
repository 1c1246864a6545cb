package hub

import (
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// MaxMarkBytes bounds the id that a client may send back. One of sixteen partitions needs about 300.
const MaxMarkBytes = 4 << 10

// markVersion is the first byte of an id; another one is garbage to us, and garbage means a snapshot.
const markVersion = 1

// mark is what an id says: how far a viewer has come. It is opaque to clients and holds nothing of the fleet's data.
//
//	version  1 byte
//	count    uvarint, then for each partition that the view reads, ascending:
//	  partition  uvarint
//	  epoch      8 bytes
//	  offset     uvarint   0: nothing was given yet; else 1 + the offset up to which everything was given
//	  ahead      uvarint   frames as new as offset+ahead may have been given already
//	cursor   uvarint, 0 for none, else 1 + the index of the partition in whose pass the viewer is; then
//	  to         uvarint   the offset that the pass reaches
//	  hash       8 bytes   devices up to here were visited
//	filter   6 bytes of a hash of the filter
//
// in unpadded base64url: about 30 characters for one partition. Without ahead a viewer that goes on at an edge that
// lags would see a device step back in time.
//
// A mark is immutable: viewers that stand at the same place may share one.
type mark struct {
	parts  []markPart
	cursor cursor
	filter [filterBytes]byte
	text   string // encoded
}

func newMark(parts []markPart, c cursor, filter [filterBytes]byte) *mark {
	m := &mark{parts: parts, cursor: c, filter: filter}
	m.text = m.encode()
	return m
}

// join is the mark with a partition's epoch learned.
func (m *mark) join(part int, epoch bus.Epoch) *mark {
	parts := slices.Clone(m.parts)
	parts[part].at.Epoch = epoch
	return newMark(parts, m.cursor, m.filter)
}

// after is the mark of a viewer that was at m and was given the slice at c: the pass goes on at next, or is complete.
// built is the table's offset when the slice was made.
func (m *mark) after(c, next cursor, built uint64) *mark {
	parts := slices.Clone(m.parts)
	p := &parts[c.part]
	seen := max(p.seen(), built)
	if !next.active {
		p.at.Offset, p.fresh = c.to, false
	}
	p.ahead = seen - min(seen, p.at.Offset)
	return newMark(parts, next, m.filter)
}

// coarse is the mark of a viewer that comes back, older by an eighth of its gap at most: those who were away for about the
// same time then stand at the same place and share slices. It never goes below what the table can tell, nor below an event
// that the viewer has; how new the frames may be that were given is rounded up, but not above what the table has.
func (m *mark) coarse(v *view) *mark {
	parts := slices.Clone(m.parts)
	for i := range parts {
		p := &parts[i]
		t := v.tables[i]
		t.mu.RLock()
		if !p.fresh && p.at.Epoch == t.position.Epoch && p.at.Offset < t.position.Offset {
			seen, step := p.seen(), uint64(1)<<max(bits.Len64(t.position.Offset-p.at.Offset)-4, 0)
			p.at.Offset = min(max(p.at.Offset&^(step-1), t.oldest(v), t.lastEvent(p.at.Offset)), p.at.Offset)
			p.ahead = min((seen+step-1)&^(step-1), max(seen, t.position.Offset)) - p.at.Offset
		}
		t.mu.RUnlock()
	}
	return newMark(parts, m.cursor, m.filter)
}

// lastEvent is the offset of the last event that a locked table retains up to an offset, or 0.
func (t *table) lastEvent(upTo uint64) uint64 {
	if i := t.eventsAfter(upTo); i > 0 {
		return t.events[i-1].Offset
	}
	return 0
}

const filterBytes = 6

type markPart struct {
	partition int
	at        bus.Position
	ahead     uint64
	fresh     bool
}

func (p *markPart) since() since { return since{offset: p.at.Offset, fresh: p.fresh} }

func (p *markPart) offset() uint64 {
	if p.fresh {
		return 0
	}
	return p.at.Offset + 1
}

func (p *markPart) setOffset(n uint64) {
	p.fresh = n == 0
	p.at.Offset = max(n, 1) - 1
}

// seen is the offset of the newest frame that may have been given.
func (p *markPart) seen() uint64 { return p.at.Offset + p.ahead }

// cursor is a place in a pass over one partition.
type cursor struct {
	active bool
	part   int // index into parts
	to     uint64
	hash   uint64
}

// opening is the id at the beginning of the slice at c: what m says, with the end of the pass and how new its frames are.
func (m *mark) opening(c cursor, built uint64) string {
	n := *m
	n.parts = slices.Clone(m.parts)
	p := &n.parts[c.part]
	p.ahead = max(p.seen(), built) - p.at.Offset
	if p.fresh {
		n.cursor = c
	}
	return n.encode()
}

func (m *mark) encode() string {
	b := make([]byte, 0, 16+24*len(m.parts))
	b = append(b, markVersion)
	b = binary.AppendUvarint(b, uint64(len(m.parts)))
	for _, p := range m.parts {
		b = binary.AppendUvarint(b, uint64(p.partition))
		b = binary.BigEndian.AppendUint64(b, uint64(p.at.Epoch))
		b = binary.AppendUvarint(b, p.offset())
		b = binary.AppendUvarint(b, p.ahead)
	}
	if m.cursor.active {
		b = binary.AppendUvarint(b, uint64(m.cursor.part)+1)
		b = binary.AppendUvarint(b, m.cursor.to)
		b = binary.BigEndian.AppendUint64(b, m.cursor.hash)
	} else {
		b = append(b, 0)
	}
	return base64.RawURLEncoding.EncodeToString(append(b, m.filter[:]...))
}

// decodeMark reads an id; false means that it is not one of ours.
func decodeMark(id string) (*mark, bool) {
	if id == "" || len(id) > MaxMarkBytes {
		return nil, false
	}
	b, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(b) == 0 || b[0] != markVersion {
		return nil, false
	}
	r := reader{b: b[1:]}
	count := r.uvarint()
	if count > uint64(len(r.b)) {
		return nil, false
	}
	m := &mark{parts: make([]markPart, 0, count)}
	for range count {
		p := markPart{partition: int(r.uvarint() & 0xffff)}
		p.at.Epoch = bus.Epoch(r.fixed())
		p.setOffset(r.uvarint())
		p.ahead = r.uvarint()
		m.parts = append(m.parts, p)
	}
	if i := r.uvarint(); i > 0 {
		m.cursor = cursor{active: true, part: int(i&0xffff) - 1, to: r.uvarint(), hash: r.fixed()}
		r.bad = r.bad || m.cursor.part < 0 || m.cursor.part >= len(m.parts) || m.cursor.to < m.parts[m.cursor.part].at.Offset
	}
	if r.bad || len(r.b) != filterBytes {
		return nil, false
	}
	copy(m.filter[:], r.b)
	m.text = m.encode() // not id: base64 overlooks line ends in it, and numbers may be longer than they need be
	return m, true
}

// reader takes numbers off the front of b; the first one that is not there spoils it.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) fixed() uint64 {
	if len(r.b) < 8 {
		r.bad = true
		return 0
	}
	n := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}
