package devices

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// MaxAssetBytes bounds the JSON of one asset.
const MaxAssetBytes = 4 << 10

// Asset is the live state of a device as dashboards see it: the newest value of every field. Source of the shape:
// DESIGN, "The asset". Unknown members are absent from the JSON, never null.
type Asset struct {
	Measures
	ID     DeviceID
	Fleet  FleetID
	Name   string // from the registry; "" is absent
	Status Status
	// At is the time of the position (of the newest field where there is no position), unix ms, never after Received;
	// 0 is absent.
	At int64
	// Received is when we last heard of the device, unix ms.
	Received int64
	// Metrics are sorted by name and hold no Null.
	Metrics []Metric
}

// Decimals kept of each member. 1e-7 degrees is a centimetre; RFC 7946 section 11.2 advises no more.
const (
	coordinateDecimals = 7
	measureDecimals    = 2
)

// AppendJSON appends the asset's one JSON form: members in a fixed order, no white space, safe inside a line of SSE and
// inside a script element. Equal assets give equal bytes.
func (a *Asset) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = AppendJSONString(dst, a.ID.name)
	dst = append(dst, `,"fleet":`...)
	dst = AppendJSONString(dst, a.Fleet.name)
	if a.Name != "" {
		dst = append(dst, `,"name":`...)
		dst = AppendJSONString(dst, a.Name)
	}
	dst = append(dst, `,"status":"`...)
	dst = append(dst, a.Status.String()...)
	dst = append(dst, '"')
	if a.At != 0 {
		dst = append(dst, `,"at":`...)
		dst = strconv.AppendInt(dst, a.At, 10)
	}
	dst = append(dst, `,"received":`...)
	dst = strconv.AppendInt(dst, a.Received, 10)
	dst = a.appendMeasures(dst)
	if len(a.Metrics) > 0 {
		dst = appendMetrics(append(dst, `,"metrics":`...), a.Metrics)
	}
	return append(dst, '}')
}

func (m *Measures) appendMeasures(dst []byte) []byte {
	if m.Has.Has(FieldPosition) {
		dst = appendFixed(append(dst, `,"lat":`...), m.Lat, coordinateDecimals)
		dst = appendFixed(append(dst, `,"lon":`...), m.Lon, coordinateDecimals)
	}
	for _, f := range [...]struct {
		field Fields
		name  string
		value float64
	}{
		{FieldAltitude, `,"altitude":`, m.Altitude},
		{FieldSpeed, `,"speed":`, m.Speed},
		{FieldHeading, `,"heading":`, m.Heading},
		{FieldAccuracy, `,"accuracy":`, m.Accuracy},
		{FieldBattery, `,"battery":`, m.Battery},
	} {
		if m.Has.Has(f.field) {
			dst = appendFixed(append(dst, f.name...), f.value, measureDecimals)
		}
	}
	return dst
}

func appendMetrics(dst []byte, metrics []Metric) []byte {
	dst = append(dst, '{')
	for i := range metrics {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendJSONString(dst, metrics[i].Name), ':')
		dst = appendValue(dst, &metrics[i].Value)
	}
	return append(dst, '}')
}

func appendValue(dst []byte, v *Value) []byte {
	switch v.Kind {
	case Number:
		return appendNumber(dst, v.Num)
	case Text:
		return AppendJSONString(dst, v.Text)
	case Bool:
		return strconv.AppendBool(dst, v.IsTrue())
	default:
		return append(dst, "null"...)
	}
}

// appendNumber writes a float as JavaScript would: plain digits in the usual range, an exponent beyond it.
func appendNumber(dst []byte, n float64) []byte {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return append(dst, "null"...) // JSON has no word for it; decoders refuse it, this is the last guard
	}
	if abs := math.Abs(n); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, n, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, n, 'f', -1, 64)
}

// appendFixed writes n rounded to a number of decimals, without trailing zeros. It is several times faster than the
// shortest form of a float, and this is the hottest encoder there is.
func appendFixed(dst []byte, n float64, decimals int) []byte {
	scale := pow10[decimals]
	scaled := math.Round(n * scale)
	if !(math.Abs(scaled) < 1<<53) { // also true for NaN
		return appendNumber(dst, n)
	}
	units := int64(scaled)
	if units < 0 {
		dst = append(dst, '-')
		units = -units
	}
	whole, fraction := units/int64(scale), units%int64(scale)
	dst = strconv.AppendInt(dst, whole, 10)
	if fraction == 0 {
		return dst
	}
	var digits [coordinateDecimals + 1]byte
	digits[0] = '.'
	for i := decimals; i > 0; i-- {
		digits[i] = byte('0' + fraction%10)
		fraction /= 10
	}
	end := decimals + 1
	for digits[end-1] == '0' {
		end--
	}
	return append(dst, digits[:end]...)
}

var pow10 = [...]float64{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7}

const hexDigits = "0123456789abcdef"

// AppendJSONString appends s as a JSON string that is safe in a line of SSE (no CR, LF or NUL), in HTML (no '<', '>'
// or '&') and in JavaScript (no U+2028 or U+2029). Bytes that are not UTF-8 become U+FFFD.
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if b := s[i]; b < utf8.RuneSelf {
			if jsonPlain(b) {
				i++
				continue
			}
			dst = appendEscaped(append(dst, s[start:i]...), b)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if (r == utf8.RuneError && size == 1) || r == '\u2028' || r == '\u2029' {
			dst = append(dst, s[start:i]...)
			dst = append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
			start = i + size
		}
		i += size
	}
	return append(append(dst, s[start:]...), '"')
}

func jsonPlain(b byte) bool {
	return b >= ' ' && b != '"' && b != '\\' && b != '<' && b != '>' && b != '&' && b != 0x7f
}

func appendEscaped(dst []byte, b byte) []byte {
	switch b {
	case '"', '\\':
		return append(dst, '\\', b)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
}
