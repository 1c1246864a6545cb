package devices

import "bytes"

// Projection is a set of members of an asset's JSON that a view asked for with fields=. The zero value stands for all.
// id, fleet, status and received are always in it.
type Projection struct{ set memberSet }

type memberSet uint16

// members in the order of AppendJSON. A projection is only a cut of those bytes, so that nothing is decoded per view.
var members = [...]string{"id", "fleet", "name", "status", "at", "received", "lat", "lon", "altitude", "speed", "heading", "accuracy", "battery", "metrics"}

// ParseProjection reads the names of members; an unknown one is an Invalid error about "fields".
func ParseProjection(names []string) (Projection, error) {
	var p Projection
	for _, name := range names {
		i := memberIndex([]byte(name))
		if i < 0 {
			return Projection{}, Errorf(Invalid, "fields", "has no member %q; there are name, at, lat, lon, altitude, speed, heading, accuracy, battery, metrics", name)
		}
		p.set |= 1 << i
	}
	if p.set != 0 {
		p.set |= 1<<0 | 1<<1 | 1<<3 | 1<<5
	}
	return p, nil
}

// IsAll tells whether the projection changes nothing.
func (p Projection) IsAll() bool { return p.set == 0 }

// Key is equal for equal projections.
func (p Projection) Key() uint16 { return uint16(p.set) }

// Append appends the cut of frame, which must be what AppendJSON made; other bytes are appended unchanged.
func (p Projection) Append(dst, frame []byte) []byte {
	if p.IsAll() || len(frame) < 2 || frame[0] != '{' {
		return append(dst, frame...)
	}
	begin := len(dst)
	dst = append(dst, '{')
	rest := frame[1:]
	for len(rest) > 0 && rest[0] == '"' {
		nameEnd := bytes.IndexByte(rest[1:], '"') + 1
		if nameEnd <= 0 || nameEnd+2 > len(rest) {
			return append(dst[:begin], frame...)
		}
		end := nameEnd + 2 + valueLength(rest[nameEnd+2:])
		if i := memberIndex(rest[1:nameEnd]); i >= 0 && p.set&(1<<i) != 0 {
			if len(dst) > begin+1 {
				dst = append(dst, ',')
			}
			dst = append(dst, rest[:end]...)
		}
		if end >= len(rest) || rest[end] != ',' {
			break
		}
		rest = rest[end+1:]
	}
	return append(dst, '}')
}

func memberIndex(name []byte) int {
	for i := range members {
		if members[i] == string(name) {
			return i
		}
	}
	return -1
}

// valueLength is the length of the JSON value at the start of b, which is known to be well formed.
func valueLength(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += stringLength(b[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

func stringLength(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}
