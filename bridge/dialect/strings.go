package dialect

import (
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string whose quote is at the present position and returns where its content stands and whether it holds
// escapes, which are known to be good ones.
func (s *scanner) str() (start, end int, escaped bool, reason Reason) {
	s.pos++
	start = s.pos
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return start, s.pos - 1, escaped, None
		case c == '\\':
			escaped = true
			if reason := s.escape(); reason != None {
				return 0, 0, false, reason
			}
		case c < ' ': // RFC 8259 section 7: control characters must be escaped
			return 0, 0, false, BadSyntax
		default:
			s.pos++
		}
	}
	return 0, 0, false, Truncated
}

// escape checks the escape at the present position and goes past it.
func (s *scanner) escape() Reason {
	s.pos++
	if s.pos >= len(s.data) {
		return Truncated
	}
	switch s.data[s.pos] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return None
	case 'u':
	default:
		return BadSyntax
	}
	r, reason := s.hex(s.pos + 1)
	if reason != None {
		return reason
	}
	s.pos += 5
	if !utf16.IsSurrogate(r) {
		return None
	}
	// A surrogate means something only as the first half of a pair; alone it has no UTF-8.
	if s.pos+1 >= len(s.data) {
		return Truncated
	}
	if s.data[s.pos] != '\\' || s.data[s.pos+1] != 'u' {
		return BadSyntax
	}
	low, reason := s.hex(s.pos + 2)
	if reason != None {
		return reason
	}
	if utf16.DecodeRune(r, low) == utf8.RuneError {
		return BadSyntax
	}
	s.pos += 6
	return None
}

func (s *scanner) hex(at int) (rune, Reason) {
	if at+4 > len(s.data) {
		return 0, Truncated
	}
	r, ok := hex4(s.data[at : at+4])
	if !ok {
		return 0, BadSyntax
	}
	return r, None
}

func hex4(b []byte) (r rune, ok bool) {
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape appends content, whose escapes are good ones, to dst. It tells whether dst had the room.
func unescape(dst, content []byte) ([]byte, bool) {
	for i := 0; i < len(content); {
		c := content[i]
		if c != '\\' {
			if len(dst) == cap(dst) {
				return nil, false
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, size := unescapeOne(content[i:])
		if len(dst)+utf8.RuneLen(r) > cap(dst) {
			return nil, false
		}
		dst = utf8.AppendRune(dst, r)
		i += size
	}
	return dst, true
}

// unescapeOne reads the escape at the start of b.
func unescapeOne(b []byte) (r rune, size int) {
	switch b[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r, _ = hex4(b[2:])
		if utf16.IsSurrogate(r) {
			low, _ := hex4(b[8:])
			return utf16.DecodeRune(r, low), 12
		}
		return r, 6
	}
	return rune(b[1]), 2
}
