package dialect

import (
	"math"
	"strconv"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// maxExactDigits and maxExactPower bound the decimal numbers that two exact float64 operations read correctly: the
// digits fit 53 bits and the power of ten is exact. Readings of devices are nearly all of this kind.
const (
	maxExactDigits = 15
	maxExactPower  = 22
)

var powersOfTen = [...]float64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// parseNumber reads the JSON number (RFC 8259 section 6) at the start of b and returns its value and its length, which
// is 0 where there is none. What is beyond float64 is infinite.
func parseNumber(b []byte) (value float64, length int) {
	start, power := 0, 0
	if len(b) > 0 && b[0] == '-' {
		start = 1
	}
	mantissa, i := scanDigits(b, start, 0)
	digits := i - start
	if digits == 0 || (b[start] == '0' && digits > 1) {
		return 0, 0
	}
	if i < len(b) && b[i] == '.' {
		fraction := i + 1
		mantissa, i = scanDigits(b, fraction, mantissa)
		if i == fraction {
			return 0, 0
		}
		power = fraction - i
		digits -= power
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		end := exponentEnd(b, i)
		if end == i {
			return 0, 0
		}
		return slowNumber(b[:end]), end
	}
	if digits > maxExactDigits || -power > maxExactPower {
		return slowNumber(b[:i]), i
	}
	value = float64(mantissa) / powersOfTen[-power]
	if b[0] == '-' {
		value = -value
	}
	return value, i
}

// scanDigits appends the decimal digits from i on to the mantissa and returns where they end. It wraps around where there
// are too many, which whoever calls it finds by their number.
func scanDigits(b []byte, i int, mantissa uint64) (uint64, int) {
	for ; i < len(b) && isDigit(b[i]); i++ {
		mantissa = mantissa*10 + uint64(b[i]-'0')
	}
	return mantissa, i
}

// exponentEnd returns where the exponent whose 'e' is at i ends, or i where it is none.
func exponentEnd(b []byte, i int) int {
	end := i + 1
	if end < len(b) && (b[end] == '+' || b[end] == '-') {
		end++
	}
	first := end
	for end < len(b) && isDigit(b[end]) {
		end++
	}
	if end == first {
		return i
	}
	return end
}

func slowNumber(b []byte) float64 {
	value, err := strconv.ParseFloat(string(b), 64)
	if err != nil && !math.IsInf(value, 0) { // the syntax is known to be good: only the range can be wrong
		return math.Inf(1)
	}
	return value
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// numberEnd returns where the bytes that may be part of a number end, to tell a truncated number from a wrong one.
func numberEnd(b []byte, i int) int {
	for i < len(b) && (isDigit(b[i]) || b[i] == '-' || b[i] == '+' || b[i] == '.' || b[i] == 'e' || b[i] == 'E') {
		i++
	}
	return i
}

// numeric returns a leaf as a finite number: a number, or a text that is one ("51.4", not "51,4", "NaN" or "0x1F").
func (v *leaf) numeric() (float64, bool) {
	switch {
	case v.text != nil && !v.long:
		n, length := parseNumber(v.text)
		return n, length > 0 && length == len(v.text) && !math.IsInf(n, 0)
	case v.kind == devices.Number:
		return v.num, !math.IsInf(v.num, 0)
	}
	return 0, false
}

// Times are unix milliseconds from this value on and unix seconds below it: it is the year 5138 in seconds and March
// 1973 in milliseconds, so no time of a device is on the wrong side. (One public OwnTracks sample has milliseconds
// where its format says seconds.)
const (
	leastMillis = 1e11
	mostMillis  = 8.64e15 // the last time that JavaScript knows (ECMAScript, time values)
)

// unixMillis returns a leaf as a time: unix seconds or milliseconds, or RFC 3339 text with its zone. Whether it is
// plausible is not asked here.
func (v *leaf) unixMillis() (int64, bool) {
	if n, ok := v.numeric(); ok {
		if n < leastMillis {
			n *= 1000
		}
		if n < 1 || n > mostMillis {
			return 0, false
		}
		return int64(math.Round(n)), true
	}
	if len(v.text) == 0 {
		return 0, false
	}
	var t time.Time
	if t.UnmarshalText(v.text) != nil { // strict RFC 3339; a local time without its zone is no time
		return 0, false
	}
	ms := t.UnixMilli()
	return ms, ms > 0
}
