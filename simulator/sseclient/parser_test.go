package sseclient

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tmaxmax/go-sse"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type seen struct{ kind, data, id string }

func readAll(src io.Reader, size int) ([]seen, *Parser, error) {
	p := NewParser(src, size, 1<<16)
	var out []seen
	for {
		e, err := p.Next()
		if err != nil {
			return out, p, err
		}
		out = append(out, seen{e.Type, string(e.Data), e.ID})
	}
}

func TestStreamsMeanWhatTheStandardSays(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		want   []seen
		lastID string
		retry  time.Duration
	}{
		"a message":                        {"data: a\n\n", []seen{{"", "a", ""}}, "", -1},
		"a message named message":          {"event: message\ndata: a\n\n", []seen{{"", "a", ""}}, "", -1},
		"the standard's stock ticker":      {"data: YHOO\ndata: +2\ndata: 10\n\n", []seen{{"", "YHOO\n+2\n10", ""}}, "", -1},
		"the standard's four blocks":       {": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n", []seen{{"", "first event", "1"}, {"", "second event", ""}, {"", " third event", ""}}, "", -1},
		"the standard's empty data":        {"data\n\ndata\ndata\n\ndata:", []seen{{"", "", ""}, {"", "\n", ""}}, "", -1},
		"the standard's space":             {"data:test\n\ndata: test\n\n", []seen{{"", "test", ""}, {"", "test", ""}}, "", -1},
		"an id without data":               {"id: 7\n\ndata: x\n\n", []seen{{"", "x", "7"}}, "7", -1},
		"an id with NUL is ignored":        {"id: 1\n\nid: a\x00b\ndata: x\n\n", []seen{{"", "x", "1"}}, "1", -1},
		"an unfinished block is dropped":   {"id: 1\ndata: x\n\nid: 2\ndata: y\n", []seen{{"", "x", "1"}}, "1", -1},
		"CR, LF and CRLF":                  {"data: a\r\rdata: b\r\n\r\ndata: c\n\n", []seen{{"", "a", ""}, {"", "b", ""}, {"", "c", ""}}, "", -1},
		"a byte order mark":                {"\xef\xbb\xbfdata: a\n\n", []seen{{"", "a", ""}}, "", -1},
		"half a byte order mark":           {"\xef\xbbdata: a\n\ndata: b\n\n", []seen{{"", "b", ""}}, "", -1},
		"a name holds for its block only":  {"event: ready\ndata: {}\n\ndata: x\n\n", []seen{{"ready", "{}", ""}, {"", "x", ""}}, "", -1},
		"a name without data is forgotten": {"event: ready\n\ndata: x\n\n", []seen{{"", "x", ""}}, "", -1},
		"an unknown name":                  {"event: other\ndata: x\n\n", []seen{{"other", "x", ""}}, "", -1},
		"retry":                            {"retry: 1500\n\n", nil, "", 1500 * time.Millisecond},
		"retry that is no number":          {"retry: 1.5\nretry: -1\nretry:\n\n", nil, "", -1},
		"unknown fields and odd colons":    {"foo: bar\n:\n::\ndata : x\ndata: a:b\n\n", []seen{{"", "a:b", ""}}, "", -1},
	} {
		for cut, src := range map[string]io.Reader{
			"whole":        strings.NewReader(c.stream),
			"byte by byte": iotest.OneByteReader(strings.NewReader(c.stream)),
			"late error":   iotest.DataErrReader(strings.NewReader(c.stream)),
		} {
			got, p, err := readAll(src, 4)
			if err != io.EOF || fmt.Sprint(got) != fmt.Sprint(c.want) || p.LastEventID() != c.lastID || p.Retry() != c.retry { //nolint:errorlint // a bare EOF is the contract
				t.Errorf("%s, %s: %q, last id %q, retry %v, %v", name, cut, got, p.LastEventID(), p.Retry(), err)
			}
		}
	}
}

// An event whose blank line ends in CR must not wait for a byte that may come much later.
func TestAnEventIsThereWithItsLastByte(t *testing.T) {
	r, w := io.Pipe()
	p := NewParser(r, 0, 0)
	go func() {
		_, _ = w.Write([]byte("data: a\r\n\r"))
	}()
	if e, err := p.Next(); err != nil || string(e.Data) != "a" {
		t.Errorf("%q, %v", e.Data, err)
	}
	go func() {
		_, _ = w.Write([]byte("\ndata: b\n\n"))
		_ = w.Close()
	}()
	if e, err := p.Next(); err != nil || string(e.Data) != "b" {
		t.Errorf("%q, %v", e.Data, err)
	}
}

func TestHostileStreamsAreBounded(t *testing.T) {
	for name, src := range map[string]io.Reader{
		"a line without end":  endless("x"),
		"data without end":    endless("data: 0123456789\n"),
		"an event name alone": io.MultiReader(strings.NewReader("event:"), endless("e")),
	} {
		p := NewParser(src, 16, 4096)
		if _, err := p.Next(); !errors.Is(err, ErrTooLong) || cap(p.buf) > 8192 || cap(p.data) > 16384 {
			t.Errorf("%s: %v with %d and %d bytes", name, err, cap(p.buf), cap(p.data))
		}
	}
	stuck := NewParser(readerFunc(func([]byte) (int, error) { return 0, nil }), 0, 0)
	if _, err := stuck.Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that returns nothing: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func endless(unit string) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n := 0
		for len(p)-n >= len(unit) {
			n += copy(p[n:], unit)
		}
		if n == 0 {
			n = copy(p, unit)
		}
		return n, nil
	})
}

// oracle reads with a library. It dispatches blocks without data, which the standard does not (section 9.2.6), so events
// of empty data are left out on both sides; the table above has them.
func oracle(stream []byte) []seen {
	var out []seen
	for e, err := range sse.Read(bytes.NewReader(stream), &sse.ReadConfig{MaxEventSize: 1 << 17}) {
		if err != nil {
			break
		}
		if e.Type == "message" {
			e.Type = ""
		}
		out = append(out, seen{e.Type, e.Data, e.LastEventID})
	}
	return withData(out)
}

func withData(all []seen) []seen {
	var out []seen
	for _, s := range all {
		if s.data != "" {
			out = append(out, s)
		}
	}
	return out
}

func FuzzParser(f *testing.F) {
	for _, s := range []string{
		"data: a\n\n", "\xef\xbb\xbfdata: a\r\n\r\n", "id: 1\nevent: ready\ndata: {\"a\":1}\n\nretry: 10\n\n: c\n\n",
		"data: a\rdata: b\r\rdata\n\n", "id\ndata: x\n\nid: a\x00\ndata: y\n\n", "data:  two\ndata:\n\n", "event: reset\ndata: x\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		got, p, err := readAll(bytes.NewReader(stream), 64)
		if len(stream) >= 1<<16 {
			return // beyond the limits, on which the two need not agree
		}
		if err != io.EOF { //nolint:errorlint // a bare EOF is the contract
			t.Fatalf("error %v", err)
		}
		pieces, q, _ := readAll(iotest.OneByteReader(bytes.NewReader(stream)), 3)
		if fmt.Sprint(pieces) != fmt.Sprint(got) || p.LastEventID() != q.LastEventID() || p.Retry() != q.Retry() {
			t.Fatalf("at once %q, byte by byte %q", got, pieces)
		}
		if bytes.Contains(stream[min(1, len(stream)):], []byte("\xef\xbb\xbf")) {
			return // the library drops a byte order mark behind leading blank lines too
		}
		if want := oracle(stream); fmt.Sprint(withData(got)) != fmt.Sprint(want) {
			t.Fatalf("stream %q\ngot  %q\nwant %q", stream, withData(got), want)
		}
	})
}

func TestReadingAMessageAllocatesNothing(t *testing.T) {
	p := NewParser(endless("data: {\"id\":\"truck-17\",\"at\":1795353543237}\n\n"), 0, 0)
	n := testing.AllocsPerRun(1000, func() {
		if _, err := p.Next(); err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("a message allocates %v times", n)
	}
}

func BenchmarkParser(b *testing.B) {
	message := "data: " + strings.Repeat("x", 240) + "\n\n"
	p := NewParser(endless(message), 16<<10, 0)
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		if _, err := p.Next(); err != nil {
			b.Fatal(err)
		}
	}
}
