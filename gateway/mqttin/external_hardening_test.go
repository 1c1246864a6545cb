package mqttin

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// fake is a broker that lets everybody in, refuses subscriptions unless told otherwise, and sends bytes of the test's choice.
type fake struct {
	net.Listener
	greets []byte // in one write with the answer to CONNECT
	then   []byte // after an answer to a ping
	grants byte   // the code for a subscription, instead of a refusal
	acked  chan struct{}
}

func startFake(t *testing.T, then ...byte) *fake {
	t.Helper()
	f := &fake{then: then, grants: 0x87, acked: make(chan struct{}, 1)}
	f.start(t)
	return f
}

func (f *fake) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.Listener = l
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			f.serve(t, nc)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
}

func (f *fake) address() string { return f.Addr().String() }

func (f *fake) serve(t *testing.T, nc net.Conn) {
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	r := &raw{Conn: nc, t: t}
	for {
		first, body, err := r.tryRead()
		if err != nil {
			return
		}
		switch first & 0xf0 {
		case 0x10:
			_, err = nc.Write(append([]byte{0x20, 3, 1, 0, 0}, f.greets...))
		case 0x80:
			filters := 4
			suback := append([]byte{0x90, byte(3 + filters)}, body[0], body[1], 0)
			_, err = nc.Write(append(suback, bytes.Repeat([]byte{f.grants}, filters)...))
		case 0x40:
			select {
			case f.acked <- struct{}{}:
			default:
			}
		case 0xc0:
			_, err = nc.Write(append([]byte{0xd0, 0}, f.then...))
		}
		if err != nil {
			return
		}
	}
}

// A packet that is larger than we announced ends the connection before memory is taken for it.
func TestABrokerThatSendsTooMuchLosesItsConnection(t *testing.T) {
	f := startFake(t, 0x30, 0xff, 0xff, 0xff, 0x7f)
	d := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + f.address()}, ClientID: "door", Limits: Limits{PacketBytes: 4096}})
	eventually(t, "the loss", func() bool { return d.event(UpstreamLost) > 0 })
}

func TestOptionsThatCannotBeMeantAreRefusedWithoutTheirSecrets(t *testing.T) {
	good := UpstreamOptions{URLs: []string{"mqtt://h"}, ClientID: "d", Inlet: sink{}}
	if _, err := NewUpstream(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*UpstreamOptions){
		"no inlet":       func(o *UpstreamOptions) { o.Inlet = nil },
		"no id":          func(o *UpstreamOptions) { o.ClientID = "" },
		"a NUL":          func(o *UpstreamOptions) { o.ClientID = "a\x00" },
		"no address":     func(o *UpstreamOptions) { o.URLs = nil },
		"no scheme":      func(o *UpstreamOptions) { o.URLs = []string{"u:secret@h:1"} },
		"http":           func(o *UpstreamOptions) { o.URLs = []string{"http://u:secret@h:1"} },
		"bad port":       func(o *UpstreamOptions) { o.URLs = []string{"mqtt://u:secret@h:port"} },
		"bad escape":     func(o *UpstreamOptions) { o.URLs = []string{"mqtt://u:secret%zz@h"} },
		"no host":        func(o *UpstreamOptions) { o.URLs = []string{"mqtt://u:secret@:1"} },
		"a path":         func(o *UpstreamOptions) { o.URLs = []string{"mqtt://u:secret@h/secret"} },
		"a query":        func(o *UpstreamOptions) { o.URLs = []string{"mqtt://h?password=secret"} },
		"a group with /": func(o *UpstreamOptions) { o.Group = "a/b" },
		"a bad filter":   func(o *UpstreamOptions) { o.Topics = []string{"a/#/b"} },
		"a share":        func(o *UpstreamOptions) { o.Topics = []string{"$share/g/a"} },
	} {
		o := good
		change(&o)
		_, err := NewUpstream(o)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddressesAreRead(t *testing.T) {
	bare, e, err := parseEndpoint("mqtts://ann:p%40ss@broker.example")
	if err != nil || e.address != "broker.example:8883" || !e.secure || e.user != "ann" || string(e.password) != "p@ss" || bare.String() != "mqtts://broker.example:8883" {
		t.Errorf("%v %+v %v", bare, e, err)
	}
	if _, e, err = parseEndpoint("mqtt://[::1]:77/"); err != nil || e.address != "[::1]:77" || e.secure || e.user != "" {
		t.Errorf("%+v %v", e, err)
	}
}

func TestAClientIDStays(t *testing.T) {
	dir := t.TempDir()
	first, err := StableClientID(dir)
	if err != nil || !strings.HasPrefix(first, "fleetcast-") {
		t.Fatalf("%q %v", first, err)
	}
	if again, err := StableClientID(dir); err != nil || again != first {
		t.Errorf("%q, then %q (%v)", first, again, err)
	}
	if other, err := StableClientID(t.TempDir()); err != nil || other == first {
		t.Errorf("%q in another directory (%v)", other, err)
	}
	if _, err := StableClientID(dir + "/missing"); err == nil {
		t.Error("no directory, and no error")
	}
}

// FuzzFraming holds the bytes that come through the bound on packets against paho's own parser of lengths.
func FuzzFraming(f *testing.F) {
	f.Add([]byte{0xd0, 0, 0x30, 3, 0, 1, 'a', 0xd0, 0})
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f})
	f.Add([]byte{0x30, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01})
	f.Add(append([]byte{0x30, 0x80, 0x01}, make([]byte, 128)...))
	f.Fuzz(func(t *testing.T, stream []byte) {
		const most = 300
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := newUpstreamConn(ours, "h", time.Second, most)
		defer func() { _ = c.Close() }()
		c.start()
		c.reader.Reset(iotest.OneByteReader(bytes.NewReader(stream)))
		got, err := io.ReadAll(c)
		if !bytes.HasPrefix(stream, got) {
			t.Fatalf("read % x of % x", got, stream)
		}
		if err == nil && len(got) != len(stream) {
			t.Fatalf("read %d bytes of %d", len(got), len(stream))
		}
		for rest := stream; len(rest) > 1; {
			length, n := 0, 1
			for shift := 0; n < len(rest) && n < 5; n++ {
				length |= int(rest[n]&0x7f) << shift
				shift += 7
				if rest[n] < 0x80 {
					break
				}
			}
			if length > most {
				if err == nil && n < len(rest) {
					t.Fatalf("a packet of %d bytes passed", length)
				}
				return
			}
			rest = rest[min(len(rest), n+1+length):]
		}
	})
}

func TestAPacketIsWrittenAtOnce(t *testing.T) {
	ours, theirs := net.Pipe()
	c := newUpstreamConn(ours, "h", time.Second, 100)
	defer func() { _ = c.Close() }()
	done := make(chan error, 1)
	go func() {
		_, err := (&packets.Puback{PacketID: 7, Properties: &packets.Properties{}}).WriteTo(c)
		done <- err
	}()
	b := make([]byte, 100)
	n, err := theirs.Read(b) // a pipe gives one write at a time
	if err != nil || n < 4 || b[0] != 0x40 || int(b[1]) != n-2 {
		t.Errorf("% x %v", b[:n], err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	// Whoever does not read loses the connection.
	c.write = time.Millisecond
	_, _ = (&packets.Puback{PacketID: 8, Properties: &packets.Properties{}}).WriteTo(c)
	<-c.closed
}

// Row 28.
func TestRetainedTelemetryIsMarked(t *testing.T) {
	u, l := unservedUpstream(t)
	for _, retained := range []bool{true, false} {
		p := publication(`{"n":1}`)
		p.Retain = retained
		u.receive(l, p)
	}
	next := u.committer.next.entries
	if len(next) != 2 || !next[0].Reading.Retained || next[1].Reading.Retained {
		t.Errorf("%+v", next)
	}
}
