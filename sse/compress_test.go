package sse

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestGzipIsForThoseWhoTakeIt(t *testing.T) {
	for _, c := range []struct {
		headers []string
		want    bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"gzip, deflate, br, zstd"}, true}, // Chromium
		{[]string{"GZip"}, true},
		{[]string{"x-gzip"}, true}, // RFC 9110 section 8.4.1.3
		{[]string{"br", "gzip"}, true},
		{[]string{"deflate, br"}, false},
		{[]string{"identity"}, false},
		{[]string{"gzip;q=0"}, false},
		{[]string{"gzip;q=0.000"}, false},
		{[]string{"gzip; Q=0.5"}, true},
		{[]string{"gzip;q=0.5, identity"}, false},
		{[]string{"gzip;q=0.5, identity;q=0.5"}, true},
		{[]string{"gzip;q=0.5, identity;q=0"}, true},
		{[]string{"*"}, true},
		{[]string{"*;q=0"}, false},
		{[]string{"*;q=0, gzip"}, true},
		{[]string{"*, gzip;q=0"}, false},
		{[]string{"gzip;q=NaN"}, false},
		{[]string{"gzip;q=2"}, false},
		{[]string{"gzip;q=-1"}, false},
		{[]string{"gzip;q="}, false},
		{[]string{"identity;q=0, *;q=0"}, false}, // nothing would do: a stream is better than a 406
	} {
		if got := welcomeOf(c.headers).takesGzip(); got != c.want {
			t.Errorf("%q: %t", c.headers, got)
		}
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, seed := range []string{"gzip, deflate, br", "gzip;q=0", "*;q=0.5,identity;q=1", ";;,,q=", "gzip;q=1e400"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if !welcomeOf([]string{header}).takesGzip() {
			return
		}
		lower := strings.ToLower(header)
		if !strings.Contains(lower, "gzip") && !strings.Contains(lower, "*") {
			t.Errorf("%q takes gzip", header)
		}
	})
}

// unpack decodes as much as there is, as a browser does; what is cut or goes on later ends without an error.
func unpack(t testing.TB, stream []byte) string {
	t.Helper()
	plain, err := io.ReadAll(flate.NewReader(bytes.NewReader(stream)))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return string(plain)
}

// Pieces are read from their own bytes alone and joined in any order: that is what lets all viewers share them.
func TestEachPieceIsPackedByItself(t *testing.T) {
	var pieces []string
	for _, n := range []int{0, 1, storeBelow - 1, storeBelow, 4000, 64 << 10, 1 << 20} {
		var b strings.Builder
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, "data: {\"id\":\"truck-%d\",\"speed\":%d}\n\n", i, i*i%100)
		}
		pieces = append(pieces, b.String()[:n])
	}
	for i, piece := range pieces {
		if got := unpack(t, pack([]byte(piece))); got != piece {
			t.Errorf("a piece of %d bytes comes as %d", len(piece), len(got))
		}
		for _, next := range pieces {
			stream := append(pack([]byte(next)), pack([]byte(piece))...)
			if got := unpack(t, stream); got != next+piece {
				t.Errorf("pieces %d and before it %d bytes: %d bytes", i, len(next), len(got))
			}
		}
	}
	if n := len(pack([]byte(pieces[4]))); n > len(pieces[4])/4 {
		t.Errorf("4000 bytes of assets are %d packed", n)
	}
	golden := []byte{0, 2, 0, 0xfd, 0xff, 'h', 'i', 0, 0, 0, 0xff, 0xff} // RFC 1951 section 3.2.4
	if got := pack([]byte("hi")); !bytes.Equal(got, golden) {
		t.Errorf("stored: %x", got)
	}
}

// packedEvents are larger than what is stored, so that each is really compressed.
func packedEvent(i int) string {
	return fmt.Sprintf("data: {\"n\":%d,\"pad\":%q}\n\n", i, strings.Repeat("abcdefgh", 100))
}

const getPacked = "GET /stream/assets HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"

func TestTheBytesOfAPackedStream(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Origin")
		w.Header().Set("Content-Encoding", "br") // middleware that is wrong about us
		h.ServeHTTP(w, r)
	}))
	c := dial(t, addr, getPacked)
	head := c.until(t, "\r\n\r\n")
	for _, want := range []string{"Content-Encoding: gzip\r\n", "Vary: Origin\r\n", "Vary: Accept-Encoding\r\n", "no-transform"} {
		if strings.Count(head, want) != 1 {
			t.Errorf("the head has no %q: %q", want, head)
		}
	}
	if v := f.viewer(t, 0); v.format != gzipped.plain {
		t.Errorf("the viewer's format is %v", v.format.Name())
	} else {
		v.chunks <- pack([]byte("data: 1\n\n"))
		eventually(t, "the piece is written", func() bool { return v.total() > 0 })
		v.Close()
	}
	rest, err := io.ReadAll(c.r)
	if err != nil || !bytes.HasPrefix(rest, gzipHeader) {
		t.Fatalf("%x, %v", rest, err)
	}
	plain := unpack(t, rest[len(gzipHeader):])
	if lines := strings.SplitAfter(plain, "\n\n"); len(lines) != 4 || !strings.HasPrefix(lines[0], "retry: ") ||
		lines[1] != "data: 1\n\n" || !strings.HasPrefix(lines[2], "retry: ") {
		t.Errorf("the stream says %q", plain)
	}
}

func TestWhetherAStreamIsPackedIsSaidInItsHead(t *testing.T) {
	for name, c := range map[string]struct {
		options        Options
		accept         string
		encoding, vary string
	}{
		"takes it":     {accept: "gzip", encoding: "gzip", vary: "Accept-Encoding"},
		"does not":     {accept: "gzip;q=0", vary: "Accept-Encoding"},
		"says nothing": {vary: "Accept-Encoding"},
		"switched off": {options: Options{NoGzip: true}, accept: "gzip"},
		"zstd":         {options: Options{Zstd: true}, accept: "gzip, deflate, br, zstd", encoding: "zstd", vary: "Accept-Encoding"},
		"zstd, off":    {accept: "gzip, deflate, br, zstd", encoding: "gzip", vary: "Accept-Encoding"},
		"zstd alone":   {options: Options{Zstd: true, NoGzip: true}, accept: "gzip", vary: "Accept-Encoding"},
	} {
		h, _ := newTestHandler(t, c.options)
		r := httptest.NewRequest(http.MethodHead, "/s?format=batch", nil)
		r.Header.Set("Accept-Encoding", c.accept)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if got := rec.Header(); got.Get("Content-Encoding") != c.encoding || got.Get("Vary") != c.vary {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestThoseWhoAreShedAreToldInPlainBytes(t *testing.T) {
	h, _ := newTestHandler(t, Options{MaxStreams: 1})
	if err := h.admit(clientOf(peer(httptest.NewRequest(http.MethodGet, "/s", nil)))); err != nil {
		t.Fatal(err)
	}
	defer h.streams.Release(clientOf(peer(httptest.NewRequest(http.MethodGet, "/s", nil))))
	r := httptest.NewRequest(http.MethodGet, "/s", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	r.Header.Set("Accept", ContentType)
	r.Header.Set("User-Agent", "Mozilla/5.0")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Header().Get("Content-Encoding") != "" || !strings.HasPrefix(rec.Body.String(), "retry: ") {
		t.Errorf("%v %q", rec.Header(), rec.Body)
	}
}

// lockstep gives a packed stream three events, each of which the reader must have before the next is made.
func lockstep(t *testing.T, v *fakeViewer, c *coding, body io.Reader) {
	t.Helper()
	for i := range 3 {
		v.chunks <- c.pack([]byte(packedEvent(i)))
		readUntil(t, body, packedEvent(i))
	}
	v.chunks <- c.pack([]byte("data: small\n\n")) // stored
	readUntil(t, body, "data: small\n\n")
}

func TestGoReadsEachEventAsItComes(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, h http.Handler) *httptest.Server{
		"HTTP/1.1": func(_ *testing.T, h http.Handler) *httptest.Server { return httptest.NewServer(h) },
		"HTTP/2": func(_ *testing.T, h http.Handler) *httptest.Server {
			srv := httptest.NewUnstartedServer(h)
			srv.EnableHTTP2 = true
			srv.StartTLS()
			return srv
		},
		"a writer that cannot be taken over": func(_ *testing.T, h http.Handler) *httptest.Server {
			return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(noHijack{w}, r) }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, f := newTestHandler(t, Options{})
			srv := start(t, h)
			defer srv.Close()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil) // Go's client asks for gzip by itself
			res, err := srv.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if !res.Uncompressed {
				t.Fatalf("the stream is not compressed: %v", res.Header)
			}
			lockstep(t, f.viewer(t, 0), gzipped, res.Body)
			f.viewer(t, 0).Close()
			if rest, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(string(rest), "retry: ") {
				t.Errorf("the end is %q, %v", rest, err) // no trailer: see compress.go
			}
		})
	}
}

func TestAPackedStreamThatIsCutAnywhereIsReadAsFarAsItCame(t *testing.T) {
	want := packedEvent(1) + packedEvent(2)
	stream := append(bytes.Clone(gzipHeader), pack([]byte(packedEvent(1)))...)
	first := len(stream)
	stream = append(stream, pack([]byte(packedEvent(2)))...)
	for n := len(gzipHeader); n <= len(stream); n++ {
		r, err := gzip.NewReader(bytes.NewReader(stream[:n]))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(r)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(want, string(plain)) {
			t.Fatalf("cut at %d: %v, %q", n, err, plain)
		}
		if n >= first && !strings.HasPrefix(string(plain), packedEvent(1)) {
			t.Fatalf("cut at %d: the piece before is not whole", n)
		}
	}
}

func TestCurlAndNodeReadEachEventAsItComes(t *testing.T) {
	const nodeFetch = `
fetch(process.argv[1]).then(async (r) => {
  if (r.headers.get('content-encoding') !== 'gzip') throw new Error('not compressed');
  for await (const chunk of r.body) process.stdout.write(chunk);
}).catch((e) => { console.error(e); process.exit(1); })`
	const nodeZlib = `
require('http').get(process.argv[1], { headers: { 'Accept-Encoding': 'gzip' } }, (r) => {
  r.pipe(require('zlib').createGunzip()).on('error', () => {}).pipe(process.stdout);
})`
	for name, command := range map[string][]string{
		"curl":        {"curl", "-sN", "--compressed"},
		"curl, zstd":  {"curl", "-sN", "--compressed"}, // Debian's takes both
		"node, fetch": {"node", "-e", nodeFetch},
		"node, zlib":  {"node", "-e", nodeZlib},
	} {
		coding, options := gzipped, Options{}
		if name == "curl, zstd" {
			coding, options.Zstd = zstdCoded, true
		}
		t.Run(name, func(t *testing.T) {
			path, err := exec.LookPath(command[0])
			if err != nil {
				if os.Getenv("CI") != "" {
					t.Fatalf("%s is needed", command[0])
				}
				t.Skipf("%s is not installed", command[0])
			}
			h, f := newTestHandler(t, options)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, path, append(command[1:], "http://"+serve(t, h)+"/")...)
			cmd.Stderr = t.Output()
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			body := bufio.NewReader(out)
			v := f.viewer(t, 0)
			if v.format != coding.plain {
				t.Fatalf("it was given %q", v.format.Name())
			}
			lockstep(t, v, coding, body)
			f.viewer(t, 0).Close()
			rest, err := io.ReadAll(body)
			if err != nil || !strings.HasPrefix(string(rest), "retry: ") {
				t.Errorf("the end is %q, %v", rest, err)
			}
			if err := cmd.Wait(); err != nil && name != "node, fetch" {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// BenchmarkPack is what a tick of so many assets costs once, for all viewers that take the coding.
func BenchmarkPack(b *testing.B) {
	for _, coding := range []*coding{gzipped, zstdCoded} {
		b.Run(coding.name, func(b *testing.B) { benchmarkPack(b, coding) })
	}
}

func benchmarkPack(b *testing.B, coding *coding) {
	b.Helper()
	for _, assets := range []int{1, 5, 50, 1000} {
		b.Run(fmt.Sprintf("assets=%d", assets), func(b *testing.B) {
			var piece []byte
			for i := range assets {
				piece = fmt.Appendf(piece, `data: {"id":"truck-%d","fleet":"north","status":"online","at":17953535%05d,"received":17953535%05d,`+
					`"lat":%.5f,"lon":%.5f,"altitude":%d,"speed":%.1f,"heading":%d,"accuracy":5,"battery":%d,"metrics":{"fuel":%.1f}}`+"\n\n",
					i*7919%10000, i*31%99991, i*37%99991, 48+float64(i*613%9973)/1e4, 2+float64(i*929%9967)/1e4, i*13%300, float64(i*17%300)/10,
					i*29%360, i*11%100, float64(i*19%500)/10)
			}
			b.SetBytes(int64(len(piece)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n = len(coding.pack(piece))
			}
			b.ReportMetric(float64(len(piece))/float64(n), "times-smaller")
		})
	}
}
