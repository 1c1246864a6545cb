package ws

import (
	"encoding/binary"

	"github.com/fleetcast/fleetcast/sse/hub"
)

// The formats of what the hub gives: whole frames of text (RFC 6455 section 5.2), stateless.
var (
	// Bare gives the assets of a write as one array, which is all that the plainest client knows.
	Bare hub.Format = bare{}
	// Envelope says the position with them: {"event":"assets","position":…,"data":[…]}.
	Envelope hub.Format = envelope{}
)

type bare struct{}

// Name implements hub.Format.
func (bare) Name() string { return "ws" }

// AppendAssets implements hub.Format.
func (bare) AppendAssets(dst []byte, frames [][]byte, _ string) []byte {
	return appendArray(appendHeader(dst, opText, arrayLength(frames)), frames)
}

// AppendEvent implements hub.Format.
func (bare) AppendEvent(dst []byte, name string, data []byte, _ string) []byte {
	return appendEvent(dst, name, data, "")
}

// AppendID implements hub.Format: a client that does not know positions is not told any.
func (bare) AppendID(dst []byte, _ string) []byte { return dst }

type envelope struct{}

// Name implements hub.Format.
func (envelope) Name() string { return "ws-envelope" }

const (
	assetsBegin   = `{"event":"assets"`
	eventBegin    = `{"event":"`
	positionBegin = `,"position":"`
	dataBegin     = `,"data":`
)

// AppendAssets implements hub.Format.
func (envelope) AppendAssets(dst []byte, frames [][]byte, id string) []byte {
	dst = appendHeader(dst, opText, len(assetsBegin)+positionLength(id)+len(dataBegin)+arrayLength(frames)+1)
	dst = appendPosition(append(dst, assetsBegin...), id)
	return append(appendArray(append(dst, dataBegin...), frames), '}')
}

// AppendEvent implements hub.Format.
func (envelope) AppendEvent(dst []byte, name string, data []byte, id string) []byte {
	return appendEvent(dst, name, data, id)
}

// AppendID implements hub.Format: a position without an asset.
func (e envelope) AppendID(dst []byte, id string) []byte {
	if id == "" {
		return dst
	}
	return e.AppendAssets(dst, nil, id)
}

// positionLength and appendPosition know that an id is base64 of ours, in which JSON escapes nothing.
func positionLength(id string) int {
	if id == "" {
		return 0
	}
	return len(positionBegin) + len(id) + 1
}

func appendPosition(dst []byte, id string) []byte {
	if id == "" {
		return dst
	}
	return append(append(append(dst, positionBegin...), id...), '"')
}

func arrayLength(frames [][]byte) int {
	n := 2 + max(len(frames)-1, 0)
	for _, f := range frames {
		n += len(f)
	}
	return n
}

func appendArray(dst []byte, frames [][]byte) []byte {
	dst = append(dst, '[')
	for i, f := range frames {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, f...)
	}
	return append(dst, ']')
}

// appendEvent appends an event whose name is a word and whose data is JSON.
func appendEvent(dst []byte, name string, data []byte, id string) []byte {
	if len(data) == 0 {
		data = []byte("{}")
	}
	dst = appendHeader(dst, opText, len(eventBegin)+len(name)+1+positionLength(id)+len(dataBegin)+len(data)+1)
	dst = append(append(append(dst, eventBegin...), name...), '"')
	return append(append(append(appendPosition(dst, id), dataBegin...), data...), '}')
}

// Opcodes with the bit that says that the frame is a whole message (RFC 6455 section 5.2).
const (
	opText = 0x81
	opPing = 0x89
	opPong = 0x8a
)

// Lengths above the first of them need two bytes, above the second eight.
const (
	shortLength = 125
	twoBytes    = 126
	eightBytes  = 127
)

// appendHeader appends the head of a frame with a payload of n bytes. A server does not mask.
func appendHeader(dst []byte, op byte, n int) []byte {
	switch {
	case n <= shortLength:
		return append(dst, op, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, op, twoBytes), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, op, eightBytes), uint64(n))
}
