package bridge

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/fleetcast/fleetcast/devices"
)

// The record of a device, as the bus keeps it for the next owner. All integers are varints, signed ones in zigzag;
// floats and hashes have eight bytes, little endian. The device's id and fleet stand beside it in the bus.
//
//	version  1 byte
//	applied  unsigned: the last entry applied
//	-- version recordRemoved:
//	at       signed: when it was removed
//	-- version recordLive:
//	received, since, offline   signed; offline is negative where the device goes unknown then
//	status   1 byte
//	has      unsigned: the members that are held; then the value of each
//	timed    unsigned: the members that have a time; then received minus the time of each, signed
//	recent   number, then the hash of each, the oldest first
//	conns    number, then door (8 bytes) and connection (unsigned) of each, the oldest first
//	metrics  number, then of each: name (length, bytes), received minus its time (signed), kind (1 byte), value
//	-- version recordFuller, which is written where there is one of these, has in addition, at the end:
//	trail    length, bytes: the open block
//	suspect  number of agreeing fixes, 0 where there is none; then latitude, longitude, received minus its time (signed)
//	         and received minus since (signed)
//	born     signed: when it was registered, 0 where it is not
//	every    unsigned: the longest it is known to be silent while all is well, ms; 0: not known
//
//	-- version recordTagged, which is written where there is one of these, has in addition to that, at the end:
//	parts    each a tag (1 byte), a length and bytes; the tags ascend. What a part holds stands where it is written
//
// A later version gets a number of its own and reads this one; a golden test holds these bytes.
const (
	recordLive    = 1
	recordRemoved = 2
	recordFuller  = 3 // a live device of which more is kept
	recordTagged  = 4 // and of which parts follow
	recordNewest  = recordTagged
)

// The tags of parts.
const (
	partAlerts = 1 // see alerts.append
	partNewest = partAlerts
)

// maxRecordMetrics bounds what a record is believed to hold: twice what a device may, should the limits change.
const maxRecordMetrics = 2 * (devices.MaxMetrics + maxCleared)

var (
	errRecord = errors.New("record is malformed")
	// errNewer is no fault of the record: it holds what this release does not know, and is not to be lost.
	errNewer = errors.New("record was written by a newer release")
)

func (t *tombstone) appendRecord(dst []byte) []byte {
	dst = append(dst, recordRemoved)
	dst = binary.AppendUvarint(dst, uint64(t.applied))
	return binary.AppendVarint(dst, t.at)
}

func (d *device) appendRecord(dst []byte) []byte {
	version := byte(recordLive)
	if d.suspect != nil || !d.tail.IsEmpty() || d.born != 0 || d.every != 0 {
		version = recordFuller
	}
	if d.hasParts() {
		version = recordTagged
	}
	dst = append(dst, version)
	dst = binary.AppendUvarint(dst, uint64(d.applied))
	received := d.asset.Received
	dst = binary.AppendVarint(dst, received)
	dst = binary.AppendVarint(dst, d.since)
	if d.unseen {
		dst = binary.AppendVarint(dst, -d.offline)
	} else {
		dst = binary.AppendVarint(dst, d.offline)
	}
	dst = append(dst, byte(d.asset.Status))
	dst = d.appendMembers(dst)
	dst = d.appendRecent(dst)
	dst = binary.AppendUvarint(dst, uint64(len(d.conns)))
	for _, c := range d.conns {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(c.door))
		dst = binary.AppendUvarint(dst, c.conn)
	}
	dst = binary.AppendUvarint(dst, uint64(len(d.metrics)))
	for i := range d.metrics {
		m := &d.metrics[i]
		dst = appendText(dst, m.name)
		dst = binary.AppendVarint(dst, received-m.at)
		dst = appendMetricValue(dst, &m.value)
	}
	if version >= recordFuller {
		dst = append(binary.AppendUvarint(dst, uint64(len(d.tail.Bytes()))), d.tail.Bytes()...)
		dst = d.appendSuspect(dst)
		dst = binary.AppendVarint(dst, d.born)
		dst = binary.AppendUvarint(dst, uint64(d.every))
	}
	return d.appendParts(dst)
}

func (d *device) hasParts() bool { return d.alerts != nil }

func (d *device) appendParts(dst []byte) []byte {
	if d.alerts != nil {
		dst = appendPart(dst, partAlerts, d.alerts.append(nil))
	}
	return dst
}

func appendPart(dst []byte, tag byte, part []byte) []byte {
	return append(binary.AppendUvarint(append(dst, tag), uint64(len(part))), part...)
}

func (d *device) appendSuspect(dst []byte) []byte {
	s := d.suspect
	if s == nil {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(s.fixes))
	dst = appendFloat(appendFloat(dst, s.lat), s.lon)
	dst = binary.AppendVarint(dst, d.asset.Received-s.at)
	return binary.AppendVarint(dst, d.asset.Received-s.since)
}

func (d *device) appendMembers(dst []byte) []byte {
	has := d.asset.Has
	dst = binary.AppendUvarint(dst, uint64(has))
	for i, v := range members(&d.asset.Measures) {
		if has&memberFields[i] != 0 {
			dst = appendFloat(dst, *v)
		}
	}
	var timed uint64
	for i, at := range d.times {
		if at != 0 {
			timed |= 1 << i
		}
	}
	dst = binary.AppendUvarint(dst, timed)
	for _, at := range d.times {
		if at != 0 {
			dst = binary.AppendVarint(dst, d.asset.Received-at)
		}
	}
	return dst
}

// members are the values of an asset, each of the field in memberFields.
func members(m *devices.Measures) [7]*float64 {
	return [...]*float64{&m.Lat, &m.Lon, &m.Altitude, &m.Speed, &m.Heading, &m.Accuracy, &m.Battery}
}

var memberFields = [7]devices.Fields{
	devices.FieldPosition, devices.FieldPosition, devices.FieldAltitude, devices.FieldSpeed, devices.FieldHeading,
	devices.FieldAccuracy, devices.FieldBattery,
}

func (d *device) appendRecent(dst []byte) []byte {
	n := 0
	for _, h := range d.recent {
		if h != 0 {
			n++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	for i := range d.recent {
		if h := d.recent[(d.next+i)%recentReadings]; h != 0 {
			dst = binary.LittleEndian.AppendUint64(dst, h)
		}
	}
	return dst
}

func appendFloat(dst []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendMetricValue(dst []byte, v *devices.Value) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case devices.Number:
		return appendFloat(dst, v.Num)
	case devices.Text:
		return appendText(dst, v.Text)
	case devices.Bool:
		if v.IsTrue() {
			return append(dst, 1)
		}
		return append(dst, 0)
	default:
		return dst
	}
}
