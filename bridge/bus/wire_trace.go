package bus

import (
	"encoding/binary"

	"github.com/fleetcast/fleetcast/devices/trace"
)

// MaxTraces bounds the traces of a batch. What is more than that is not traced further.
const MaxTraces = 64

// minTracedBytes is the least that one of a batch takes: names of one byte, the span, no state.
const minTracedBytes = 30

// appendTrace appends a span: its 16 and 8 bytes, the flags, the state.
func appendTrace(dst []byte, c *trace.Context) []byte {
	dst = append(append(dst, c.TraceID[:]...), c.SpanID[:]...)
	return appendText(append(dst, c.Flags), c.State)
}

func appendTraces(dst []byte, traces []Traced) []byte {
	traces = traces[:min(len(traces), MaxTraces)]
	dst = binary.AppendUvarint(dst, uint64(len(traces)))
	for i := range traces {
		t := &traces[i]
		dst = appendText(appendText(dst, t.Device.String()), t.Fleet.String())
		dst = appendTrace(dst, &t.Context)
	}
	return dst
}

func (r *wireReader) trace() *trace.Context {
	c := new(trace.Context)
	copy(c.TraceID[:], r.take(len(c.TraceID), "trace"))
	copy(c.SpanID[:], r.take(len(c.SpanID), "span"))
	c.Flags = r.byte("flags")
	c.State = string(r.text("state", trace.MaxStateBytes))
	return c
}

// traces reads those of a batch, of which there is at least one.
func (r *wireReader) traces() []Traced {
	n := r.count("traces", minTracedBytes)
	if n == 0 || n > MaxTraces {
		r.fail(ErrWireMalformed, "traces")
		return nil
	}
	out := make([]Traced, 0, n)
	for range n {
		t := Traced{Device: r.device(), Fleet: r.fleet(), Context: *r.trace()}
		if r.err != nil {
			return nil
		}
		out = append(out, t)
	}
	return out
}

// within reads the version of what stands after a trace.
func (r *wireReader) within(last byte) {
	r.version = r.byte("version")
	if r.err == nil && (r.version < wireVersion || r.version > last) {
		r.fail(ErrWireMalformed, "version")
	}
}
