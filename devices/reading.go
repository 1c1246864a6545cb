package devices

import "strconv"

// Fields is a set of the members that a reading or an asset has besides its metrics.
type Fields uint16

// The members. FieldPosition stands for lat and lon, which come and go together.
const (
	FieldPosition Fields = 1 << iota
	FieldAltitude
	FieldSpeed
	FieldHeading
	FieldAccuracy
	FieldBattery
	FieldSatellites // only in readings: tells hygiene whether a fix at 0,0 is one
)

// Has tells whether every member of want is in f.
func (f Fields) Has(want Fields) bool { return f&want == want }

// Measures are the members that a reading and an asset share. A value counts only where Has says so.
type Measures struct {
	Has      Fields
	Lat, Lon float64 // degrees, WGS 84
	Altitude float64 // m
	Speed    float64 // m/s
	Heading  float64 // degrees true, 0 ≤ h < 360
	Accuracy float64 // m, radius
	Battery  float64 // percent
}

// Reading is one normalised message of a device, in the asset's units. Whose it is stands in the inlet entry that
// carries it. Its values are the payload's own: hygiene has not looked at them yet.
type Reading struct {
	Measures
	// At is the device's claim of when the reading was taken, unix ms; 0 where it makes none.
	At int64
	// Cleared are the members that the message deletes with a null.
	Cleared Fields
	// Key is the same for every copy of this reading, however many gateways heard it: a hash of the id that its format
	// gives a message. 0 where the format has none; then only equal content tells a copy.
	Key uint64
	// Historical says that the device or its platform marks the reading as one that was kept back and is sent late. It
	// goes to the trail, and moves the device only where nothing newer is held; one without a time only fills in what
	// nothing is known of.
	Historical bool
	// Retained says that a broker had kept the message for we do not know how long: it was true once, and is no sign of
	// life. For the rest it is as a Historical one.
	Retained bool
	// Satellites is the number in the fix, where Has says so.
	Satellites int
	// Metrics are all other values, in the order of the payload, each name once. A Null value deletes.
	Metrics []Metric
}

// AppendMembers appends the reading's members as those of an asset are written, each with a comma before it: ,"at":…,"lat":…
func (r *Reading) AppendMembers(dst []byte) []byte {
	if r.At != 0 {
		dst = strconv.AppendInt(append(dst, `,"at":`...), r.At, 10)
	}
	dst = r.appendMeasures(dst)
	if len(r.Metrics) > 0 {
		dst = appendMetrics(append(dst, `,"metrics":`...), r.Metrics)
	}
	return dst
}

// Limits of metrics. What is above them is refused by the decoder (names, texts) or by the merge (number).
const (
	MaxMetrics         = 64  // of an asset
	MaxMetricNameBytes = 64  // of a name, dots included
	MaxMetricTextBytes = 256 // of a text value
)

// Metric is a named value.
type Metric struct {
	Name  string
	Value Value
}

// ValueKind is the type of a metric's value.
type ValueKind uint8

// The types of values. Null deletes a metric.
const (
	Null ValueKind = iota
	Number
	Text
	Bool
)

// Value is a metric's value: a number, a text, a bool or null. Only the member that Kind names counts.
type Value struct {
	Kind ValueKind
	Num  float64 // for Bool: 1 is true
	Text string
}

// NumberValue returns n as a value. n must be finite.
func NumberValue(n float64) Value { return Value{Kind: Number, Num: n} }

// TextValue returns s as a value. s must be UTF-8.
func TextValue(s string) Value { return Value{Kind: Text, Text: s} }

// BoolValue returns b as a value.
func BoolValue(b bool) Value {
	if b {
		return Value{Kind: Bool, Num: 1}
	}
	return Value{Kind: Bool}
}

// IsTrue tells whether v is the bool true.
func (v Value) IsTrue() bool { return v.Kind == Bool && v.Num != 0 }
