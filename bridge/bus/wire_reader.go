package bus

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/fleetcast/fleetcast/devices"
)

// wireReader takes members off the front of bytes that may be hostile. The first thing that is wrong is kept, and all
// that is read after it is zero, so that a decoder is a plain list of members. It takes no memory for a length before
// the bytes are seen to be there: decoding costs at most 40 bytes of memory for a byte of input, the worst being a batch
// of removals of devices with ids of one byte.
type wireReader struct {
	left    []byte
	err     error
	version byte
}

// openWireUpTo is for what has more than one version: last is the newest.
func openWireUpTo(b []byte, tag, last byte) wireReader {
	r := wireReader{left: b}
	switch got := r.byte("tag"); {
	case r.err != nil:
	case got&^versionMask != tag:
		r.fail(ErrWireMalformed, "tag of something else")
	case got&versionMask < wireVersion || got&versionMask > last:
		r.fail(ErrWireVersion, "tag")
	default:
		r.version = got & versionMask
	}
	return r
}

func (r *wireReader) fail(err error, what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", err, what)
	}
	r.left = nil
}

// end refuses bytes after the last member: they are a format that this program does not know.
func (r *wireReader) end() {
	if len(r.left) > 0 {
		r.fail(ErrWireMalformed, "trailing bytes")
	}
}

func (r *wireReader) take(n int, what string) []byte {
	if n > len(r.left) {
		r.fail(ErrWireMalformed, what)
		return nil
	}
	b := r.left[:n]
	r.left = r.left[n:]
	return b
}

func (r *wireReader) byte(what string) byte {
	if b := r.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (r *wireReader) bool(what string) bool {
	b := r.byte(what)
	if b > 1 {
		r.fail(ErrWireMalformed, what)
	}
	return b == 1
}

func (r *wireReader) fixed64(what string) uint64 {
	if b := r.take(8, what); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *wireReader) float(what string) float64 { return math.Float64frombits(r.fixed64(what)) }

func (r *wireReader) uvarint(what string) uint64 {
	n, size := binary.Uvarint(r.left)
	if size <= 0 { // cut, or more than 64 bits
		r.fail(ErrWireMalformed, what)
		return 0
	}
	r.left = r.left[size:]
	return n
}

func (r *wireReader) varint(what string) int64 {
	n, size := binary.Varint(r.left)
	if size <= 0 {
		r.fail(ErrWireMalformed, what)
		return 0
	}
	r.left = r.left[size:]
	return n
}

// bounded reads a number that is at most limit.
func (r *wireReader) bounded(what string, limit int) uint64 {
	n := r.uvarint(what)
	if n > uint64(limit) {
		r.fail(ErrWireMalformed, what)
		return 0
	}
	return n
}

// count reads a number of things that take at least size bytes each.
func (r *wireReader) count(what string, size int) int {
	n := r.uvarint(what)
	if n > uint64(len(r.left)/size) {
		r.fail(ErrWireMalformed, what)
		return 0
	}
	return int(n)
}

// text reads a length of at most limit and that many bytes, which are still the input's.
func (r *wireReader) text(what string, limit int) []byte {
	return r.take(int(r.bounded(what, limit)), what)
}

func (r *wireReader) device() devices.DeviceID {
	id, err := devices.ParseDeviceID(string(r.text("device", devices.MaxIDBytes)))
	if err != nil {
		r.fail(ErrWireMalformed, "device")
	}
	return id
}

func (r *wireReader) fleet() devices.FleetID {
	id, err := devices.ParseFleetID(string(r.text("fleet", devices.MaxIDBytes)))
	if err != nil {
		r.fail(ErrWireMalformed, "fleet")
	}
	return id
}

// marks reads what stands before a reading of markedVersion. There is one form of each entry: a key is not 0, and there
// is a mark.
func (r *wireReader) marks(out *devices.Reading) {
	marks := r.byte("marks")
	if marks == 0 || marks&^byte(knownMarks) != 0 {
		r.fail(ErrWireMalformed, "marks")
	}
	out.Historical, out.Retained = marks&markHistorical != 0, marks&markRetained != 0
	if marks&markKey != 0 {
		if out.Key = r.fixed64("key"); out.Key == 0 {
			r.fail(ErrWireMalformed, "key")
		}
	}
}

func (r *wireReader) reading() *devices.Reading {
	out := new(devices.Reading)
	out.Has = devices.Fields(r.bounded("fields", int(knownFields)))
	out.Cleared = devices.Fields(r.bounded("cleared", int(knownFields)))
	out.At = r.varint("at")
	for _, m := range measuresOf(&out.Measures) {
		if out.Has.Has(m.field) {
			*m.value = r.float("measure")
		}
	}
	if out.Has.Has(devices.FieldSatellites) {
		n := r.varint("satellites")
		if int64(int(n)) != n {
			r.fail(ErrWireMalformed, "satellites")
		}
		out.Satellites = int(n)
	}
	n := r.count("metrics", minMetricBytes)
	if n > MaxReadingMetrics {
		r.fail(ErrWireMalformed, "metrics")
	}
	if n == 0 || r.err != nil {
		return out
	}
	out.Metrics = make([]devices.Metric, 0, n)
	for range n {
		m := r.metric()
		if r.err != nil {
			break
		}
		out.Metrics = append(out.Metrics, m)
	}
	return out
}

func (r *wireReader) metric() devices.Metric {
	m := devices.Metric{Name: string(r.text("metric", devices.MaxMetricNameBytes))}
	switch m.Value.Kind = devices.ValueKind(r.byte("value")); m.Value.Kind {
	case devices.Null:
	case devices.Number:
		m.Value.Num = r.float("value")
	case devices.Text:
		m.Value.Text = string(r.text("value", devices.MaxMetricTextBytes))
	case devices.Bool:
		m.Value = devices.BoolValue(r.bool("value"))
	default:
		r.fail(ErrWireMalformed, "value")
	}
	return m
}

func (r *wireReader) change(before devices.FleetID) Change {
	flags := r.byte("flags")
	if flags&^knownFlags != 0 || flags&flagNotes != 0 && r.version < notedVersion {
		r.fail(ErrWireMalformed, "flags")
	}
	c := Change{Device: r.device(), Fleet: before, HasPosition: flags&flagHasPosition != 0}
	if flags&flagSameFleet == 0 {
		c.Fleet = r.fleet()
	}
	if c.HasPosition {
		c.Lat, c.Lon = r.float("latitude"), r.float("longitude")
	}
	if flags&flagRemoved == 0 {
		c.Frame = append([]byte(nil), r.text("frame", devices.MaxAssetBytes)...)
		if len(c.Frame) == 0 { // it would read as a removal
			r.fail(ErrWireMalformed, "frame")
		}
	}
	if flags&flagNotes != 0 {
		c.Notes = r.notes()
	}
	if r.err == nil && CheckChange(&c) != nil {
		r.fail(ErrWireMalformed, "change")
	}
	return c
}

func (r *wireReader) event() Event {
	e := Event{Name: string(r.text("event", MaxEventNameBytes)), Device: r.device(), Fleet: r.fleet()}
	e.Data = append([]byte(nil), r.text("data", MaxEventBytes)...)
	if r.err == nil && CheckEvent(&e) != nil {
		r.fail(ErrWireMalformed, "event")
	}
	return e
}

// notes reads those of a change. Each has memory of its own: see DecodeBatch.
func (r *wireReader) notes() []Note {
	n := r.count("notes", minNoteBytes)
	if n == 0 || n > MaxNotes {
		r.fail(ErrWireMalformed, "notes")
		return nil
	}
	out := make([]Note, 0, n)
	for range n {
		note := Note{Name: string(r.text("note", MaxNoteNameBytes)), ID: string(r.text("note", MaxNoteIDBytes)), At: r.varint("note")}
		note.Data = append([]byte(nil), r.text("note", MaxNoteBytes)...)
		if r.err != nil {
			return nil
		}
		out = append(out, note)
	}
	return out
}
