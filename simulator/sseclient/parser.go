package sseclient

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// Defaults of a parser.
const (
	DefaultBuffer  = 8 << 10
	DefaultMaxLine = 1 << 20 // also of an event's data
)

// ErrTooLong says that a line or an event's data is beyond the limit. It comes wrapped.
var ErrTooLong = errors.New("event is too long")

// Event is one dispatched event, or a change of the retry time. Its slices are valid until the next call of Next.
type Event struct {
	Type string // "" is a message
	Data []byte
	ID   string // the last event id as of this event
	// HasID tells that this event's own block had an id line.
	HasID bool
}

// Parser reads events from a stream. It is for one goroutine.
type Parser struct {
	src     io.Reader
	maxLine int
	buf     []byte
	r, w    int
	arrived time.Time
	begun   bool // the first bytes were looked at for a byte order mark
	skipLF  bool // the last line ended in CR, and an LF right behind belongs to it
	err     error

	// Of the block that is being read.
	data    []byte
	hasData bool
	kind    string
	hasID   bool

	id    string // as of the last id line
	final string // as of the last block that ended: what Last-Event-ID says
	retry time.Duration
}

// NewParser reads from src with a buffer of size bytes that grows up to maxLine for longer lines; 0 means the defaults.
func NewParser(src io.Reader, size, maxLine int) *Parser {
	if size <= 0 {
		size = DefaultBuffer
	}
	if maxLine <= 0 {
		maxLine = DefaultMaxLine
	}
	return &Parser{src: src, buf: make([]byte, size), maxLine: max(maxLine, size), retry: -1}
}

// LastEventID is what a reconnection would send: the last id whose block ended.
func (p *Parser) LastEventID() string { return p.final }

// Retry is the last reconnection time that the stream named, negative where it named none.
func (p *Parser) Retry() time.Duration { return p.retry }

// Arrived is when the bytes that completed the last event were read: one look at the clock a read, not an event.
func (p *Parser) Arrived() time.Time { return p.arrived }

// Next returns the next event that has data. An unfinished block at the end is dropped (section 9.2.6); the error is the
// reader's, bare.
func (p *Parser) Next() (Event, error) {
	p.data, p.hasData, p.kind, p.hasID = p.data[:0], false, "", false
	for {
		line, err := p.line()
		if err != nil {
			return Event{}, err
		}
		if len(line) > 0 {
			if err := p.field(line); err != nil {
				return Event{}, err
			}
			continue
		}
		p.final = p.id
		if p.hasData {
			return Event{Type: p.kind, Data: p.data, ID: p.id, HasID: p.hasID}, nil
		}
		p.kind, p.hasID = "", false // a block without data is no event, though its id counts
	}
}

func (p *Parser) field(line []byte) error {
	name, value, found := bytes.Cut(line, []byte{':'})
	if found && len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(name) {
	case "data":
		if p.hasData {
			p.data = append(p.data, '\n')
		}
		p.data, p.hasData = append(p.data, value...), true
		if len(p.data) > p.maxLine {
			return fmt.Errorf("%w: data of more than %d bytes", ErrTooLong, p.maxLine)
		}
	case "event":
		p.kind = known(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			p.hasID = true
			if string(value) != p.id {
				p.id = string(value)
			}
		}
	case "retry":
		p.setRetry(value)
	}
	return nil
}

func (p *Parser) setRetry(value []byte) {
	if len(value) == 0 || len(value) > 15 {
		return
	}
	n := int64(0)
	for _, c := range value {
		if c < '0' || c > '9' {
			return
		}
		n = n*10 + int64(c-'0')
	}
	p.retry = time.Duration(min(n, int64(24*time.Hour/time.Millisecond))) * time.Millisecond
}

// names spares an allocation for each named event.
var names = [...]string{"ready", "reset", "removed", "heartbeat", "batch", "alert", "command", "view"}

func known(b []byte) string {
	if string(b) == "message" {
		return ""
	}
	for _, n := range names {
		if string(b) == n {
			return n
		}
	}
	return string(b)
}

// line returns the next line without its end, which is LF, CR or CRLF. An unfinished line at the end of the stream is
// none. A CR ends a line at once: waiting for the LF behind it would hold back an event whose stream goes quiet.
func (p *Parser) line() ([]byte, error) {
	scanned := 0
	for {
		if p.skip() {
			scanned = 0
		}
		window := p.buf[p.r:p.w]
		if i := lineEnd(window[scanned:]); i >= 0 {
			end := scanned + i
			p.skipLF = window[end] == '\r'
			p.r += end + 1
			return window[:end], nil
		}
		scanned = len(window)
		if p.err != nil {
			return nil, p.err
		}
		if err := p.fill(); err != nil {
			return nil, err
		}
	}
}

// skip drops what is in front of a line but no part of it, the LF of a CRLF and the byte order mark of the stream, and
// tells whether it did.
func (p *Parser) skip() bool {
	before := p.r
	if p.skipLF && p.r < p.w {
		if p.buf[p.r] == '\n' {
			p.r++
		}
		p.skipLF = false
	}
	if !p.begun && p.w > p.r {
		const mark = "\xef\xbb\xbf"
		got := p.buf[p.r:min(p.w, p.r+len(mark))]
		if string(got) == mark {
			p.r += len(mark)
		}
		p.begun = len(got) == len(mark) || string(got) != mark[:len(got)] || p.err != nil // else it may still become one
	}
	return p.r != before
}

func lineEnd(b []byte) int {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return bytes.IndexByte(b, '\r')
	}
	if j := bytes.IndexByte(b[:i], '\r'); j >= 0 {
		return j
	}
	return i
}

// fill reads more behind what is there. An error of the reader is kept until all lines before it were returned.
func (p *Parser) fill() error {
	if p.r > 0 {
		p.w = copy(p.buf, p.buf[p.r:p.w])
		p.r = 0
	}
	if p.w == len(p.buf) {
		if len(p.buf) >= p.maxLine {
			return fmt.Errorf("%w: line of more than %d bytes", ErrTooLong, p.maxLine)
		}
		p.buf = append(p.buf, make([]byte, min(len(p.buf), p.maxLine-len(p.buf)))...)
	}
	for range 100 { // as bufio: a reader that returns nothing again and again is broken
		var n int
		n, p.err = p.src.Read(p.buf[p.w:])
		if n > 0 {
			p.arrived = time.Now()
			p.w += n
		}
		if n > 0 || p.err != nil {
			return nil //nolint:nilerr // the error is told when the lines before it are
		}
	}
	return io.ErrNoProgress
}
