package diskbus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// A payload is a list of records: a byte that says what it is, a length, and the bytes. The numbers are on disk: they are
// never given another meaning. What passes between processes too (entries, batches, versioned changes) has the bytes
// that package bus settled.
const (
	recordHeader byte = 1 // the first of a segment
	recordAppend byte = 2
	recordFlush  byte = 3
	recordClosed byte = 4 // the last of a segment that was closed in order
	recordFiller byte = 5 // means nothing
	recordTrails byte = 6 // a flush with blocks of trails
	recordConfig byte = 7 // with a flush: the revision of what people configure, where it rose. In snapshots too
	// recordCommands: with a flush, rows of the table of commands. In snapshots too.
	recordCommands byte = 8

	// of snapshots
	recordPartition byte = 16
	recordDevice    byte = 17
	recordEvent     byte = 18
	recordEntry     byte = 19
	recordDoor      byte = 20
	recordEnd       byte = 21 // a snapshot without it is not whole
	recordTrail     byte = 22
)

var (
	errMalformed = errors.New("a record is malformed")
	// errNewer: what is not understood is not skipped, since it may be what a device was promised.
	errNewer = errors.New("a record is of a kind that only a newer release knows")
)

func appendRecord(dst []byte, kind byte, body []byte) []byte {
	return append(binary.AppendUvarint(append(dst, kind), uint64(len(body))), body...)
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// parser takes members off the front of bytes that may be damaged in a way that no checksum shows: another version's, or
// forged. The first fault is kept and all after it is zero.
type parser struct {
	left []byte
	bad  bool
}

func (p *parser) fail() { p.bad, p.left = true, nil }

func (p *parser) take(n uint64) []byte {
	if n > uint64(len(p.left)) {
		p.fail()
		return nil
	}
	b := p.left[:n]
	p.left = p.left[n:]
	return b
}

func (p *parser) byte() byte {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) fixed() uint64 {
	if b := p.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (p *parser) uvarint() uint64 {
	n, size := binary.Uvarint(p.left)
	if size <= 0 {
		p.fail()
		return 0
	}
	p.left = p.left[size:]
	return n
}

func (p *parser) varint() int64 {
	n, size := binary.Varint(p.left)
	if size <= 0 {
		p.fail()
		return 0
	}
	p.left = p.left[size:]
	return n
}

func (p *parser) bytes() []byte { return p.take(p.uvarint()) }

// partition reads the number of a partition; a larger one than any is refused before it is made an int.
func (p *parser) partition() int {
	n := p.uvarint()
	if n >= bus.MaxPartitions {
		p.fail()
		return 0
	}
	return int(n)
}

func (p *parser) end() error {
	if p.bad || len(p.left) > 0 {
		return errMalformed
	}
	return nil
}

// records calls each for every record of a payload.
func records(payload []byte, each func(kind byte, body []byte) error) error {
	p := parser{left: payload}
	for len(p.left) > 0 {
		kind, body := p.byte(), p.bytes()
		if p.bad {
			return errMalformed
		}
		if err := each(kind, body); err != nil {
			return err
		}
	}
	return nil
}

// encodeShares encodes what of an Append is known before it is admitted, one blob a share.
func encodeShares(shares []bus.Share) [][]byte {
	out := make([][]byte, len(shares))
	var one []byte
	for i := range shares {
		s := &shares[i]
		b := make([]byte, 0, 16+128*len(s.Entries))
		b = binary.AppendUvarint(b, uint64(s.Partition))
		b = binary.AppendUvarint(b, uint64(len(s.Entries)))
		for j := range s.Entries {
			one = bus.AppendEntry(one[:0], &s.Entries[j])
			b = appendBytes(b, one)
		}
		out[i] = b
	}
	return out
}

// appendAppend writes the record of an admitted Append. Shares that were there already are not in it.
func appendAppend(dst, scratch []byte, p *bus.Pending, blobs [][]byte) (out, newScratch []byte) {
	b := binary.LittleEndian.AppendUint64(scratch[:0], uint64(p.Door))
	b = binary.AppendUvarint(b, p.Seq)
	b = binary.AppendVarint(b, p.Time)
	for i := range p.Shares {
		if s := &p.Shares[i]; s.Fresh {
			b = binary.AppendUvarint(b, uint64(s.First))
			b = append(b, blobs[i]...)
		}
	}
	return appendRecord(dst, recordAppend, b), b
}

func replayAppend(m *bus.Memory, body []byte) error {
	p := parser{left: body}
	door, seq, now := bus.DoorID(p.fixed()), p.uvarint(), p.varint()
	for len(p.left) > 0 {
		s := bus.Share{First: bus.EntryID(p.uvarint()), Partition: p.partition()}
		n := p.uvarint()
		for range n {
			b := p.bytes()
			if p.bad {
				return errMalformed
			}
			e, err := bus.DecodeEntry(b)
			if err != nil {
				return err
			}
			s.Entries = append(s.Entries, e)
		}
		if p.bad {
			return errMalformed
		}
		if err := m.ReplayEntries(door, seq, now, &s); err != nil {
			return err
		}
	}
	return p.end()
}

// encodeFlush encodes into b, of which nothing is kept, what of a flush is known before it is admitted: its batch as edges
// will see it, and the records.
func encodeFlush(b []byte, p *bus.Pending) []byte {
	f := p.Flush
	size := 64
	for i := range f.Changes {
		size += 96 + len(f.Changes[i].Frame) + len(f.Changes[i].Record)
		for j := range f.Changes[i].Notes {
			size += 96 + len(f.Changes[i].Notes[j].Data)
		}
	}
	for i := range f.Trails {
		size += 96 + len(f.Trails[i].Data)
	}
	b = slices.Grow(b[:0], size)
	b = binary.AppendUvarint(b, uint64(f.Consumed))
	for i := range f.Changes {
		b = appendBytes(b, f.Changes[i].Record)
	}
	for i := range f.Trails {
		t := &f.Trails[i]
		b = appendBytes(b, []byte(t.Device.String()))
		b = appendBytes(b, []byte(t.Fleet.String()))
		b = appendBytes(binary.AppendUvarint(b, uint64(t.Keep)), t.Data)
	}
	// The batch is last: its length need not be written. The number of records is that of its changes.
	at := len(b)
	b = bus.AppendBatch(b, &bus.Batch{
		Partition: p.Partition, Position: p.Position, Time: f.Time, Changes: f.Changes, Events: f.Events, Erased: f.Erased,
	})
	return binary.LittleEndian.AppendUint32(b, uint32(at))
}

// appendFlush writes the record of an admitted flush.
func appendFlush(dst []byte, p *bus.Pending, blob []byte) []byte {
	kind := recordFlush
	if len(p.Flush.Trails) > 0 {
		kind = recordTrails
	}
	if config := p.Config(); config > 0 {
		dst = appendConfig(dst, p.Partition, config)
	}
	if len(p.Flush.Commands) > 0 {
		dst = appendRecord(dst, recordCommands, encodeCommands(p.Partition, p.Flush.Commands))
	}
	dst = binary.AppendUvarint(append(dst, kind), uint64(len(blob)+8))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.Time))
	return append(dst, blob...)
}

func appendConfig(dst []byte, partition int, config uint64) []byte {
	return appendRecord(dst, recordConfig, binary.AppendUvarint(binary.AppendUvarint(nil, uint64(partition)), config))
}

func replayConfig(m *bus.Memory, body []byte) error {
	p := parser{left: body}
	partition, config := p.partition(), p.uvarint()
	if err := p.end(); err != nil {
		return err
	}
	return m.ReplayConfig(partition, config)
}

// trails reads blocks to the end. A block without bytes forgets a trail.
func (p *parser) trails() (out []bus.TrailBlock) {
	for len(p.left) > 0 {
		b := bus.TrailBlock{Device: p.device(), Fleet: p.fleet()}
		keep, data := p.uvarint(), p.bytes()
		if p.bad || keep > bus.MaxTrailBlocks {
			p.fail()
			return nil
		}
		b.Keep = int(keep)
		if len(data) > 0 {
			b.Data = append([]byte(nil), data...)
		}
		if b.Check() != nil {
			p.fail()
			return nil
		}
		out = append(out, b)
	}
	return out
}

func (p *parser) device() devices.DeviceID {
	id, err := devices.ParseDeviceID(string(p.bytes()))
	if err != nil {
		p.fail()
	}
	return id
}

func (p *parser) fleet() devices.FleetID {
	id, err := devices.ParseFleetID(string(p.bytes()))
	if err != nil {
		p.fail()
	}
	return id
}

func replayFlush(m *bus.Memory, kind byte, body []byte) error {
	if len(body) < 12 {
		return errMalformed
	}
	now := int64(binary.LittleEndian.Uint64(body))
	blob := body[8 : len(body)-4]
	at := binary.LittleEndian.Uint32(body[len(body)-4:])
	if uint64(at) > uint64(len(blob)) {
		return errMalformed
	}
	batch, err := bus.DecodeBatch(blob[at:])
	if err != nil {
		return err
	}
	p := parser{left: blob[:at]}
	f := bus.Flush{Consumed: bus.EntryID(p.uvarint()), Time: batch.Time, Changes: batch.Changes, Events: batch.Events, Erased: batch.Erased}
	for i := range f.Changes {
		f.Changes[i].Record = append([]byte(nil), p.bytes()...)
	}
	if kind == recordTrails {
		f.Trails = p.trails()
	}
	if err := p.end(); err != nil {
		return err
	}
	return m.ReplayFlush(batch.Partition, &f, now, batch.Position)
}

// header is the first record of a segment.
type header struct {
	number   uint64
	before   int64 // how much of the segment before this one counts; 0 where there is none
	settled  bool  // that much was synced before this one was made: a loss of power cannot have spoiled it
	fsync    Fsync
	boot     string
	identity identity
	epochs   []bus.Epoch // of every partition, from here on
}

const formatVersion = 1

func (h *header) encode() []byte {
	b := []byte{formatVersion, byte(h.fsync)}
	b = binary.AppendUvarint(b, h.number)
	b = binary.AppendVarint(b, h.before)
	b = append(b, 0)
	if h.settled {
		b[len(b)-1] = 1
	}
	b = appendBytes(b, []byte(h.boot))
	b = binary.LittleEndian.AppendUint64(b, h.identity.device)
	b = binary.LittleEndian.AppendUint64(b, h.identity.inode)
	b = binary.AppendVarint(b, h.identity.born)
	b = binary.AppendUvarint(b, uint64(len(h.epochs)))
	for _, e := range h.epochs {
		b = binary.LittleEndian.AppendUint64(b, uint64(e))
	}
	return appendRecord(nil, recordHeader, b)
}

func decodeHeader(payload []byte) (header, error) {
	var h header
	p := parser{left: payload}
	if kind := p.byte(); kind != recordHeader {
		return h, errMalformed
	}
	p.uvarint() // the length: the frame's is enough
	if v := p.byte(); v != formatVersion {
		return h, fmt.Errorf("format %d is not %d: it was written by another release", v, formatVersion)
	}
	h.fsync, h.number, h.before, h.settled = Fsync(p.byte()), p.uvarint(), p.varint(), p.byte() == 1
	h.boot = string(p.bytes())
	h.identity = identity{device: p.fixed(), inode: p.fixed(), born: p.varint()}
	n := p.uvarint()
	if n == 0 || n > bus.MaxPartitions {
		return h, errMalformed
	}
	for range n {
		h.epochs = append(h.epochs, bus.Epoch(p.fixed()))
	}
	if h.fsync > Never || h.before < 0 {
		return h, errMalformed
	}
	return h, p.end()
}
