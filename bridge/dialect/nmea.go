package dialect

import (
	"bytes"
	"math"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// maxSentences bounds the sentences of a payload; a receiver sends some ten a second.
const maxSentences = 64

// decodeNMEA reads the sentences RMC and GGA of NMEA 0183, one or several lines, of any talker. The others of a receiver
// are passed over. RMC has the date; a GGA is completed by the RMC of the same second, and alone it has the time of its
// receipt.
//
// Our own reader: github.com/adrianmo/go-nmea refuses a GGA without its last two members, which real modules leave out,
// and reads an empty speed or course as 0.
func decodeNMEA(in *input, out *Result) bool {
	if len(bytes.TrimSpace(in.payload)) == 0 {
		return out.decline(Empty)
	}
	var fix nmeaFix
	sentences, bad := 0, 0
	for line := range bytes.Lines(in.payload) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if sentences++; sentences > maxSentences {
			return out.reject(TooManyMembers)
		}
		body, reason := nmeaBody(line)
		switch reason {
		case None:
		case Checksum:
			bad++
			continue
		default:
			return out.decline(reason)
		}
		if !fix.read(in, out, body) {
			out.Dropped++
		}
	}
	fix.flush(in, out)
	switch {
	case len(out.Messages) > 0:
		out.Dropped += bad
		return true
	case bad > 0:
		return out.reject(Checksum)
	}
	return out.decline(Declined)
}

// nmeaBody returns what stands between the '$' and the '*', whose sum is right.
func nmeaBody(line []byte) ([]byte, Reason) {
	if line[0] != '$' {
		return nil, Declined
	}
	body, sum, ok := bytes.Cut(line[1:], []byte{'*'})
	if !ok || len(sum) != 2 {
		return nil, Checksum // a sentence without one is not to be trusted on a wire without any other
	}
	want, ok := hexByte(sum)
	var got byte
	for _, c := range body {
		got ^= c
	}
	if !ok || got != want {
		return nil, Checksum
	}
	return body, None
}

func hexByte(b []byte) (byte, bool) {
	r, ok := hex4([]byte{'0', '0', b[0], b[1]})
	return byte(r), ok
}

// nmeaFix is what the sentences of one time of day have said so far.
type nmeaFix struct {
	open     bool
	clock    string // hhmmss.ss as it stands in the sentences
	lat, lon coordinate
	measures devices.Measures
	at       int64
	sat      float64
	hasSat   bool
	hdop     float64
	hasHDOP  bool
}

// read takes a sentence. It tells whether it could: one that is not for us is passed over.
func (f *nmeaFix) read(in *input, out *Result, body []byte) bool {
	fields := bytes.Split(body, []byte{','})
	if len(fields[0]) < 5 {
		return true
	}
	kind := string(fields[0][len(fields[0])-3:])
	if kind != "RMC" && kind != "GGA" {
		return true
	}
	if len(fields) < 10 {
		return false
	}
	if clock := string(fields[1]); f.open && clock != f.clock {
		f.flush(in, out)
	}
	f.open, f.clock = true, string(fields[1])
	if kind == "RMC" {
		return f.rmc(fields)
	}
	return f.gga(fields)
}

// rmc: time, A or V, lat, N or S, lon, E or W, knots, course, ddmmyy.
func (f *nmeaFix) rmc(v [][]byte) bool {
	f.at = nmeaTime(v[1], v[9])
	if string(v[2]) != "A" {
		return true
	}
	ok := f.place(v[3], v[4], v[5], v[6])
	f.measure(devices.FieldSpeed, &f.measures.Speed, v[7], mpsPerKnot)
	f.measure(devices.FieldHeading, &f.measures.Heading, v[8], 1)
	return ok
}

// gga: time, lat, N or S, lon, E or W, quality, satellites, HDOP, altitude, M.
func (f *nmeaFix) gga(v [][]byte) bool {
	if f.sat, f.hasSat = nmeaNumber(v[7]); len(v) < 11 {
		return false
	}
	f.hdop, f.hasHDOP = nmeaNumber(v[8])
	if string(v[6]) == "0" || len(v[6]) == 0 {
		return true
	}
	ok := f.place(v[2], v[3], v[4], v[5])
	if string(v[10]) == "M" {
		f.measure(devices.FieldAltitude, &f.measures.Altitude, v[9], 1)
	}
	return ok
}

// measure takes a member that may be left out.
func (f *nmeaFix) measure(field devices.Fields, place *float64, text []byte, factor float64) {
	if n, ok := nmeaNumber(text); ok {
		*place = n * factor
		f.measures.Has |= field
	}
}

func (f *nmeaFix) place(lat, northSouth, lon, eastWest []byte) bool {
	la, ok1 := nmeaDegrees(lat, northSouth, 'N', 'S')
	lo, ok2 := nmeaDegrees(lon, eastWest, 'E', 'W')
	if ok1 && ok2 {
		f.lat, f.lon = coordinate{given, la}, coordinate{given, lo}
	}
	return ok1 && ok2
}

// flush makes a reading of what is known.
func (f *nmeaFix) flush(in *input, out *Result) {
	if !f.open {
		return
	}
	c := out.begin(in)
	c.reading.Measures = f.measures
	c.reading.At, c.lat, c.lon = f.at, f.lat, f.lon
	if f.hasSat {
		l := leaf{kind: devices.Number, num: f.sat}
		c.satellites(&l)
		c.metricNumber("sat", f.sat)
	}
	if f.hasHDOP {
		c.metricNumber("hdop", f.hdop)
	}
	out.end(in)
	*f = nmeaFix{}
}

func nmeaNumber(text []byte) (float64, bool) {
	// RFC 8259 has no leading zeros, receivers do: "08".
	sign := 1.0
	if len(text) > 0 && text[0] == '-' {
		sign, text = -1, text[1:]
	}
	for len(text) > 1 && text[0] == '0' && isDigit(text[1]) {
		text = text[1:]
	}
	l := leaf{kind: devices.Text, text: text}
	n, ok := l.numeric()
	return sign * n, ok && n >= 0
}

// nmeaDegrees reads ddmm.mmmm or dddmm.mmmm and its hemisphere.
func nmeaDegrees(text, hemisphere []byte, positive, negative byte) (float64, bool) {
	n, ok := nmeaNumber(text)
	if !ok || len(hemisphere) != 1 {
		return 0, false
	}
	degrees := math.Floor(n / 100)
	minutes := n - degrees*100
	if minutes >= 60 || n < 0 {
		return 0, false
	}
	switch degrees += minutes / 60; hemisphere[0] {
	case positive:
		return degrees, true
	case negative:
		return -degrees, true
	}
	return 0, false
}

// firstYear is the first that a two-digit year may be: GPS began in 1980.
const firstYear = 80

// nmeaTime reads hhmmss.ss and ddmmyy, UTC; 0 where they are no time.
func nmeaTime(clock, date []byte) int64 {
	if len(date) != 6 || len(clock) < 6 {
		return 0
	}
	t, err := time.Parse("020106150405", string(date)+string(clock[:6]))
	if err != nil {
		return 0
	}
	year := t.Year() % 100 // of which Go and NMEA think differently
	if year >= firstYear {
		year += 1900
	} else {
		year += 2000
	}
	t = time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
	if len(clock) > 7 && clock[6] == '.' {
		l := leaf{kind: devices.Text, text: append([]byte("0"), clock[6:]...)}
		if fraction, ok := l.numeric(); ok {
			t = t.Add(time.Duration(fraction * float64(time.Second)))
		}
	}
	return max(t.UnixMilli(), 0)
}
