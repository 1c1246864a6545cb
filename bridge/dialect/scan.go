package dialect

import (
	"bytes"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/devices"
)

// Limits of a JSON document. A device has no reason to come near them; a document beyond one is refused whole, before
// it costs more than a pass over its bytes.
const (
	MaxDepth    = 8   // objects and arrays within each other; each costs a stack frame
	MaxKeyBytes = 64  // of one member's name; nested names are joined, and must fit the bound of a metric's name as well
	MaxLeaves   = 256 // values outside arrays; also bounds the search for duplicates
	maxUnescape = 2 * devices.MaxMetricTextBytes
)

// leaf is a value of a flattened document.
type leaf struct {
	kind devices.ValueKind
	num  float64 // infinite where the document's number is beyond float64
	text []byte  // unescaped; the scanner's or the document's memory
	long bool    // a text with escapes that is too long for any use of ours: text is not set
}

// leafSink receives each leaf with its path: the names of the members from the root, joined by dots. The path is the
// scanner's memory.
type leafSink interface {
	leaf(path []byte, v *leaf)
}

// scanner flattens a JSON object in one pass and without allocation. It accepts a subset of RFC 8259: valid UTF-8, no
// lone surrogates, the limits above. Members of arrays are checked and not reported. Duplicate names are reported in
// the document's order, so that the last wins. encoding/json is the oracle of its fuzz test.
type scanner struct {
	data    []byte
	pos     int
	leaves  int
	path    []byte
	sink    leafSink
	value   leaf
	pathBuf [MaxDepth * (MaxKeyBytes + 1)]byte
	textBuf [maxUnescape]byte
}

// scan reports the leaves of the object in data to sink and returns None, or the reason why data is not one. What was
// reported before a refusal must be discarded.
func (s *scanner) scan(data []byte, sink leafSink) Reason {
	if reason := refuse(data); reason != None {
		return reason
	}
	s.data, s.pos, s.leaves, s.sink = data, 0, 0, sink
	s.path = s.pathBuf[:0]
	reason := s.document()
	s.data, s.sink, s.value.text = nil, nil, nil // nothing of the packet is kept
	return reason
}

func refuse(data []byte) Reason {
	switch {
	case len(data) == 0:
		return Empty
	case len(data) > MaxPayloadBytes:
		return TooLarge
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return ByteOrderMark
	case !utf8.Valid(data):
		return NotUTF8
	}
	return None
}

func (s *scanner) document() Reason {
	switch c := s.peek(); {
	case c == '{':
	case s.pos == len(s.data):
		return Empty
	case c == '[' || c == '"' || c == '-' || c >= '0' && c <= '9' || c == 't' || c == 'f' || c == 'n':
		return NotObject
	default:
		return BadSyntax
	}
	if reason := s.object(1); reason != None {
		return reason
	}
	if s.peek(); s.pos != len(s.data) {
		return Trailing
	}
	return None
}

// peek skips white space and returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// unexpected is the reason for a byte that cannot stand at the present position.
func (s *scanner) unexpected() Reason {
	if s.pos >= len(s.data) {
		return Truncated
	}
	return BadSyntax
}

// object reads an object whose '{' is at the present position.
func (s *scanner) object(depth int) Reason {
	if depth > MaxDepth {
		return TooDeep
	}
	s.pos++
	if s.peek() == '}' {
		s.pos++
		return None
	}
	parent := len(s.path)
	for {
		if s.peek() != '"' {
			return s.unexpected()
		}
		s.path = s.path[:parent]
		if reason := s.key(); reason != None {
			return reason
		}
		if s.peek() != ':' {
			return s.unexpected()
		}
		s.pos++
		if reason := s.member(depth); reason != None {
			return reason
		}
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			s.path = s.path[:parent]
			return None
		default:
			return s.unexpected()
		}
	}
}

// key reads a name and joins it to the path.
func (s *scanner) key() Reason {
	if len(s.path) > 0 {
		s.path = append(s.path, '.')
	}
	start, end, escaped, reason := s.str()
	if reason != None {
		return reason
	}
	if !escaped {
		if end-start > MaxKeyBytes {
			return LongName
		}
		s.path = append(s.path, s.data[start:end]...)
		return None
	}
	name, ok := unescape(s.textBuf[:0:MaxKeyBytes], s.data[start:end])
	if !ok {
		return LongName
	}
	s.path = append(s.path, name...)
	return None
}

// member reads the value of the member that the path names and reports it, or what it holds.
func (s *scanner) member(depth int) Reason {
	switch s.peek() {
	case '{':
		return s.object(depth + 1)
	case '[':
		return s.array(depth + 1)
	}
	if s.leaves++; s.leaves > MaxLeaves {
		return TooManyMembers
	}
	if reason := s.scalar(&s.value); reason != None {
		return reason
	}
	s.sink.leaf(s.path, &s.value)
	return None
}

// array reads over an array whose '[' is at the present position.
func (s *scanner) array(depth int) Reason {
	if depth > MaxDepth {
		return TooDeep
	}
	s.pos++
	if s.peek() == ']' {
		s.pos++
		return None
	}
	for {
		if reason := s.element(depth); reason != None {
			return reason
		}
		switch s.peek() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			return None
		default:
			return s.unexpected()
		}
	}
}

func (s *scanner) element(depth int) Reason {
	switch s.peek() {
	case '[':
		return s.array(depth + 1)
	case '{':
		// What is inside an array is not ours: read it with a sink that ignores, and take no part in the limit of leaves.
		sink, leaves := s.sink, s.leaves
		s.sink = ignore{}
		reason := s.object(depth + 1)
		s.sink, s.leaves = sink, leaves
		return reason
	}
	return s.scalar(&s.value)
}

type ignore struct{}

func (ignore) leaf([]byte, *leaf) {}

// scalar reads a string, a number or a literal.
func (s *scanner) scalar(v *leaf) Reason {
	*v = leaf{}
	switch c := s.peek(); {
	case c == '"':
		return s.text(v)
	case c == 't':
		v.kind, v.num = devices.Bool, 1
		return s.literal("true")
	case c == 'f':
		v.kind = devices.Bool
		return s.literal("false")
	case c == 'n':
		v.kind = devices.Null
		return s.literal("null")
	case c == '-' || c >= '0' && c <= '9':
		num, length := parseNumber(s.data[s.pos:])
		if length == 0 {
			s.pos = numberEnd(s.data, s.pos)
			return s.unexpected()
		}
		s.pos += length
		v.kind, v.num = devices.Number, num
		return None
	}
	return s.unexpected()
}

func (s *scanner) literal(word string) Reason {
	rest := s.data[s.pos:]
	if len(rest) < len(word) {
		if word[:len(rest)] == string(rest) {
			return Truncated
		}
		return BadSyntax
	}
	if string(rest[:len(word)]) != word {
		return BadSyntax
	}
	s.pos += len(word)
	return None
}

func (s *scanner) text(v *leaf) Reason {
	start, end, escaped, reason := s.str()
	if reason != None {
		return reason
	}
	v.kind = devices.Text
	if !escaped {
		v.text = s.data[start:end]
		return None
	}
	text, ok := unescape(s.textBuf[:0], s.data[start:end])
	v.text, v.long = text, !ok
	return None
}
