package bridge

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// decodeTombstone reads the record of a removed device.
func decodeTombstone(data []byte) (*tombstone, error) {
	r := recordReader{rest: data}
	if v := r.byte(); v != recordRemoved {
		return nil, fmt.Errorf("read tombstone: %w", unknownVersion(v))
	}
	t := &tombstone{applied: bus.EntryID(r.unsigned()), at: r.signed()}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("read tombstone: %w", err)
	}
	return t, nil
}

// unknownVersion tells a record of a later release from one that is broken.
func unknownVersion(v byte) error {
	if v > recordNewest {
		return fmt.Errorf("%w: version %d is not known", errNewer, v)
	}
	return fmt.Errorf("%w: version %d is another's", errRecord, v)
}

// decodeDevice reads the record of a device. It keeps nothing of data.
func decodeDevice(data []byte) (*device, error) {
	r := recordReader{rest: data}
	version := r.byte()
	if version != recordLive && version != recordFuller && version != recordTagged {
		return nil, fmt.Errorf("read device: %w", unknownVersion(version))
	}
	d := &device{applied: bus.EntryID(r.unsigned())}
	d.asset.Received, d.since, d.offline = r.signed(), r.signed(), r.signed()
	if d.unseen = d.offline < 0; d.unseen {
		d.offline = -d.offline
	}
	d.asset.Status = devices.Status(r.byte())
	if d.asset.Status > devices.Online {
		r.failed = true
	}
	r.members(d)
	n := r.number(recentReadings)
	for i := range n {
		d.recent[i] = r.fixed()
		r.failed = r.failed || d.recent[i] == 0
	}
	d.next = n % recentReadings
	for range r.number(maxConns) {
		d.conns = append(d.conns, conn{bus.DoorID(r.fixed()), r.unsigned()})
	}
	r.metrics(d)
	if version >= recordFuller {
		block := r.take(r.number(bus.MaxTrailBlockBytes))
		r.failed = d.tail.Load(block) != nil || r.failed
		r.suspect(d)
		d.born, d.every = r.signed(), int64(r.number(int(maxEvery/time.Millisecond)))
	}
	if version == recordTagged {
		r.parts(d)
	}
	if r.newer {
		return nil, fmt.Errorf("read device: %w: it has a part that is not known", errNewer)
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("read device: %w", err)
	}
	return d, nil
}

// maxPartBytes bounds what a part is believed to hold.
const maxPartBytes = 256 << 10

// parts reads what follows the members that every device has.
func (r *recordReader) parts(d *device) {
	var before byte
	for len(r.rest) > 0 && !r.failed {
		tag := r.byte()
		part := recordReader{rest: r.take(r.number(maxPartBytes))}
		if tag <= before {
			r.failed = true
		}
		before = tag
		switch tag {
		case partAlerts:
			d.alerts = part.alerts()
		default:
			if r.newer = tag > partNewest; r.newer {
				return
			}
			r.failed = true
		}
		r.failed = r.failed || part.end() != nil
	}
	r.failed = r.failed || before == 0
}

// recordReader reads the parts of a record. After the first fault it yields zeros, and end tells.
type recordReader struct {
	rest   []byte
	failed bool
	newer  bool // it has a part that a later release writes
}

func (r *recordReader) members(d *device) {
	has := r.unsigned()
	if has > uint64(mergedFields) {
		r.failed = true
	}
	d.asset.Has = devices.Fields(has)
	for i, v := range members(&d.asset.Measures) {
		if d.asset.Has&memberFields[i] != 0 {
			*v = r.float()
		}
	}
	timed := r.unsigned()
	if timed > uint64(mergedFields) {
		r.failed = true
	}
	for i := range d.times {
		if timed&(1<<i) != 0 {
			d.times[i] = d.asset.Received - r.signed()
		}
	}
}

func (r *recordReader) suspect(d *device) {
	n := r.number(maxSuspectFixes)
	if n == 0 {
		return
	}
	d.suspect = &suspect{fixes: n, lat: r.float(), lon: r.float()}
	d.suspect.at, d.suspect.since = d.asset.Received-r.signed(), d.asset.Received-r.signed()
}

func (r *recordReader) metrics(d *device) {
	n := r.number(maxRecordMetrics)
	if n == 0 {
		return
	}
	d.metrics = make([]metric, 0, n)
	for range n {
		name := r.text(devices.MaxMetricNameBytes)
		at := d.asset.Received - r.signed()
		value := r.value()
		if r.failed || name == "" || (len(d.metrics) > 0 && d.metrics[len(d.metrics)-1].name >= name) {
			r.failed = true
			return
		}
		d.metrics = append(d.metrics, metric{name: name, value: value, at: at})
	}
}

func (r *recordReader) value() devices.Value {
	switch kind := devices.ValueKind(r.byte()); kind {
	case devices.Null:
		return devices.Value{}
	case devices.Number:
		return devices.NumberValue(r.float())
	case devices.Text:
		return devices.TextValue(r.text(devices.MaxMetricTextBytes))
	case devices.Bool:
		return devices.BoolValue(r.byte() != 0)
	default:
		r.failed = true
		return devices.Value{}
	}
}

func (r *recordReader) take(n int) []byte {
	if r.failed || n > len(r.rest) {
		r.failed = true
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *recordReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *recordReader) fixed() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// float reads a finite number: no other has a form in JSON.
func (r *recordReader) float() float64 {
	f := math.Float64frombits(r.fixed())
	if math.IsNaN(f) || math.IsInf(f, 0) {
		r.failed = true
		return 0
	}
	return f
}

func (r *recordReader) unsigned() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.take(max(n, 0))
	r.failed = r.failed || n <= 0
	return v
}

func (r *recordReader) signed() int64 {
	v, n := binary.Varint(r.rest)
	r.take(max(n, 0))
	r.failed = r.failed || n <= 0
	return v
}

// number reads how many of something follow. It bounds what a bad record may make us allocate.
func (r *recordReader) number(limit int) int {
	v := r.unsigned()
	if r.failed || v > uint64(limit) {
		r.failed = true
		return 0
	}
	return int(v)
}

func (r *recordReader) text(limit int) string { return string(r.take(r.number(limit))) }

func (r *recordReader) end() error {
	if r.failed || len(r.rest) > 0 {
		return errRecord
	}
	return nil
}
