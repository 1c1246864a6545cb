package mqttin

import (
	"bytes"
	"encoding/hex"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/dialect"
)

// sparkplugRouter understands Sparkplug alone.
func sparkplugRouter(t *testing.T) *dialect.Router {
	t.Helper()
	router, err := dialect.New(dialect.Options{Presets: []dialect.PresetChoice{{Name: "sparkplug"}}})
	if err != nil {
		t.Fatal(err)
	}
	return router
}

// dataWithAlias is an NDATA whose only metric has an alias and no name. Source of the form: eclipse/tahu's protobuf.
const dataWithAlias = "08eaf2f5a8a02b" + "1204" + "1003" + "7001" + "1802"

func TestANodeBehindAnExternalBrokerIsAskedForItsBirth(t *testing.T) {
	o := startOuter(t)
	d := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + o.address}, ClientID: "door", Router: sparkplugRouter(t)})
	d.ready(t)
	nc, err := net.Dial("tcp", o.address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	node := &raw{Conn: nc, t: t, version: 4}
	node.send(connectPacket(connectOptions{version: 4, id: "node"}))
	node.read()
	node.send(subscribePacket(4, 1, "spBv1.0/g/NCMD/n"))
	node.read()
	body, err := hex.DecodeString(dataWithAlias)
	if err != nil {
		t.Fatal(err)
	}
	node.publish("spBv1.0/g/NDATA/n", string(body), 0, 0)
	_, packet := node.read()
	checkRebirth(t, hex.EncodeToString(packet[len(str("spBv1.0/g/NCMD/n")):]))
	eventually(t, "the counter", func() bool { return d.Stats().Events[RequestSent] == 1 })
}

func checkRebirth(t *testing.T, payload string) {
	t.Helper()
	raw, err := hex.DecodeString(payload)
	if err != nil || !bytes.Contains(raw, []byte("Node Control/Rebirth")) {
		t.Errorf("the node was told %q, %v", payload, err)
	}
}

// TestANodeOfOursIsAskedForItsBirthIfItListens: a client is sent nothing that it did not subscribe to.
func TestANodeOfOursIsAskedForItsBirthIfItListens(t *testing.T) {
	body, err := hex.DecodeString(dataWithAlias)
	if err != nil {
		t.Fatal(err)
	}
	for _, filter := range []string{"spBv1.0/g/NCMD/n", "spBv1.0/g/NCMD/#", "spBv1.0/g/DCMD/n/#"} {
		for _, version := range []byte{4, 5} {
			h := startWith(t, Options{Router: sparkplugRouter(t)})
			node, _ := connect(t, h, connectOptions{id: "n", version: version})
			node.send(subscribePacket(version, 1, filter))
			if first, _ := node.read(); first != subackByte {
				t.Fatalf("%s: answer %x", filter, first)
			}
			node.publish("spBv1.0/g/NDATA/n", string(body), 0, 0)
			if !strings.Contains(filter, "NCMD") {
				eventually(t, "that nothing is sent is counted", func() bool { return h.event(RequestUnsent) == 1 })
				node.ping()
				continue
			}
			first, packet := node.read()
			topic := str("spBv1.0/g/NCMD/n")
			if first != 0x30 || !bytes.HasPrefix(packet, topic) {
				t.Fatalf("%s: %x %q", filter, first, packet)
			}
			checkRebirth(t, hex.EncodeToString(packet[len(topic):]))
		}
	}
}

func TestFiltersThatOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a/+/c", "a/b/+", true},
		{"a/+/c", "a/b/d", false},
		{"a/#", "a", true},
		{"a", "a/#", true},
		{"a/+", "a", false},
		{"#", "x/y", true},
		{"spBv1.0/+/NCMD/+", "spBv1.0/g/NCMD/n/#", true},
		{"spBv1.0/+/NCMD/+", "spBv1.0/g/DCMD/n/#", false},
		{"a/b", "a/b", true},
		{"a/b/c", "a/b", false},
	} {
		if overlap(c.a, c.b) != c.want || overlap(c.b, c.a) != c.want {
			t.Errorf("%s, %s: not %v", c.a, c.b, c.want)
		}
	}
}
