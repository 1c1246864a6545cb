package mqttlite

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestConnectHasTheStandardsBytes(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"3.1.1 clean", Options{Version: V311, ClientID: "d", KeepAlive: time.Minute, CleanStart: true}, `
			10 0d  0004 4d515454 04 02 003c  0001 64`},
		{"3.1.1 will, user and password", Options{
			Version: V311, ClientID: "d", Username: "u", Password: []byte("p"), KeepAlive: 1500 * time.Millisecond,
			Will: &Will{Topic: "t", Payload: []byte("off"), QoS: 1, Retain: true},
		}, `
			10 1b  0004 4d515454 04 ec 0002  0001 64  0001 74 0003 6f6666  0001 75  0001 70`},
		{"5 clean", Options{Version: V5, ClientID: "d", CleanStart: true}, `
			10 0e  0004 4d515454 05 02 0000 00  0001 64`},
		{"5 will and session expiry", Options{
			Version: V5, ClientID: "d", SessionExpiry: time.Hour, KeepAlive: 100000 * time.Second,
			Will: &Will{Topic: "t", Payload: []byte("off")},
		}, `
			10 1c  0004 4d515454 05 04 ffff 05 11 00000e10  0001 64  00 0001 74 0003 6f6666`},
	} {
		got, err := appendConnect(nil, &c.o)
		if err != nil || !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s: %x, %v", c.name, got, err)
		}
	}
}

func TestPublishHasTheStandardsBytes(t *testing.T) {
	for _, c := range []struct {
		name string
		v    Version
		m    Message
		want string
	}{
		{"3.1.1 QoS 0", V311, Message{Topic: "a/b", Payload: []byte("hi")}, `30 07 0003 612f62 6869`},
		{"3.1.1 QoS 1 retained", V311, Message{Topic: "a/b", Payload: []byte("hi"), QoS: 1, Retain: true}, `33 09 0003 612f62 1234 6869`},
		{"5 QoS 0", V5, Message{Topic: "a/b", Payload: []byte("hi")}, `30 08 0003 612f62 00 6869`},
		{"5 QoS 1", V5, Message{Topic: "a/b", Payload: []byte("hi"), QoS: 1}, `32 0a 0003 612f62 1234 00 6869`},
	} {
		if got := appendPublish(nil, c.v, &c.m, 0x1234); !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s: %x", c.name, got)
		}
	}
	long := appendPublish(nil, V311, &Message{Topic: "t", Payload: make([]byte, 200)}, 0)
	if !bytes.HasPrefix(long, unhex(t, "30 cb01 0001 74")) {
		t.Errorf("a length of two bytes: %x", long[:6])
	}
}

func TestSmallPacketsHaveTheStandardsBytes(t *testing.T) {
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"SUBSCRIBE 3.1.1", appendSubscribe(nil, V311, 10, "a/#", 1), `82 08 000a 0003 612f23 01`},
		{"SUBSCRIBE 5", appendSubscribe(nil, V5, 10, "a/#", 1), `82 09 000a 00 0003 612f23 01`},
		{"PUBACK", appendPuback(nil, 0x1234), `40 02 1234`},
		{"PINGREQ", pingreq, `c0 00`},
		{"DISCONNECT", disconnect, `e0 00`},
	} {
		if !bytes.Equal(c.got, unhex(t, c.want)) {
			t.Errorf("%s: %x", c.name, c.got)
		}
	}
}

func readAll(v Version, src io.Reader) ([]packet, error) {
	r := packetReader{src: src, version: v, max: 4096}
	var out []packet
	for {
		p, err := r.next()
		if err != nil {
			return out, err
		}
		p.message.Payload = bytes.Clone(p.message.Payload)
		p.codes = bytes.Clone(p.codes)
		out = append(out, p)
	}
}

func TestPacketsAreReadHoweverTheyAreCut(t *testing.T) {
	big := strings.Repeat("78", 1000)
	stream := unhex(t, `20 02 01 00`+
		`40 02 1234`+
		`32 09 0003 612f62 0007 6869`+
		`90 03 000a 01`+
		`d0 00`+
		`30 ef07 0005 612f622f63`+big)
	for name, src := range map[string]io.Reader{
		"at once":         bytes.NewReader(stream),
		"byte by byte":    iotest.OneByteReader(bytes.NewReader(stream)),
		"with late error": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		got, err := readAll(V311, src)
		if err != io.EOF || len(got) != 6 { //nolint:errorlint // a bare EOF is the contract
			t.Fatalf("%s: %d packets, %v", name, len(got), err)
		}
		if a := got[0].connack; !a.SessionPresent || a.Code != 0 || a.KeepAlive >= 0 {
			t.Errorf("%s: connack %+v", name, a)
		}
		if got[1].kind != typePuback || got[1].id != 0x1234 {
			t.Errorf("%s: puback %+v", name, got[1])
		}
		if m := got[2].message; m.Topic != "a/b" || string(m.Payload) != "hi" || m.QoS != 1 || got[2].id != 7 {
			t.Errorf("%s: publish %+v", name, got[2])
		}
		if got[3].id != 10 || !bytes.Equal(got[3].codes, []byte{1}) {
			t.Errorf("%s: suback %+v", name, got[3])
		}
		if m := got[5].message; m.Topic != "a/b/c" || len(m.Payload) != 1000 {
			t.Errorf("%s: big publish of %d bytes on %q", name, len(m.Payload), m.Topic)
		}
	}
}

func TestPropertiesOfMQTT5AreUnderstood(t *testing.T) {
	// CONNACK with receive maximum 20, maximum QoS 1, retain 0, server keep alive 30, maximum packet 1000, a user
	// property and a reason string.
	got, err := readAll(V5, bytes.NewReader(unhex(t, `
		20 1f 00 00 1c  21 0014  24 01  25 00  13 001e  27 000003e8  26 0001 61 0001 62  1f 0003 6f6b2e`)))
	if err != io.EOF || len(got) != 1 { //nolint:errorlint // a bare EOF is the contract
		t.Fatalf("%d packets, %v", len(got), err)
	}
	want := Connack{ReceiveMaximum: 20, MaximumQoS: 1, RetainRefused: true, KeepAlive: 30 * time.Second, MaximumPacket: 1000}
	if got[0].connack != want {
		t.Errorf("connack %+v", got[0].connack)
	}
	got, err = readAll(V5, bytes.NewReader(unhex(t, `
		32 14  0001 63 0005 0a  08 0003 722f31  09 0001 39  78 79 7a 7a
		40 04 0009 10 00   40 03 000a 97   e0 01 8d`)))
	if err != io.EOF || len(got) != 4 { //nolint:errorlint // a bare EOF is the contract
		t.Fatalf("%d packets, %v", len(got), err)
	}
	if m := got[0].message; m.ResponseTopic != "r/1" || string(m.CorrelationData) != "9" || string(m.Payload) != "xyzz" {
		t.Errorf("publish %+v", m)
	}
	if got[1].code != 0x10 || got[2].code != 0x97 || got[3].code != 0x8d {
		t.Errorf("codes %x %x %x", got[1].code, got[2].code, got[3].code)
	}
}

func TestStringsThatTheWireCannotHoldAreRefused(t *testing.T) {
	long := strings.Repeat("x", 65536)
	if _, err := appendConnect(nil, &Options{ClientID: long}); !errors.Is(err, ErrTooLong) {
		t.Errorf("client id: %v", err)
	}
	if _, err := appendConnect(nil, &Options{Will: &Will{Topic: long}}); !errors.Is(err, ErrTooLong) {
		t.Errorf("will: %v", err)
	}
	if err := (&Client{}).Publish(Message{Topic: long}, 0); !errors.Is(err, ErrTooLong) {
		t.Errorf("topic: %v", err)
	}
}
