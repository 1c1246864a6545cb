package mqttin

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
)

// reason reads packets until the DISCONNECT of MQTT 5 and returns its code; 0: the connection ended without one.
func (r *raw) reason() byte {
	r.t.Helper()
	for {
		first, body, err := r.tryRead()
		switch {
		case err != nil:
			return 0
		case first == 0xe0 && len(body) > 0:
			return body[0]
		}
	}
}

func TestAPacketThatBreaksTheProtocolIsToldWhyInMQTT5(t *testing.T) {
	h := start(t, Limits{PacketBytes: 1000})
	qos3 := publishPacket(5, topicOne, `{}`, 1, 1, false)
	qos3[0] |= 0x06
	for name, c := range map[string]struct {
		packet []byte
		want   []byte
	}{
		"a SUBSCRIBE cut after its filter": {[]byte{0x82, 6, 0, 1, 0, 0, 1, 0x61}, []byte{0x81}},
		"QoS 3":                            {qos3, []byte{0x81, 0x82}},
		"DUP with QoS 0":                   {publishPacket(5, topicOne, `{}`, 0, 0, true), []byte{0x81, 0x82}},
		"packet id 0":                      {publishPacket(5, topicOne, `{}`, 1, 0, false), []byte{0x82}},
		"a second CONNECT":                 {connectPacket(connectOptions{version: 5, id: "x"}), []byte{0x82}},
		"a topic that is not UTF-8":        {publishPacket(5, "a\xff", `{}`, 1, 1, false), []byte{0x81, 0x90}},
		"a packet above the limit":         {publishPacket(5, topicOne, strings.Repeat("x", 2000), 1, 1, false), []byte{0x95}},
		"reserved bits":                    {[]byte{0xc1, 0}, []byte{0x81, 0x82}},
	} {
		r, _ := connect(t, h, connectOptions{version: 5, id: "bad"})
		r.send(c.packet)
		if got := r.reason(); bytes.IndexByte(c.want, got) < 0 {
			t.Errorf("%s: reason %#x, want one of % x", name, got, c.want)
		}
	}
	h.well(t)
}

func TestAUserNameThatIsNoTextIsRefused(t *testing.T) {
	auth := newFakeAuth()
	h := guarded(t, Options{}, auth)
	for _, name := range []string{"a\x00b", "\xff", "\xed\xa0\x80"} {
		r, body := attempt(t, h, connectOptions{version: 5, id: "x", user: name, password: "right"})
		if body != nil && body[1] < 0x80 {
			t.Errorf("%q: CONNACK % x", name, body)
		}
		r.gone()
	}
	if auth.asked.Load() != 0 {
		t.Error("the authenticator was asked about it")
	}
	h.well(t)
}

func TestWhatIsSentBehindARefusedConnectIsNotTaken(t *testing.T) {
	h := guarded(t, Options{}, newFakeAuth(aDevice("truck-1", "north")))
	r := dial(t, h)
	o := as("truck-1")
	o.password, o.keepalive = "wrong", 60
	_, _ = r.Write(append(connectPacket(o), publishPacket(5, "fleets/north/devices/truck-1/telemetry", `{}`, 1, 1, false)...))
	r.gone()
	h.counted(t, LoginFailed)
	h.well(t)
	if got := h.inlet.of(bus.KindReading, "truck-1"); len(got) != 0 {
		t.Errorf("it was taken: %+v", got)
	}
}

// delayed adds a delay to the will of a CONNECT of MQTT 5 without properties of its own.
func delayed(packet []byte, id string) []byte {
	at := bytes.Index(packet, str(id)) + len(str(id))
	body := append(append(bytes.Clone(packet[2:at]), 5, 0x18, 0, 0, 0, 60), packet[at+1:]...)
	return frame(0x10, body)
}

func TestAWillOnAnotherDevicesTopicRefusesTheConnect(t *testing.T) {
	h := guarded(t, Options{}, newFakeAuth(aDevice("truck-1", "north"), aDevice("truck-2", "north"), aGateway("lora", "north")))
	for _, topic := range []string{
		"fleets/north/devices/truck-2/status", "fleets/south/devices/truck-1/status", "fleets/north/devices/truck-1/commands/1", "$SYS/broker", "anything",
		"fleets/north/devices/+/status",
	} {
		for _, version := range []byte{4, 5} {
			o := as("truck-1")
			o.version, o.willTopic, o.will, o.retain = version, topic, "online", true
			if strings.Contains(topic, "+") { // no topic at all: ignored, as no broker would publish it
				r, _ := attempt(t, h, o)
				_ = r.Close()
				continue
			}
			code := byte(0x87)
			if version == 4 {
				code = 5
			}
			refusedWith(t, h, o, code, WillDenied)
		}
	}
	o := as("truck-1")
	o.willTopic, o.will, o.retain, o.keepalive = "fleets/north/devices/truck-2/status", "online", true, 60
	r := dial(t, h)
	r.send(delayed(connectPacket(o), o.id))
	if first, body := r.read(); first != 0x20 || body[1] != 0x87 {
		t.Errorf("with a delay: %#x % x", first, body)
	}
	o.willTopic, o.will = "fleets/north/devices/truck-1/status", "offline"
	r = dial(t, h)
	r.send(delayed(connectPacket(o), o.id))
	if first, body := r.read(); first != 0x20 || body[1] != 0 {
		t.Fatalf("its own: %#x % x", first, body)
	}
	_ = r.Close()
	eventually(t, "its own will", func() bool { return len(h.inlet.of(bus.KindStatus, "truck-1")) == 1 })
	if got := h.inlet.of(bus.KindStatus, "truck-2"); len(got) != 0 {
		t.Errorf("the will of another: %+v", got)
	}
}

func TestSubscriptionsBeyondTheCredentialAreRefusedOneByOne(t *testing.T) {
	for _, route := range []bool{false, true} {
		h := guarded(t, Options{Route: route}, newFakeAuth(aDevice("truck-1", "north")))
		r, _ := connect(t, h, as("truck-1"))
		filters := []string{
			"#", "$SYS/#", "+/+/cmd", "fleets/#", "fleets/north/devices/+/commands/#", "fleets/north/devices/truck-1/#", strings.Repeat("x", 65535),
			"$share/g/#", "$share/g/fleets/north/devices/truck-2/commands/#", "$share//fleets/north/devices/truck-1/commands/#", "$share/+/x", "$share/g", "$share/", "$share",
			"$SHARE/g/x", "fleets/north/devices/truck-1/commands/#",
		}
		body := []byte{0, 1, 0}
		for _, f := range filters {
			body = append(append(body, str(f)...), 1)
		}
		r.send(frame(0x82, body))
		codes := r.expect(0x90, 1)[3:]
		for i, f := range filters {
			if want := i == len(filters)-1; (codes[i] < 0x80) != want {
				t.Errorf("%.50q: %#x", f, codes[i])
			}
		}
		many, _ := connect(t, h, as("truck-1"))
		body = []byte{0, 1, 0}
		for i := range 10_000 {
			body = append(append(body, str(fmt.Sprint(i))...), 1)
		}
		many.send(frame(0x82, body))
		many.gone()
		h.counted(t, TooManyFilters)
		h.well(t)
	}
}

func TestASessionsSubscriptionsAreBounded(t *testing.T) {
	h := guarded(t, Options{}, newFakeAuth(aDevice("truck-1", "north")))
	r, _ := connect(t, h, as("truck-1"))
	for i := range uint16(maxSubscriptions + 1) {
		r.send(subscribePacket(5, i+1, fmt.Sprintf("fleets/north/devices/truck-1/commands/%d", i)))
		body := r.expect(0x90, i+1)
		if got := body[len(body)-1]; (got < 0x80) != (i < maxSubscriptions) {
			t.Fatalf("filter %d: %#x", i, got)
		}
	}
	h.well(t)
}

func TestASubscriberThatDoesNotReadHoldsUpNobody(t *testing.T) {
	h := guarded(t, Options{Route: true, Limits: Limits{Write: time.Minute, ClientMessages: 256}}, newFakeAuth(aDevice("truck-1", "north"), aClient("log", nil, []string{"#"})))
	deaf := h.pipe(t, as("log"))
	deaf.send(subscribePacket(5, 1, "fleets/#"))
	deaf.expect(0x90, 1)
	r, _ := connect(t, h, as("truck-1"))
	for i := range uint16(2 * h.limits.ClientMessages) {
		r.publish("fleets/north/devices/truck-1/telemetry", `{}`, 1, i+1)
		r.expect(0x40, i+1)
	}
	h.counted(t, RouteDropped)
	h.well(t)
	x := h.sessionOf("log").mailbox()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.waiting.len() > h.limits.ClientMessages || x.bytes > h.limits.ClientBytes {
		t.Errorf("%d messages, %d bytes wait", x.waiting.len(), x.bytes)
	}
}

func TestADeviceCannotSpeakForAnotherNorCommandItself(t *testing.T) {
	h := guarded(t, Options{}, newFakeAuth(aDevice("truck-1", "north"), aDevice("truck-2", "north")))
	for _, version := range []byte{4, 5} {
		o := as("truck-1")
		o.version = version
		r, _ := connect(t, h, o)
		for i, topic := range []string{
			"fleets/north/devices/truck-2/telemetry", "fleets/south/devices/truck-1/telemetry", "fleets/north/devices/truck-1/commands/1", "owntracks/truck-1/x", "x",
		} {
			for qos := range byte(3) {
				id := uint16(3*i) + uint16(qos)
				r.publish(topic, `{"lat":1,"lon":2}`, qos, id)
				switch qos {
				case 0:
					continue
				case 1:
					if body := r.expect(0x40, id); version == 5 && codeOf(body) != 0x87 {
						t.Errorf("%s: % x", topic, body)
					}
				case 2:
					if body := r.expect(0x50, id); version == 5 && codeOf(body) != 0x87 {
						t.Errorf("%s: % x", topic, body)
					}
				}
			}
		}
		r.ping()
	}
	for _, e := range h.inlet.entries() {
		if e.Kind != bus.KindConnection || e.Device != deviceID("truck-1") {
			t.Errorf("the inlet has %+v", e)
		}
	}
	if n := h.event(TopicDenied); n != 30 {
		t.Errorf("%d counted", n)
	}
	h.well(t)
}

// A payload may name devices that the topic does not: each is judged, and the fleet is the registry's.
func TestWhatAPayloadSaysOfOtherDevicesIsJudgedForEach(t *testing.T) {
	auth := newFakeAuth(aDevice("d1", "north"), aDevice("d3", "south"))
	auth.accounts["lora"] = aGateway("lora", "north")
	h := guarded(t, Options{}, auth)
	h.pipe(t, as("lora")) // which nobody else reads meanwhile
	s := h.sessionOf("lora")
	r := &topicRoute{topic: "list", allowed: true}
	result := dialect.Result{Kind: dialect.Telemetry}
	for _, name := range []string{"d1", "d3", "new"} {
		result.Messages = append(result.Messages, dialect.Message{Kind: dialect.Telemetry, Device: deviceID(name), Fleet: fleetID("north"), Reading: new(devices.Reading)})
	}
	if !h.deliver(s, r, &result, &delivery{}) {
		t.Error("what was in scope is not taken")
	}
	eventually(t, "the readings", func() bool { return len(h.inlet.of(bus.KindReading, "")) == 2 })
	if len(h.inlet.of(bus.KindReading, "d3")) != 0 || len(h.inlet.of(bus.KindConnection, "d3")) != 0 {
		t.Error("a gateway of north spoke for a device of south")
	}
	h.counted(t, DeviceDenied)
	result.Messages = result.Messages[1:2]
	if h.deliver(s, r, &result, &delivery{}) {
		t.Error("what was out of scope is taken")
	}
}

func TestAnUnknownDeviceIsRefusedWhereThatIsThePolicy(t *testing.T) {
	auth := newFakeAuth(aGateway("lora", "north"))
	auth.strict = true
	h := guarded(t, Options{}, auth)
	r, _ := connect(t, h, as("lora"))
	r.publish("fleets/north/devices/stranger/telemetry", `{}`, 1, 1)
	if body := r.expect(0x40, 1); codeOf(body) != 0x87 {
		t.Errorf("% x", body)
	}
	h.counted(t, DeviceRefused)
	auth.mu.Lock()
	auth.fleets[deviceID("stranger")] = fleetID("north")
	auth.mu.Unlock()
	r.publish("fleets/north/devices/stranger/telemetry", `{}`, 1, 2)
	if body := r.expect(0x40, 2); codeOf(body) != 0 {
		t.Errorf("% x", body)
	}
	h.well(t)
}

// What cannot be judged now is neither lost nor acknowledged.
func TestWhileTheRegistryIsNotLoadedNothingIsAcknowledged(t *testing.T) {
	auth := newFakeAuth(aGateway("lora", "north"))
	auth.unloaded = true
	h := guarded(t, Options{}, auth)
	for qos := range byte(3) {
		r, _ := connect(t, h, as("lora"))
		r.publish("fleets/north/devices/d/telemetry", `{}`, qos, uint16(qos))
		if got := r.reason(); got != 0x88 {
			t.Errorf("QoS %d: reason %#x", qos, got)
		}
	}
	h.counted(t, DeviceUnknownYet)
	open := startWith(t, Options{Auth: auth})
	r, _ := connect(t, open, connectOptions{id: "d"})
	r.publish(topicOne, `{}`, 1, 1) // where nobody is asked who he is, the owner decides
	r.expect(0x40, 1)
	if got := h.inlet.entries(); len(got) != 0 {
		t.Errorf("the inlet has %+v", got)
	}
	auth.mu.Lock()
	auth.unloaded = false
	auth.mu.Unlock()
	h.well(t)
}

// Row 8: an alias stands for a topic, and what may be said on it may change under it.
func TestAnAliasIsJudgedAnewWhenItsDeviceMoves(t *testing.T) {
	auth := newFakeAuth(aDevice("d1", "north"))
	auth.accounts["lora"] = aGateway("lora", "north")
	h := guarded(t, Options{}, auth)
	r, _ := connect(t, h, as("lora"))
	r.send(aliasPacket("fleets/north/devices/d1/telemetry", 1, `{"n":1}`, 1, 1))
	r.expect(0x40, 1)
	auth.mu.Lock()
	auth.fleets[deviceID("d1")] = fleetID("south")
	auth.mu.Unlock()
	h.recheck([]string{"d1"})
	r.send(aliasPacket("", 1, `{"n":2}`, 1, 2))
	if body := r.expect(0x40, 2); codeOf(body) != 0x87 {
		t.Errorf("% x", body)
	}
	if got := h.inlet.metric("n"); len(got) != 1 {
		t.Errorf("readings %v", got)
	}
}

// In open mode, where nobody is disconnected over it.
func TestADeviceThatMovesToAnotherFleetIsTold(t *testing.T) {
	auth := newFakeAuth(aDevice("d1", "north"))
	h := startWith(t, Options{Auth: auth})
	r, _ := connect(t, h, connectOptions{version: 5, id: "d1"})
	r.publish("fleets/north/devices/d1/telemetry", `{}`, 1, 1)
	r.expect(0x40, 1)
	auth.mu.Lock()
	auth.fleets[deviceID("d1")] = fleetID("south")
	auth.mu.Unlock()
	h.recheck([]string{"d1"})
	r.publish("fleets/north/devices/d1/telemetry", `{}`, 1, 2)
	r.expect(0x40, 2)
	var got []string
	for _, e := range h.inlet.of(bus.KindConnection, "d1") {
		got = append(got, fmt.Sprint(e.Fleet, e.Connection.Up))
	}
	if fmt.Sprint(got) != "[north true north false south true]" {
		t.Errorf("events %v", got)
	}
	if e := h.inlet.of(bus.KindReading, "d1"); e[1].Fleet != fleetID("south") {
		t.Errorf("the fleet is %s, not the registry's", e[1].Fleet)
	}
}

func TestADeviceWithACredentialIsOnlineBeforeItSaysAnything(t *testing.T) {
	auth := newFakeAuth(aDevice("d1", "north"))
	auth.accounts["lora"] = aGateway("lora", "north")
	h := guarded(t, Options{}, auth)
	r, _ := connect(t, h, as("d1"))
	lora, _ := connect(t, h, as("lora"))
	eventually(t, "the beginning", func() bool { return len(h.inlet.of(bus.KindConnection, "d1")) == 1 })
	r.ping()
	r.publish("fleets/north/devices/d1/telemetry", `{}`, 1, 1)
	r.expect(0x40, 1)
	_, _ = r.Close(), lora.Close()
	eventually(t, "the end", func() bool { return len(h.inlet.of(bus.KindConnection, "d1")) == 2 })
	ends := h.inlet.of(bus.KindConnection, "")
	if len(ends) != 2 || !ends[0].Connection.Up || ends[1].Connection.Up || ends[0].Fleet != fleetID("north") {
		t.Errorf("events %+v", ends)
	}
}

// The inlet refuses while the device connects; what it does next says that it is there.
func TestADeviceThatConnectsWhileTheInletRefusesIsOnlineWithItsNextPing(t *testing.T) {
	h := guarded(t, Options{}, newFakeAuth(aDevice("d1", "north")))
	h.committer.mu.Lock()
	h.committer.isAway = true
	h.committer.mu.Unlock()
	r, _ := connect(t, h, as("d1"))
	r.ping()
	h.committer.mu.Lock()
	h.committer.isAway = false
	h.committer.mu.Unlock()
	if n := len(h.inlet.of(bus.KindConnection, "d1")); n != 0 {
		t.Errorf("%d events while the inlet refuses", n)
	}
	r.ping()
	eventually(t, "the beginning", func() bool { return len(h.inlet.of(bus.KindConnection, "d1")) == 1 })
}
