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

// maxSparkplugMetrics bounds the metrics of one payload. A payload of the largest size holds no more by much.
const maxSparkplugMetrics = 8192

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

// readSparkplug reads a payload. protowire checks every length against the bytes that are there.
func readSparkplug(b []byte, p *sparkPayload) Reason {
	p.at, p.seq, p.hasSeq, p.metrics = 0, 0, false, p.metrics[:0]
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return BadSyntax
		}
		b = b[n:]
		switch {
		case number == payloadMetric && kind == protowire.BytesType:
			body, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return Truncated
			}
			if len(p.metrics) >= maxSparkplugMetrics {
				return TooManyMembers
			}
			var m sparkMetric
			if !m.read(body) {
				return BadSyntax
			}
			p.metrics = append(p.metrics, m)
			b = b[n:]
		case kind == protowire.VarintType && (number == payloadTimestamp || number == payloadSeq):
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return Truncated
			}
			if number == payloadSeq {
				p.seq, p.hasSeq = v, true
			} else {
				p.at = sparkTime(v)
			}
			b = b[n:]
		default:
			n := protowire.ConsumeFieldValue(number, kind, b)
			if n < 0 {
				return Truncated
			}
			b = b[n:]
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
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			v, size := protowire.ConsumeVarint(b)
			if n = size; n >= 0 {
				m.varint(number, v)
			}
		case protowire.BytesType:
			v, size := protowire.ConsumeBytes(b)
			if n = size; n >= 0 {
				m.bytes(number, v)
			}
		case protowire.Fixed32Type:
			v, size := protowire.ConsumeFixed32(b)
			if n = size; n >= 0 && number == metricFloat {
				m.number(shortest(math.Float32frombits(v)))
			}
		case protowire.Fixed64Type:
			v, size := protowire.ConsumeFixed64(b)
			if n = size; n >= 0 && number == metricDouble {
				m.number(math.Float64frombits(v))
			}
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	m.sign()
	return true
}

func (m *sparkMetric) varint(number protowire.Number, v uint64) {
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
		m.signed = int64(v) //nolint:gosec // two's complement is meant
		if number == metricInt {
			m.signed = int64(int32(uint32(v))) //nolint:gosec // as above
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
		m.value.num = float64(int8(m.signed)) //nolint:gosec // some writers do not extend the sign
	case typeInt16:
		m.value.num = float64(int16(m.signed)) //nolint:gosec // as above
	case typeInt32, typeInt64:
		m.value.num = float64(m.signed)
	}
}

func (m *sparkMetric) bytes(number protowire.Number, v []byte) {
	switch number {
	case metricName:
		m.name = v
	case metricText:
		m.value, m.has = leaf{kind: devices.Text, text: v}, true
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
	at := uint64(now.UnixMilli()) //nolint:gosec // after 1970
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
