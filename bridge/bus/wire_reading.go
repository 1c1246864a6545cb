package bus

import (
	"encoding/binary"

	"github.com/fleetcast/fleetcast/devices"
)

// Marks of a reading.
const (
	markKey        = 1 << iota // 8 bytes of the key follow
	markHistorical             // the reading was kept back
	markRetained               // a broker had kept the message
	knownMarks     = 1<<iota - 1
)

// measure is one member of a reading that is one float.
type measure struct {
	field devices.Fields
	value *float64
}

// measuresOf names the floats of a reading in the order of their bytes.
func measuresOf(m *devices.Measures) [7]measure {
	return [...]measure{
		{devices.FieldPosition, &m.Lat},
		{devices.FieldPosition, &m.Lon},
		{devices.FieldAltitude, &m.Altitude},
		{devices.FieldSpeed, &m.Speed},
		{devices.FieldHeading, &m.Heading},
		{devices.FieldAccuracy, &m.Accuracy},
		{devices.FieldBattery, &m.Battery},
	}
}

func appendMarks(dst []byte, r *devices.Reading) []byte {
	var marks byte
	if r.Key != 0 {
		marks |= markKey
	}
	if r.Historical {
		marks |= markHistorical
	}
	if r.Retained {
		marks |= markRetained
	}
	dst = append(dst, marks)
	if r.Key != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, r.Key)
	}
	return dst
}

func appendReading(dst []byte, r *devices.Reading) []byte {
	dst = binary.AppendUvarint(dst, uint64(r.Has))
	dst = binary.AppendUvarint(dst, uint64(r.Cleared))
	dst = binary.AppendVarint(dst, r.At)
	for _, m := range measuresOf(&r.Measures) {
		if r.Has.Has(m.field) {
			dst = appendFloat(dst, *m.value)
		}
	}
	if r.Has.Has(devices.FieldSatellites) {
		dst = binary.AppendVarint(dst, int64(r.Satellites))
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.Metrics)))
	for i := range r.Metrics {
		m := &r.Metrics[i]
		dst = append(appendText(dst, m.Name), byte(m.Value.Kind))
		switch m.Value.Kind {
		case devices.Number:
			dst = appendFloat(dst, m.Value.Num)
		case devices.Text:
			dst = appendText(dst, m.Value.Text)
		case devices.Bool:
			dst = appendBool(dst, m.Value.IsTrue())
		case devices.Null: // has no value
		}
	}
	return dst
}
