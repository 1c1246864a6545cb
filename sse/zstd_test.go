package sse

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestZstdIsForThoseWhoNameIt(t *testing.T) {
	for header, want := range map[string]*coding{
		"gzip, deflate, br, zstd": zstdCoded, // Chromium and Firefox, by https
		"gzip, deflate":           gzipped,   // the same by plain http, and Node
		"zstd":                    zstdCoded,
		"ZSTD;q=0.5":              zstdCoded,
		"zstd;q=0.5, gzip":        gzipped,
		"zstd;q=0, gzip":          gzipped,
		"zstd;q=0":                nil,
		"zstd;q=0.5, identity":    nil,
		"zstd;q=x":                nil,
		"*":                       gzipped,
		"":                        nil,
	} {
		if got := (&Options{Zstd: true}).codingFor([]string{header}); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

// Each piece is a frame that needs no other, so all viewers share it, whenever each of them came.
func TestEachPieceIsAFrameOfZstd(t *testing.T) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxWindow(8<<20)) // what RFC 9659 has browsers take
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	var all, frames []byte
	for _, n := range []int{0, 1, zstdStoreBelow - 1, zstdStoreBelow, 4000, 64 << 10, 1 << 20, 30} {
		var b strings.Builder
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, "data: {\"id\":\"truck-%d\",\"speed\":%d}\n\n", i, i*i%100)
		}
		piece := []byte(b.String()[:n])
		frame := packZstd(piece)
		if got, err := decoder.DecodeAll(frame, nil); err != nil || !bytes.Equal(got, piece) {
			t.Errorf("a piece of %d bytes comes as %d: %v", n, len(got), err)
		}
		if n == 4000 && len(frame) > n/5 {
			t.Errorf("4000 bytes of assets are %d packed", len(frame))
		}
		all, frames = append(all, piece...), append(frames, frame...)
	}
	if err := decoder.Reset(bytes.NewReader(frames)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(decoder); err != nil || !bytes.Equal(got, all) {
		t.Errorf("frames one after the other: %d bytes of %d, %v", len(got), len(all), err)
	}
	golden := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 2, 0x11, 0, 0, 'h', 'i'} // RFC 8878 section 3.1.1
	if got := packZstd([]byte("hi")); !bytes.Equal(got, golden) {
		t.Errorf("stored: %x", got)
	}
}
