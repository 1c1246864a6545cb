package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/fleetcast/fleetcast/devices"
)

// The bytes between processes: of an entry in an inlet, of a batch on its way to the edges, of a versioned change
// in a store's state, and of a command. Every bus that leaves the process uses them, so that they are settled and tested once.
//
// The first byte is a tag: what it is in the upper four bits, the version in the lower four. After it, numbers are
// uvarints (zigzag where they may be negative), floats are 8 bytes little-endian, texts are a length and the bytes.
// Nothing may follow the last member.
//
// How a later version stays readable: a format is never changed under its version; a change is the next version, and
// DecodeX keeps a case for every version that was ever released, since an inlet may hold old entries for as long as a
// partition was down. In a rolling upgrade the readers come first, and a writer begins with a version one release after
// the release that reads it. A reader that meets a version or a kind from its future gets ErrWireVersion or
// ErrWireKind and must not skip: an owner gives its partition up (skipping would lose what a device was promised), an
// edge loads the state again.
//
// An entry's ID and Time are not in its bytes: a stream and a log have a place of their own for them. A change's Record
// is not either: it is bytes already, and stored beside, so that an edge does not have to load it.
const (
	tagEntry     = 0x10
	tagBatch     = 0x20
	tagVersioned = 0x30
	tagCommand   = 0x40

	wireVersion = 0x01
	versionMask = 0x0f

	// markedVersion is that of an entry whose reading has marks: a byte of flags and what they announce stand before it.
	// Readings without them, which is nearly all, stay as they were in the first version.
	markedVersion = 0x02

	// notedVersion is that of a batch or a versioned change in which a device has notes. Others, which is nearly all, stay
	// as they were in the first version.
	notedVersion = 0x02

	// These are of what is traced: the span, or of a batch their number and each with its device, stands after the tag, and
	// after it the byte and the members of the version that it would have without. So nothing else is another byte longer.
	tracedEntryVersion   = 0x03
	tracedBatchVersion   = 0x03
	tracedCommandVersion = 0x02

	// erasedBatchVersion is that of a batch that erases devices: their number and each stands after the tag, and then, as
	// behind what is traced, the version that it would have without.
	erasedBatchVersion = 0x04
)

// Flags of a change.
const (
	flagRemoved     = 1 << iota
	flagHasPosition // latitude and longitude follow
	flagSameFleet   // the fleet is that of the change before it and is left out
	flagNotes       // notes follow the frame; since notedVersion
	knownFlags      = 1<<iota - 1
)

// The fewest bytes that one of them takes. A claimed number of them is refused where the rest cannot hold it, before
// memory is taken for it.
const (
	minMetricBytes = 2 // length of the name, kind
	minChangeBytes = 3 // flags, device of one byte
	minEventBytes  = 7 // name, device and fleet of one byte, length of the data
	minNoteBytes   = 7 // name and id of one byte, time, data of one byte
)

// The errors of decoding; a decoder's error wraps one of them.
var (
	// ErrWireVersion: the bytes are of a version that this program does not know.
	ErrWireVersion = errors.New("unknown version")
	// ErrWireKind: the entry is of a kind that this program does not know.
	ErrWireKind = errors.New("unknown kind")
	// ErrWireMalformed: the bytes are cut, too long, above a limit, or something else.
	ErrWireMalformed = errors.New("malformed")
)

// AppendEntry appends the bytes of e, which must pass Check. ID and Time are not among them.
func AppendEntry(dst []byte, e *Entry) []byte {
	version := byte(wireVersion)
	if e.Kind == KindReading && (e.Reading.Key != 0 || e.Reading.Historical || e.Reading.Retained) {
		version = markedVersion
	}
	if e.Trace != nil {
		dst = appendTrace(append(dst, tagEntry|tracedEntryVersion), e.Trace)
		dst = append(dst, version, byte(e.Kind))
	} else {
		dst = append(dst, tagEntry|version, byte(e.Kind))
	}
	dst = appendText(dst, e.Device.String())
	dst = appendText(dst, e.Fleet.String())
	switch e.Kind {
	case KindReading:
		if version == markedVersion {
			dst = appendMarks(dst, e.Reading)
		}
		return appendReading(dst, e.Reading)
	case KindConnection:
		dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Connection.Door))
		dst = binary.AppendUvarint(dst, e.Connection.Conn)
		return appendBool(dst, e.Connection.Up)
	case KindStatus:
		return append(dst, byte(e.Status.Status), e.Status.marks())
	case KindAcknowledgement:
		a := e.Acknowledgement
		return appendText(appendText(appendText(dst, a.Alert), a.By), a.Text)
	case KindCommand:
		return appendOrder(dst, e.Command)
	case KindCommandState:
		return appendReport(dst, e.Report)
	case KindRemoval, KindErasure: // have no body
	}
	return dst
}

// DecodeEntry reads what AppendEntry wrote. The entry shares no memory with b.
func DecodeEntry(b []byte) (Entry, error) {
	r := openWireUpTo(b, tagEntry, tracedEntryVersion)
	var e Entry
	if r.version == tracedEntryVersion {
		e.Trace = r.trace()
		r.within(markedVersion)
	}
	e.Kind = EntryKind(r.byte("kind"))
	e.Device, e.Fleet = r.device(), r.fleet()
	switch e.Kind {
	case KindReading:
		var marks devices.Reading
		if r.version == markedVersion {
			r.marks(&marks)
		}
		e.Reading = r.reading()
		e.Reading.Key, e.Reading.Historical, e.Reading.Retained = marks.Key, marks.Historical, marks.Retained
	case KindConnection:
		e.Connection.Door = DoorID(r.fixed64("door"))
		e.Connection.Conn = r.uvarint("connection")
		e.Connection.Up = r.bool("up")
	case KindStatus:
		e.Status.Status = devices.Status(r.byte("status"))
		e.Status.setMarks(&r)
	case KindAcknowledgement:
		e.Acknowledgement = &Acknowledgement{
			Alert: string(r.text("alert", MaxAlertIDBytes)), By: string(r.text("by", MaxByBytes)), Text: string(r.text("text", MaxTextBytes)),
		}
	case KindCommand:
		e.Command = r.order()
	case KindCommandState:
		e.Report = r.report()
	case KindRemoval, KindErasure:
	default:
		r.fail(ErrWireKind, "entry")
	}
	if r.version == markedVersion && e.Kind != KindReading {
		r.fail(ErrWireMalformed, "marks")
	}
	r.end()
	if r.err == nil && e.Check() != nil {
		r.fail(ErrWireMalformed, "body") // the last guard: what Append refuses does not come in by this way either
	}
	if r.err != nil {
		return Entry{}, fmt.Errorf("decode entry: %w", r.err)
	}
	return e, nil
}

// AppendBatch appends the bytes of b, without the changes' records.
func AppendBatch(dst []byte, b *Batch) []byte {
	version := byte(wireVersion)
	for i := range b.Changes {
		if b.Changes[i].Notes != nil {
			version = notedVersion
		}
	}
	version |= tagBatch
	if len(b.Erased) > 0 {
		dst = appendErased(append(dst, tagBatch|erasedBatchVersion), b.Erased)
		version &= versionMask
	}
	if len(b.Traces) > 0 {
		dst = append(dst, tracedBatchVersion|version&^versionMask)
		dst = append(appendTraces(dst, b.Traces), version&versionMask)
	} else {
		dst = append(dst, version)
	}
	dst = binary.AppendUvarint(dst, uint64(b.Partition))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.Position.Epoch))
	dst = binary.AppendUvarint(dst, b.Position.Offset)
	dst = binary.AppendVarint(dst, b.Time)
	dst = binary.AppendVarint(dst, b.LagMS)
	dst = binary.AppendUvarint(dst, b.Floor.Tombstones)
	dst = binary.AppendUvarint(dst, b.Floor.Events)
	dst = binary.AppendUvarint(dst, uint64(len(b.Changes)))
	var before devices.FleetID
	for i := range b.Changes {
		dst = appendChange(dst, &b.Changes[i], before)
		before = b.Changes[i].Fleet
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.Events)))
	for i := range b.Events {
		e := &b.Events[i]
		dst = appendText(dst, e.Name)
		dst = appendText(dst, e.Device.String())
		dst = appendText(dst, e.Fleet.String())
		dst = append(binary.AppendUvarint(dst, uint64(len(e.Data))), e.Data...)
	}
	return dst
}

// DecodeBatch reads what AppendBatch wrote. The batch shares no memory with b, and no two frames share one allocation:
// an edge keeps each until its device changes, and a quiet device must not keep a whole batch alive.
func DecodeBatch(b []byte) (Batch, error) {
	r := openWireUpTo(b, tagBatch, erasedBatchVersion)
	var out Batch
	if r.version == erasedBatchVersion {
		out.Erased = r.erased()
		r.within(tracedBatchVersion)
	}
	if r.version == tracedBatchVersion {
		out.Traces = r.traces()
		r.within(notedVersion)
	}
	out.Partition = int(r.bounded("partition", MaxPartitions-1))
	out.Position.Epoch = Epoch(r.fixed64("epoch"))
	out.Position.Offset = r.uvarint("offset")
	out.Time = r.varint("time")
	out.LagMS = r.varint("lag")
	out.Floor.Tombstones = r.uvarint("floor")
	out.Floor.Events = r.uvarint("floor")
	if n := r.count("changes", minChangeBytes); n > 0 {
		out.Changes = make([]Change, 0, n)
		var before devices.FleetID
		for range n {
			c := r.change(before)
			if r.err != nil {
				break
			}
			before = c.Fleet
			out.Changes = append(out.Changes, c)
		}
	}
	if n := r.count("events", minEventBytes); n > 0 {
		out.Events = make([]Event, 0, n)
		for range n {
			e := r.event()
			if r.err != nil {
				break
			}
			out.Events = append(out.Events, e)
		}
	}
	r.end()
	if r.err != nil {
		return Batch{}, fmt.Errorf("decode batch: %w", r.err)
	}
	return out, nil
}

// AppendVersioned appends the bytes of a device's place in a store's state: its change, without the record, and the
// offset of the batch that made it.
func AppendVersioned(dst []byte, v *Versioned) []byte {
	version := byte(wireVersion)
	if v.Notes != nil {
		version = notedVersion
	}
	dst = append(dst, tagVersioned|version)
	dst = binary.AppendUvarint(dst, v.Offset)
	return appendChange(dst, &v.Change, devices.FleetID{})
}

// DecodeVersioned reads what AppendVersioned wrote. It shares no memory with b.
func DecodeVersioned(b []byte) (Versioned, error) {
	r := openWireUpTo(b, tagVersioned, notedVersion)
	v := Versioned{Offset: r.uvarint("offset")}
	v.Change = r.change(devices.FleetID{})
	r.end()
	if r.err != nil {
		return Versioned{}, fmt.Errorf("decode versioned change: %w", r.err)
	}
	return v, nil
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendFloat(dst []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
}

func appendChange(dst []byte, c *Change, before devices.FleetID) []byte {
	var flags byte
	if c.Removed() {
		flags |= flagRemoved
	}
	if c.HasPosition {
		flags |= flagHasPosition
	}
	if c.Fleet == before {
		flags |= flagSameFleet
	}
	if c.Notes != nil {
		flags |= flagNotes
	}
	dst = appendText(append(dst, flags), c.Device.String())
	if flags&flagSameFleet == 0 {
		dst = appendText(dst, c.Fleet.String())
	}
	if c.HasPosition {
		dst = appendFloat(appendFloat(dst, c.Lat), c.Lon)
	}
	if !c.Removed() {
		dst = append(binary.AppendUvarint(dst, uint64(len(c.Frame))), c.Frame...)
	}
	if c.Notes == nil {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Notes)))
	for i := range c.Notes {
		n := &c.Notes[i]
		dst = binary.AppendVarint(appendText(appendText(dst, n.Name), n.ID), n.At)
		dst = append(binary.AppendUvarint(dst, uint64(len(n.Data))), n.Data...)
	}
	return dst
}

// Marks of a status report.
const (
	statusRetained byte = 1 << iota
	statusWill
)

func (s *StatusReport) marks() (b byte) {
	if s.Retained {
		b |= statusRetained
	}
	if s.Will {
		b |= statusWill
	}
	return b
}

func (s *StatusReport) setMarks(r *wireReader) {
	b := r.byte("marks")
	if b&^(statusRetained|statusWill) != 0 {
		r.fail(ErrWireMalformed, "marks")
	}
	s.Retained, s.Will = b&statusRetained != 0, b&statusWill != 0
}
