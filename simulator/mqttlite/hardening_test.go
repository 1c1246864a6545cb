package mqttlite

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestHostileBytesAreErrors(t *testing.T) {
	for name, c := range map[string]struct {
		v     Version
		bytes string
		want  error
	}{
		"length of five bytes":            {V311, `30 ffffffff 01`, ErrMalformed},
		"256 MB announced":                {V311, `30 ffffff7f`, ErrTooLarge},
		"reserved flags":                  {V311, `41 02 0001`, ErrMalformed},
		"QoS 3":                           {V311, `36 05 0001 61 0001`, ErrMalformed},
		"QoS 2":                           {V311, `34 05 0001 61 0001`, ErrMalformed},
		"packet id 0":                     {V311, `32 05 0001 61 0000`, ErrMalformed},
		"topic beyond the packet":         {V311, `30 03 00ff 61`, ErrMalformed},
		"empty topic":                     {V311, `30 02 0000`, ErrMalformed},
		"a client's packet":               {V311, `c0 00`, ErrMalformed},
		"kind 0":                          {V311, `00 00`, ErrMalformed},
		"AUTH":                            {V5, `f0 00`, ErrMalformed},
		"PINGRESP with a body":            {V311, `d0 01 00`, ErrMalformed},
		"PUBACK of three bytes":           {V311, `40 03 0001 00`, ErrMalformed},
		"PUBACK of id 0":                  {V5, `40 02 0000`, ErrMalformed},
		"SUBACK without codes":            {V311, `90 02 0001`, ErrMalformed},
		"CONNACK with reserved bits":      {V311, `20 02 02 00`, ErrMalformed},
		"bytes after CONNACK":             {V311, `20 03 00 00 00`, ErrMalformed},
		"DISCONNECT of a 3.1.1 server":    {V311, `e0 00`, ErrMalformed},
		"unknown property":                {V5, `20 05 00 00 02 7f 00`, ErrMalformed},
		"properties beyond the packet":    {V5, `20 03 00 00 05`, ErrMalformed},
		"property cut short":              {V5, `20 05 00 00 02 21 00`, ErrMalformed},
		"property length of six bytes":    {V5, `20 08 00 00 ffffffffff 01`, ErrMalformed},
		"end within a header":             {V311, `30`, io.ErrUnexpectedEOF},
		"end within a body":               {V311, `30 05 0001`, io.ErrUnexpectedEOF},
		"end within a body of its own":    {V311, `30 ac02 0001`, io.ErrUnexpectedEOF},
		"user property with half a value": {V5, `20 08 00 00 05 26 0001 61 00`, ErrMalformed},
	} {
		if got, err := readAll(c.v, bytes.NewReader(unhex(t, c.bytes))); !errors.Is(err, c.want) || len(got) != 0 {
			t.Errorf("%s: %d packets, error %v", name, len(got), err)
		}
	}
}

func TestABrokenReaderDoesNotSpin(t *testing.T) {
	r := packetReader{src: readerFunc(func([]byte) (int, error) { return 0, nil }), max: 10}
	if _, err := r.next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("error %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func FuzzPacketReader(f *testing.F) {
	for _, s := range []string{
		`20 02 01 00`, `40 02 1234`, `32 09 0003 612f62 0007 6869`, `90 03 000a 01`, `d0 00`, `30 ef07 0005 612f622f63`,
		`20 1f 00 00 1c 21 0014 24 01 25 00 13 001e 27 000003e8 26 0001 61 0001 62 1f 0003 6f6b2e`,
		`32 14 0001 63 0005 0a 08 0003 722f31 09 0001 39 78 79 7a 7a`, `e0 01 8d`, `30 ffffffff 01`, `40 04 0009 10 00`,
	} {
		f.Add(true, unhex(f, s))
		f.Add(false, unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, five bool, data []byte) {
		v := V311
		if five {
			v = V5
		}
		whole, errWhole := readAll(v, bytes.NewReader(data))
		cut, errCut := readAll(v, &chunks{data: data})
		if len(whole) != len(cut) || (errWhole == io.EOF) != (errCut == io.EOF) { //nolint:errorlint // bare by contract
			t.Fatalf("%d packets and %v at once, %d and %v in pieces", len(whole), errWhole, len(cut), errCut)
		}
		for i := range whole {
			if p := &whole[i]; p.kind == typePublish {
				checkPublish(t, v, p)
			}
		}
	})
}

// checkPublish writes what was read and reads it again.
func checkPublish(t *testing.T, v Version, p *packet) {
	t.Helper()
	again, err := readAll(v, bytes.NewReader(appendPublish(nil, v, &p.message, p.id)))
	if err != io.EOF || len(again) != 1 { //nolint:errorlint // bare by contract
		t.Fatalf("%+v was written as %d packets, %v", p, len(again), err)
	}
	m := again[0].message
	if m.Topic != p.message.Topic || !bytes.Equal(m.Payload, p.message.Payload) || m.QoS != p.message.QoS || again[0].id != p.id {
		t.Fatalf("%+v became %+v", p.message, m)
	}
}

// chunks hands out 1, 2, 3, 1, 2, … bytes.
type chunks struct {
	data []byte
	n    int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	c.n = c.n%3 + 1
	n := copy(p[:min(len(p), c.n)], c.data)
	c.data = c.data[n:]
	return n, nil
}
