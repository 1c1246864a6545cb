package sse

import (
	"encoding/binary"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/fleetcast/fleetcast/sse/hub"
)

// A gzip stream may be made of blocks that were each compressed from an empty window and ended by a sync flush
// (RFC 1951 section 3.2.4: an empty stored block, after which the next begins at a byte). Then only the header is a
// viewer's own: every piece of the hub is compressed once, and the same bytes go to all viewers of the view, whenever
// each of them came. What is given up is the window across pieces, and the trailer: its checksum would be of all that one
// viewer was given. A decoder that wants it says "unexpected end" where a stream ends; an EventSource comes back anyway.

// syncFlush is an empty stored block. Decoders hand on what they have when they meet one; some only then.
var syncFlush = []byte{0, 0, 0, 0xff, 0xff}

// gzipHeader is RFC 1952 section 2.3: deflate, no flags, no time, unknown system.
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

const (
	// storeBelow is the size of a piece that is not worth compressing: one asset shrinks by a quarter for 5 µs, and
	// what is made for one viewer alone, ready and a heartbeat, is about as long.
	storeBelow = 300
	// packLevel is the fastest: the next levels save 5 % more and cost half as much again (ARCHITECTURE, Costs).
	packLevel = flate.BestSpeed
)

// coding is a way to compress pieces one by one; nil is none.
type coding struct {
	name         string // as Content-Encoding says it
	header       []byte // what a stream of it begins with
	pack         func(piece []byte) []byte
	plain, batch hub.Packer // the formats whose pieces are packed by it
}

// gzipped is the coding that every client has.
var gzipped = newCoding("gzip", gzipHeader, pack)

func newCoding(name string, header []byte, pack func([]byte) []byte) *coding {
	c := &coding{name: name, header: header, pack: pack}
	c.plain, c.batch = packed{Plain, c}, packed{Batch, c}
	return c
}

// format is the twin of a format for viewers that take the coding.
func (c *coding) format(f hub.Format) hub.Format {
	if f == Batch {
		return c.batch
	}
	return c.plain
}

// packed is a format whose pieces are compressed.
type packed struct {
	hub.Format
	coding *coding
}

// Name implements hub.Format: viewers that take a coding have views of their own.
func (p packed) Name() string { return p.Format.Name() + "+" + p.coding.name }

// Pack implements hub.Packer.
func (p packed) Pack(piece []byte) []byte { return p.coding.pack(piece) }

// packers keeps compressors, some hundred kilobytes each: as many as pieces are made at one moment, so cores.
var packers = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, packLevel)
	if err != nil {
		panic(err) // a constant level: the tests cannot pass
	}
	return w
}}

// appender is an io.Writer that keeps what it is given.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

// pack compresses a piece by itself, for gzip.
func pack(piece []byte) []byte {
	if len(piece) < storeBelow {
		return append(appendStored(make([]byte, 0, len(piece)+10), piece), syncFlush...)
	}
	out := make(appender, 0, len(piece)/4+64)
	w := packers.Get().(*flate.Writer)
	defer packers.Put(w)
	w.Reset(&out)
	_, _ = w.Write(piece) // an appender takes everything
	_ = w.Flush()
	return out
}

// appendStored appends a block that holds p, less than 64 KiB, as it is.
func appendStored(dst, p []byte) []byte {
	n := uint16(len(p))  // below storeBelow
	dst = append(dst, 0) // not the last block; type 00; the rest of the byte is padding
	dst = binary.LittleEndian.AppendUint16(dst, n)
	dst = binary.LittleEndian.AppendUint16(dst, ^n)
	return append(dst, p...)
}

// codingFor is how the streams of a client are compressed that sent these headers; nil for not at all.
func (o *Options) codingFor(accept []string) *coding {
	w := welcomeOf(accept)
	switch {
	case o.Zstd && w.takesZstd():
		return zstdCoded
	case !o.NoGzip && w.takesGzip():
		return gzipped
	}
	return nil
}

// compresses says whether what a client accepts makes a difference.
func (o *Options) compresses() bool { return o.Zstd || !o.NoGzip }

// welcome is how welcome codings are to a client: the q of each, -1 where it is not named.
type welcome struct{ zstd, gzip, identity, other float64 }

// takesGzip says whether gzip is acceptable and not less welcome than no coding at all. A client that says nothing gets
// none, and neither does one that refuses everything: an answer 406 would end an EventSource for good.
func (w welcome) takesGzip() bool {
	gzip := w.gzip
	if gzip < 0 {
		gzip = w.other
	}
	return gzip > 0 && gzip >= w.identity
}

// takesZstd says whether zstd is named and not less welcome than gzip or no coding: a client that takes "*" may mean
// what it knows.
func (w welcome) takesZstd() bool {
	return w.zstd > 0 && w.zstd >= w.identity && w.zstd >= w.gzip
}

// welcomeOf reads Accept-Encoding (RFC 9110 section 12.5.3).
func welcomeOf(headers []string) welcome {
	w := welcome{-1, -1, -1, -1}
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			coding, params, _ := strings.Cut(item, ";")
			switch q := quality(params); strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				w.gzip = max(w.gzip, q)
			case "zstd":
				w.zstd = q
			case "identity":
				w.identity = q
			case "*":
				w.other = q
			}
		}
	}
	return w
}

// quality is the q of a coding (RFC 9110 section 12.4.2): 1 where there is none, 0 where it cannot be read.
func quality(params string) float64 {
	name, value, found := strings.Cut(params, "=")
	if !found || !strings.EqualFold(strings.TrimSpace(name), "q") {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}
