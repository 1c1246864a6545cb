package sse

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/sse/hub"
)

// ContentType is the media type of the stream (WHATWG 9.2.1). It is always UTF-8, so no charset is said.
const ContentType = "text/event-stream"

// The formats of the stream, stateless. A message is a block of lines that an empty line ends (WHATWG 9.2.5).
var (
	// Plain gives each asset a message of its own, of the default type, which EventSource.onmessage sees.
	Plain hub.Format = plain{}
	// Batch gives all assets of a write in one message of type "batch", whose data is an array.
	Batch hub.Format = batch{}
)

type plain struct{}

// Name implements hub.Format.
func (plain) Name() string { return "sse" }

// AppendAssets implements hub.Format: "data: {json}\n\n" an asset, and the id in the last of them.
func (plain) AppendAssets(dst []byte, frames [][]byte, id string) []byte {
	for i, frame := range frames {
		dst = appendLine(append(dst, "data: "...), frame)
		if i == len(frames)-1 {
			dst = appendID(dst, id)
		}
		dst = append(dst, '\n') // WHATWG 9.2.6: an empty line dispatches the event
	}
	return dst
}

// AppendEvent implements hub.Format.
func (plain) AppendEvent(dst []byte, name string, data []byte, id string) []byte {
	return appendEvent(dst, name, data, id)
}

// AppendID implements hub.Format.
func (plain) AppendID(dst []byte, id string) []byte { return appendIDAlone(dst, id) }

type batch struct{}

// Name implements hub.Format.
func (batch) Name() string { return "sse-batch" }

// AppendAssets implements hub.Format: one "event: batch" whose data is the array of the frames.
func (batch) AppendAssets(dst []byte, frames [][]byte, id string) []byte {
	dst = append(dst, "event: batch\ndata: ["...)
	begin := len(dst)
	for i, frame := range frames {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, frame...)
	}
	dst = append(blank(dst, begin), "]\n"...)
	return append(appendID(dst, id), '\n')
}

// AppendEvent implements hub.Format.
func (batch) AppendEvent(dst []byte, name string, data []byte, id string) []byte {
	return appendEvent(dst, name, data, id)
}

// AppendID implements hub.Format.
func (batch) AppendID(dst []byte, id string) []byte { return appendIDAlone(dst, id) }

// appendEvent appends a message of a named type. An event without data is not dispatched (WHATWG 9.2.6), so there
// always is some.
func appendEvent(dst []byte, name string, data []byte, id string) []byte {
	dst = append(dst, "event: "...)
	begin := len(dst)
	dst = append(blank(append(dst, name...), begin), "\ndata: "...)
	if len(data) == 0 {
		data = []byte("{}")
	}
	return append(appendID(appendLine(dst, data), id), '\n')
}

// appendLine appends the rest of a line and its end.
func appendLine(dst, text []byte) []byte {
	begin := len(dst)
	return append(blank(append(dst, text...), begin), '\n')
}

// blank makes spaces of the line ends in dst[begin:]. WHATWG 9.2.5 ends a line at LF, CR LF or CR, so one of them inside
// a value would let whoever chose the value write fields and events of their own. Ours is JSON, where a raw line end can
// only stand between tokens: a space there means the same, and for anything else being harmless matters more.
func blank(dst []byte, begin int) []byte {
	for _, end := range [...]byte{'\n', '\r'} {
		for rest := dst[begin:]; ; {
			i := bytes.IndexByte(rest, end)
			if i < 0 {
				break
			}
			rest[i] = ' '
			rest = rest[i+1:]
		}
	}
	return dst
}

// appendID appends the line that a client gives back as Last-Event-ID. WHATWG 9.2.6 ignores an id with a NUL; one with a
// line end would be an injection. Such an id is left out: the client then holds an older one, and is sent more than it
// needs instead of less.
func appendID(dst []byte, id string) []byte {
	if id == "" || strings.ContainsAny(id, "\r\n\x00") {
		return dst
	}
	return append(append(append(dst, "id: "...), id...), '\n')
}

// appendIDAlone appends a block that has only an id: WHATWG 9.2.6 takes it as the last event id and then, as there is no
// data, dispatches nothing. Without an id there is nothing to say.
func appendIDAlone(dst []byte, id string) []byte {
	begin := len(dst)
	if dst = appendID(dst, id); len(dst) > begin {
		dst = append(dst, '\n')
	}
	return dst
}

// appendRetry appends the block that sets the client's time of reconnection (WHATWG 9.2.6: ASCII digits, milliseconds).
// A block without data dispatches nothing.
func appendRetry(dst []byte, d time.Duration) []byte {
	dst = strconv.AppendInt(append(dst, "retry: "...), max(d.Milliseconds(), 0), 10)
	return append(dst, "\n\n"...)
}

// The time of reconnection that a stream begins with. Everybody who is cut at one moment comes back spread over the
// difference (the reconnection storm after a crash, where nobody could say goodbye).
const (
	minRetry = 2 * time.Second
	maxRetry = 5 * time.Second
)

// jitter is a random time from low to high.
func jitter(low, high time.Duration) time.Duration {
	return low + rand.N(high-low+1)
}
