package mqttin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// What a general broker of MQTT 3.1.1 and 5 does between clients, where --mqtt-route asks for it.

func routing(t testing.TB, limits Limits) *harness {
	t.Helper()
	return startWith(t, Options{Route: true, CommitEvery: commitAtOnce, Limits: limits})
}

func TestAMessageComesAtTheLowerOfBothQualities(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	for _, version := range []byte{4, 5} {
		for granted := range byte(3) {
			to := client(t, h, version, fmt.Sprint("to", version, granted))
			if code := to.subscribe("chat/+", granted, 0); code != granted {
				t.Fatalf("SUBACK %d, want %d", code, granted)
			}
			from := client(t, h, 9-version, "from")
			for qos := range byte(3) {
				payload := fmt.Sprint(version, granted, qos)
				from.say("chat/a", payload, qos, false)
				m := to.message()
				if m.topic != "chat/a" || m.payload != payload || m.qos != min(qos, granted) || m.retain || m.dup {
					t.Errorf("got %+v", m)
				}
				to.confirm(m)
			}
			to.ping()
			_, _ = to.Close(), from.Close()
		}
	}
	eventually(t, "nothing waits", func() bool { return h.Stats().RoutedBytes == 0 })
	h.well(t)
}

func TestPropertiesAreHandedOnAndIdentifiersGivenBack(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	five, four := client(t, h, 5, "five"), client(t, h, 4, "four")
	five.subscribe("chat/#", 2, 9)
	five.subscribe("+/a", 1, 8)
	four.subscribe("chat/+", 0, 0)
	four.subscribe("chat/a", 1, 0)
	from := client(t, h, 5, "from")
	properties := append([]byte{propFormat, 1, propExpiry, 0, 0, 0, 60, propContentType}, str("text")...)
	properties = append(append(properties, propResponseTopic), str("reply/here")...)
	properties = append(append(properties, propCorrelation), str("42")...)
	for _, pair := range [][2]string{{"k", "1"}, {"j", "2"}, {"k", "3"}} {
		properties = append(append(append(properties, propUser), str(pair[0])...), str(pair[1])...)
	}
	from.say("chat/a", "hello", 2, false, properties...)
	m := five.message() // once, though two filters match, at the higher quality
	if fmt.Sprint(m.ids) != "[9 8]" && fmt.Sprint(m.ids) != "[8 9]" || m.qos != 2 || m.formatIndicator != 1 || m.contentType != "text" ||
		m.response != "reply/here" || m.correlation != "42" || m.user != "k=1;j=2;k=3;" || m.expiry < 1 || m.expiry > 60 {
		t.Errorf("got %+v", m)
	}
	five.confirm(m)
	five.ping()
	if m := four.message(); m.payload != "hello" || m.qos != 1 {
		t.Errorf("got %+v", m)
	}
	four.ack(1)
	four.ping()
	from.send(frame(0x3c, append(append(str("chat/a"), 0, 5, 0), "hello"...))) // the same once more: DUP, QoS 2
	from.expect(0x50, 5)
	if m := five.message(); m.payload != "hello" {
		t.Errorf("after it was released the id is a new message's: %+v", m)
	}
}

func TestWhatIsUnacknowledgedIsBoundedByTheClientsReceiveMaximum(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{Inflight: 4})
	for _, c := range []struct {
		version byte
		receive byte // Receive Maximum; 0: none
		want    int
	}{{4, 0, 4}, {5, 3, 3}, {5, 200, 4}} {
		to := dial(t, h)
		to.version, to.id = c.version, "to"
		packet := connectPacket(connectOptions{version: c.version, id: "to", keepalive: 60})
		if c.receive > 0 {
			packet = frame(0x10, append(append(append(str("MQTT"), 5, 2, 0, 60), 3, 0x21, 0, c.receive), str("to")...))
		}
		to.send(packet)
		to.read()
		to.subscribe("chat/#", 2, 0)
		from := client(t, h, 5, "from")
		for i := range 10 {
			from.say("chat/a", fmt.Sprint(i), byte(1+i%2), false)
		}
		var got []gotMessage
		for i := range 10 {
			if i >= c.want { // there is one more when one is acknowledged to its end
				if m := got[i-c.want]; m.qos == 2 {
					to.pubrec(m.id)
					to.expect(0x62, m.id)
					to.ping()
					to.pubcomp(m.id)
				} else {
					to.ping()
					to.ack(m.id)
				}
			}
			m := to.message()
			if m.payload != fmt.Sprint(i) {
				t.Fatalf("message %d is %+v", i, m)
			}
			got = append(got, m)
		}
		_, _ = to.Close(), from.Close()
	}
	h.well(t)
}

func TestASessionMissesNothingWhileItIsAway(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	for _, version := range []byte{4, 5} {
		id := fmt.Sprint("to", version)
		to, present := lasting(t, h, version, id)
		if present {
			t.Fatal("a session that never was is present")
		}
		to.subscribe("chat/#", 2, 0)
		from := client(t, h, 5, "from")
		from.say("chat/a", "one", 1, false)
		from.say("chat/a", "two", 2, false)
		from.say("chat/a", "three", 2, false)
		one, two, three := to.message(), to.message(), to.message()
		to.pubrec(two.id)
		to.expect(0x62, two.id)
		h.away(t, to)
		from.say("chat/a", "lost", 0, false)
		from.say("chat/b", "four", 1, false)
		if to, present = lasting(t, h, version, id); !present {
			t.Fatal("the session is gone")
		}
		if m := to.message(); m.payload != "one" || m.id != one.id || !m.dup || m.qos != 1 {
			t.Errorf("the first again: %+v", m)
		}
		to.expect(0x62, two.id) // it has that one, and only the release was lost
		if m := to.message(); m.payload != "three" || m.id != three.id || !m.dup || m.qos != 2 {
			t.Errorf("the third again: %+v", m)
		}
		if m := to.message(); m.payload != "four" || m.dup {
			t.Errorf("what came meanwhile: %+v", m)
		} else {
			to.confirm(m)
		}
		to.ack(one.id)
		to.pubcomp(two.id)
		to.pubrec(three.id)
		to.expect(0x62, three.id)
		to.pubcomp(three.id)
		to.ping()
		h.away(t, to)
		to, _ = lasting(t, h, version, id)
		to.ping() // nothing is due any more
		_ = to.Close()
		to, _ = connect(t, h, connectOptions{version: version, id: id}) // clean: nothing is left
		from.say("chat/a", "x", 1, false)
		to.ping()
		_, _ = to.Close(), from.Close()
	}
	eventually(t, "nothing waits", func() bool { return h.Stats().RoutedBytes == 0 })
}

func TestATakeoverLosesNothing(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	to, _ := lasting(t, h, 5, "to")
	to.subscribe("chat/#", 1, 0)
	from := client(t, h, 5, "from")
	next, got := 0, 0
	for range 8 {
		for range 5 {
			from.say("chat/a", fmt.Sprint(next), 1, false)
			next++
		}
		newer, present := lasting(t, h, 5, "to") // while the older one reads nothing
		if !present {
			t.Fatal("the session is gone")
		}
		to = newer
		for got < next {
			m := to.message()
			if m.payload != fmt.Sprint(got) {
				t.Fatalf("got %+v, want %d", m, got)
			}
			to.confirm(m)
			got++
		}
		to.ping()
	}
}

func TestWhatWaitsIsBoundedForEachAndForAll(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{ClientMessages: 5, ClientBytes: 10_000, RoutedBytes: 12_000})
	to, _ := lasting(t, h, 4, "to")
	to.subscribe("chat/#", 1, 0)
	h.away(t, to)
	from := client(t, h, 5, "from")
	for i := range 8 {
		from.say("chat/a", fmt.Sprint(i), 1, false)
	}
	if n := h.event(RouteDropped); n != 3 {
		t.Errorf("%d are dropped", n)
	}
	large := strings.Repeat("x", 6_000)
	other, _ := lasting(t, h, 4, "other")
	other.subscribe("large/#", 1, 0)
	h.away(t, other)
	from.say("large/a", large, 1, false)
	from.say("large/a", large, 1, false) // above 10,000 bytes
	if n := h.event(RouteDropped); n != 4 {
		t.Errorf("%d are dropped", n)
	}
	third, _ := lasting(t, h, 4, "third")
	third.subscribe("large/#", 1, 0)
	h.away(t, third)
	from.say("large/a", large, 1, false) // above 12,000 of all
	if n := h.event(RouteExhausted); n != 1 {
		t.Errorf("%d are dropped for the bytes of all", n)
	}
	to, _ = lasting(t, h, 4, "to")
	to.hears("0", "1", "2", "3", "4")
	to.ping()
	for _, id := range []string{"other", "third", "to"} {
		r, _ := connect(t, h, connectOptions{id: id}) // clean
		_ = r.Close()
	}
	eventually(t, "nothing waits", func() bool { return h.Stats().RoutedBytes == 0 })
	h.well(t)
}

func TestASessionEndsWithItsExpiryAndLeavesNothing(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{SessionExpiry: time.Minute})
	to, _ := lasting(t, h, 5, "to")
	to.subscribe("chat/#", 1, 0)
	h.away(t, to)
	from := client(t, h, 5, "from")
	from.say("chat/a", "x", 1, false)
	h.endOutdated(time.Now().Add(59 * time.Second))
	if h.sessionOf("to") == nil {
		t.Fatal("it ended too soon")
	}
	h.endOutdated(time.Now().Add(61 * time.Second))
	if s := h.Stats(); h.sessionOf("to") != nil || s.RoutedBytes != 0 {
		t.Errorf("%d bytes are left", s.RoutedBytes)
	}
	if _, present := lasting(t, h, 5, "to"); present {
		t.Error("a session that has ended is present")
	}
	if n := len(h.routes.match("chat/a")); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

func TestWhatExpiresIsNotSent(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	to, _ := lasting(t, h, 5, "to")
	to.subscribe("chat/#", 1, 0)
	h.away(t, to)
	from := client(t, h, 5, "from")
	from.say("chat/a", "soon", 1, true, propExpiry, 0, 0, 0, 10)
	from.say("chat/a", "later", 1, false, propExpiry, 0, 0, 1, 0)
	h.sweep(time.Now().Add(11 * time.Second))
	if n := h.event(RouteExpired); n != 1 {
		t.Errorf("%d have expired", n)
	}
	if n := h.Stats().Retained; n != 0 {
		t.Errorf("%d are retained", n)
	}
	to, _ = lasting(t, h, 5, "to")
	if m := to.message(); m.payload != "later" || m.expiry > 256 || m.expiry < 200 {
		t.Errorf("got %+v", m)
	}
	from.say("chat/r", "soon", 1, true, propExpiry, 0, 0, 0, 1)
	to.ack(1)
	to.hears("soon")
	other := client(t, h, 4, "other")
	eventually(t, "its end", func() bool {
		h.retained.mu.RLock()
		defer h.retained.mu.RUnlock()
		return h.retained.root.find("chat/r").hasExpired(time.Now())
	})
	other.subscribe("chat/#", 1, 0) // before anything was swept
	other.ping()
}

func TestASubscriberMayRefuseItsOwnAndWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	r := client(t, h, 5, "both")
	r.subscribe("chat/#", 1|optNoLocal, 0)
	r.say("chat/a", "mine", 1, true)
	r.ping()
	other := client(t, h, 5, "other")
	other.say("chat/a", "other's", 1, false)
	r.hears("other's")
	again := client(t, h, 5, "both")
	again.subscribe("chat/#", 1|optNoLocal, 0) // nor what it retained itself
	again.ping()
	small := dial(t, h)
	small.version = 5
	small.send(frame(0x10, append(append(append(str("MQTT"), 5, 2, 0, 60), 5, 0x27, 0, 0, 0, 100), str("small")...)))
	small.read()
	small.subscribe("size/#", 1, 0)
	other.say("size/a", strings.Repeat("x", 200), 1, false)
	other.say("size/a", "fits", 1, false)
	small.hears("fits")
	if n := h.event(RouteTooLarge); n != 1 {
		t.Errorf("%d were too large", n)
	}
}

func TestAGroupSharesItsMessagesAmongThoseWhoAreThere(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{ClientMessages: 50_000, Inflight: 1000})
	const n = 200
	var members []*raw
	for i := range 3 {
		r, _ := lasting(t, h, 5, fmt.Sprint("member", i))
		r.subscribe("$share/g/chat/#", 1, 0)
		members = append(members, r)
	}
	whole := client(t, h, 4, "whole")
	whole.subscribe("$share/h/chat/#", 1, 0) // 3.1.1 has no shared subscriptions, and brokers give them to it all the same
	h.away(t, members[2])
	from := client(t, h, 5, "from")
	from.say("chat/a", "kept", 1, true)
	for i := range n - 1 {
		from.say("chat/a", fmt.Sprint(i), 1, false)
	}
	counts := make([]int, 2)
	for i, r := range members[:2] {
		r.send([]byte{0xc0, 0})
		for {
			first, body := r.read()
			if first == 0xd0 {
				break
			}
			counts[i]++
			_, rest := text(body)
			r.ack(uint16(rest[0])<<8 | uint16(rest[1]))
		}
	}
	if counts[0]+counts[1] != n || counts[0] < n/10 || counts[1] < n/10 {
		t.Errorf("members got %v of %d", counts, n)
	}
	for range n {
		whole.confirm(whole.message())
	}
	late := client(t, h, 5, "late")
	if code := late.subscribe("$share/g/chat/#", 1, 0); code != 1 { // retained messages are nobody's of a group
		t.Errorf("SUBACK %#x", code)
	}
	late.ping()
	if code := late.subscribe("$share/g/chat/#", 1|optNoLocal, 0); code < 0x80 {
		t.Errorf("no-local in a group: SUBACK %#x", code)
	}
	_ = late.Close()
	for _, r := range members[:2] {
		h.away(t, r)
	}
	from.say("chat/a", "nobody is there", 1, false) // waits with one of them
	waiting := 0
	for i := range 3 {
		x := h.sessionOf(fmt.Sprint("member", i)).mailbox()
		x.mu.Lock()
		waiting += x.waiting.len()
		x.mu.Unlock()
	}
	if waiting != 1 {
		t.Errorf("%d wait", waiting)
	}
}

func TestTelemetryIsTakenAndRoutedAtItsQuality(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	to := client(t, h, 5, "to")
	to.subscribe("fleets/north/#", 2, 0)
	from := client(t, h, 5, "from")
	for qos := range byte(3) {
		from.say(topicOne, fmt.Sprintf(`{"n":%d}`, qos), qos, false)
		if m := to.message(); m.qos != qos || m.payload != fmt.Sprintf(`{"n":%d}`, qos) {
			t.Errorf("got %+v", m)
		} else {
			to.confirm(m)
		}
	}
	from.say(topicOne, "no JSON", 1, true) // not understood: neither taken nor routed nor retained
	to.ping()
	if got := h.inlet.metric("n"); fmt.Sprint(got) != "[0 1 2]" || h.Stats().Retained != 0 {
		t.Errorf("readings %v, %d retained", got, h.Stats().Retained)
	}
	if n := len(h.inlet.of(bus.KindReading, "truck-1")); n != 3 {
		t.Errorf("%d readings", n)
	}
}
