package dialect

import (
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fleetcast/fleetcast/devices"
)

// The members of Sparkplug B's protobuf that we read. Source: eclipse/tahu, sparkplug_b.proto.
const (
	payloadTimestamp = 1
	payloadMetric    = 2
	payloadSeq       = 3

	metricName       = 1
	metricAlias      = 2
	metricTimestamp  = 3
	metricDatatype   = 4
	metricHistorical = 5
	metricNull       = 7
	metricInt        = 10
	metricLong       = 11
	metricFloat      = 12
	metricDouble     = 13
	metricBool       = 14
	metricText       = 15
)

// The data types whose numbers are signed, and stand in the wire's unsigned members as two's complement.
const (
	typeInt8  = 1
	typeInt16 = 2
	typeInt32 = 3
	typeInt64 = 4
)

// maxSparkplugMetrics bounds the metrics of one payload: each costs 16 bytes on the wire at least, if it says anything.
const maxSparkplugMetrics = 4096

// sparkMetric is a metric as it stands in a payload, whose memory it shares.
type sparkMetric struct {
	name       []byte
	alias      uint64
	hasAlias   bool
	at         int64
	datatype   uint64
	historical bool
	value      leaf
	signed     int64 // a whole number, read as a signed one
	whole      bool  // the value is one
	has        bool  // a value that is ours to keep, null among them
}

type sparkPayload struct {
	at      int64
	seq     uint64
	hasSeq  bool
	metrics []sparkMetric
}

// wireField is a field of a protobuf message: a number, or bytes.
type wireField struct {
	number protowire.Number
	kind   protowire.Type
	num    uint64
	bytes  []byte
}

// nextField reads the field at the start of b. protowire checks every length against the bytes that are there.
func nextField(b []byte) (f wireField, rest []byte, ok bool) {
	var n, size int
	if f.number, f.kind, n = protowire.ConsumeTag(b); n < 0 {
		return f, nil, false
	}
	b = b[n:]
	switch f.kind {
	case protowire.VarintType:
		f.num, size = protowire.ConsumeVarint(b)
	case protowire.BytesType:
		f.bytes, size = protowire.ConsumeBytes(b)
	case protowire.Fixed64Type:
		f.num, size = protowire.ConsumeFixed64(b)
	case protowire.Fixed32Type:
		var v uint32
		v, size = protowire.ConsumeFixed32(b)
		f.num = uint64(v)
	default: // groups, which Sparkplug does not have
		size = protowire.ConsumeFieldValue(f.number, f.kind, b)
	}
	if size < 0 {
		return f, nil, false
	}
	return f, b[size:], true
}

// readSparkplug reads a payload.
func readSparkplug(b []byte, p *sparkPayload) Reason {
	p.at, p.seq, p.hasSeq, p.metrics = 0, 0, false, p.metrics[:0]
	for len(b) > 0 {
		f, rest, ok := nextField(b)
		if !ok {
			return BadSyntax
		}
		b = rest
		switch {
		case f.number == payloadMetric && f.kind == protowire.BytesType:
			if len(p.metrics) >= maxSparkplugMetrics {
				return TooManyMembers
			}
			var m sparkMetric
			if !m.read(f.bytes) {
				return BadSyntax
			}
			p.metrics = append(p.metrics, m)
		case f.number == payloadTimestamp && f.kind == protowire.VarintType:
			p.at = sparkTime(f.num)
		case f.number == payloadSeq && f.kind == protowire.VarintType:
			p.seq, p.hasSeq = f.num, true
		}
	}
	return None
}

func sparkTime(v uint64) int64 {
	if v > mostMillis {
		return 0
	}
	return int64(v)
}

func (m *sparkMetric) read(b []byte) bool {
	for len(b) > 0 {
		f, rest, ok := nextField(b)
		if !ok {
			return false
		}
		b = rest
		switch {
		case f.kind == protowire.VarintType:
			m.varint(int(f.number), f.num)
		case f.kind == protowire.BytesType && f.number == metricName:
			m.name = f.bytes
		case f.kind == protowire.BytesType && f.number == metricText:
			m.value, m.has = leaf{kind: devices.Text, text: f.bytes}, true
		case f.kind == protowire.Fixed32Type && f.number == metricFloat:
			m.number(shortest(math.Float32frombits(uint32(f.num))))
		case f.kind == protowire.Fixed64Type && f.number == metricDouble:
			m.number(math.Float64frombits(f.num))
		}
	}
	m.sign()
	return true
}

func (m *sparkMetric) varint(number int, v uint64) {
	switch number {
	case metricAlias:
		m.alias, m.hasAlias = v, true
	case metricTimestamp:
		m.at = sparkTime(v)
	case metricDatatype:
		m.datatype = v
	case metricHistorical:
		m.historical = v != 0
	case metricNull:
		if v != 0 {
			m.value, m.has = leaf{}, true
		}
	case metricInt, metricLong:
		// The data type may stand behind the value: sign looks at it when all is read.
		m.value, m.has, m.whole = leaf{kind: devices.Number, num: float64(v)}, true, true
		m.signed = int64(v) // two's complement
		if number == metricInt {
			m.signed = int64(int32(uint32(v)))
		}
	case metricBool:
		m.value, m.has = leaf{kind: devices.Bool}, true
		if v != 0 {
			m.value.num = 1
		}
	}
}

// sign makes a whole number what its type says that it is.
func (m *sparkMetric) sign() {
	if m.value.kind != devices.Number || !m.whole {
		return
	}
	switch m.datatype {
	case typeInt8:
		m.value.num = float64(int8(m.signed)) // some writers do not extend the sign
	case typeInt16:
		m.value.num = float64(int16(m.signed))
	case typeInt32, typeInt64:
		m.value.num = float64(m.signed)
	}
}

// shortest reads a float32 as the decimal number that its sender wrote: 12.3, not 12.300000190734863.
func shortest(f float32) float64 {
	n, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil {
		return float64(f) // not a number, or infinite
	}
	return n
}

func (m *sparkMetric) number(n float64) {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return
	}
	m.value, m.has = leaf{kind: devices.Number, num: n}, true
}

// rebirthRequest is the payload that asks a node to introduce itself again. Source: Sparkplug 3.0, section 6.4.20.
func rebirthRequest(now time.Time) []byte {
	at := uint64(now.UnixMilli())
	var metric []byte
	metric = protowire.AppendTag(metric, metricName, protowire.BytesType)
	metric = protowire.AppendString(metric, rebirthMetric)
	metric = protowire.AppendTag(metric, metricTimestamp, protowire.VarintType)
	metric = protowire.AppendVarint(metric, at)
	metric = protowire.AppendTag(metric, metricDatatype, protowire.VarintType)
	metric = protowire.AppendVarint(metric, 11) // Boolean
	metric = protowire.AppendTag(metric, metricBool, protowire.VarintType)
	metric = protowire.AppendVarint(metric, 1)
	var out []byte
	out = protowire.AppendTag(out, payloadTimestamp, protowire.VarintType)
	out = protowire.AppendVarint(out, at)
	out = protowire.AppendTag(out, payloadMetric, protowire.BytesType)
	return protowire.AppendBytes(out, metric)
}
