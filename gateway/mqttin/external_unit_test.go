package mqttin

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// unservedUpstream is an upstream with one connection and no goroutines.
func unservedUpstream(t testing.TB) (*Upstream, *link) {
	t.Helper()
	u, err := NewUpstream(UpstreamOptions{URLs: []string{"mqtt://h"}, ClientID: "d", Inlet: sink{}})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	u.conn = newUpstreamConn(ours, "h", time.Second, 100)
	return u, u.linkOf(paho.NewClient(paho.ClientConfig{EnableManualAcknowledgment: true}))
}

func publication(payload string) *paho.Publish {
	return &paho.Publish{PacketID: 7, QoS: 1, Topic: topicOne, Payload: []byte(payload), Properties: &paho.PublishProperties{}}
}

func TestTakingAnUpstreamMessageAllocatesItsReadingAndItsMetrics(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	u, l := unservedUpstream(t)
	p := publication(document)
	run := func() {
		u.receive(l, p)
		u.committer.forget()
	}
	run()
	if n := testing.AllocsPerRun(200, run); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func TestPausesGrowUntilAConnectionLasts(t *testing.T) {
	u, _ := unservedUpstream(t)
	u.options.RetryFirst, u.options.RetryMost = time.Second, 8*time.Second
	if got := u.pause(); got != 0 {
		t.Errorf("%v before the first attempt", got)
	}
	for i, most := range []time.Duration{1, 2, 4, 8, 8, 8} {
		most *= time.Second
		if got := u.pause(); got < most/2 || got > most {
			t.Errorf("pause %d is %v, want %v to %v", i, got, most/2, most)
		}
	}
	u.wasUp, u.upSince = true, time.Now() // a connection that ended at once
	if got := u.pause(); got < 4*time.Second {
		t.Errorf("%v after a connection that did not last", got)
	}
	u.upSince = time.Now().Add(-stood)
	if got := u.pause(); got >= time.Second {
		t.Errorf("%v after a good connection", got)
	}
	for range 100 {
		if got := u.pause(); got > 8*time.Second {
			t.Fatalf("%v", got)
		}
	}
}

// A handler that panics would end the process: paho has no recover.
func TestAPanicInTheHandlerCostsItsMessage(t *testing.T) {
	u, l := unservedUpstream(t)
	router := u.router
	u.router = nil
	if ok, err := u.onPublish(paho.PublishReceived{Packet: publication(`{"n":1}`), Client: l.client}); ok || err != nil {
		t.Error(ok, err)
	}
	u.router = router
	if u.Stats().Events[Panicked] != 1 {
		t.Error("not counted")
	}
	_, _ = u.onPublish(paho.PublishReceived{Packet: publication(`{"n":2}`), Client: l.client})
	if n := u.Stats().Queued; n != 1 {
		t.Errorf("%d messages queued", n)
	}
}

// A broker that sends more than it may is read no further, and for a keep-alive only; so is any broker while the queue is
// full.
func TestAnUpstreamWithoutRoomWaitsAndGivesUp(t *testing.T) {
	u, l := unservedUpstream(t)
	u.options.KeepAlive = time.Millisecond
	u.committer.limits.Unacked = 2
	for range 3 {
		u.receive(l, publication(`{"n":1}`))
	}
	<-l.conn.closed
	if s := u.Stats(); s.Queued != 2 || s.Events[BackPressure] != 1 {
		t.Errorf("queued %d, gave up %d times", s.Queued, s.Events[BackPressure])
	}
	u.options.KeepAlive = time.Hour // the connection is gone: nobody waits on
	u.receive(l, publication(`{"n":1}`))
}

func TestTheFormatsDecideWhatIsSubscribedTo(t *testing.T) {
	u, _ := unservedUpstream(t)
	find := func(topic string) paho.SubscribeOptions {
		i := slices.IndexFunc(u.subscriptions, func(s paho.SubscribeOptions) bool { return s.Topic == topic })
		if i < 0 {
			t.Fatalf("%s is missing in %+v", topic, u.subscriptions)
		}
		return u.subscriptions[i]
	}
	if s := find("$share/fleetcast/fleets/+/devices/+/telemetry"); s.NoLocal || s.QoS != 1 || s.RetainHandling != retainedNever {
		t.Errorf("%+v", s)
	}
	if s := find("fleets/+/devices/+/status"); !s.NoLocal || s.QoS != 1 || s.RetainHandling != retainedWhenNew {
		t.Errorf("%+v", s)
	}
	find("$share/fleetcast/owntracks/+/+")
	own, err := NewUpstream(UpstreamOptions{
		URLs: []string{"mqtt://h"}, ClientID: "d", Inlet: sink{}, Topics: []string{"fleets/north/#"}, StatusTopics: []string{"s/+"}, Unshared: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := own.subscriptions; len(got) != 2 || got[0].Topic != "fleets/north/#" || !got[0].NoLocal || got[0].RetainHandling != retainedWhenNew || got[1].Topic != "s/+" {
		t.Errorf("%+v", got)
	}
}

// Without these the broker sends 65,535 messages at once, and forgets us with the connection.
func TestTheConnectPacketSaysWhatWeBear(t *testing.T) {
	u, err := NewUpstream(UpstreamOptions{
		URLs: []string{"mqtt://a:b@h", "mqtt://i"}, ClientID: "d", Inlet: sink{}, ReceiveMaximum: 77, Limits: Limits{PacketBytes: 5000},
	})
	if err != nil {
		t.Fatal(err)
	}
	config := u.clientConfig(t.Context())
	if config.CleanStartOnInitialConnection || config.SessionExpiryInterval != 3600 || !config.EnableManualAcknowledgment {
		t.Errorf("%+v", config)
	}
	for i, user := range []string{"a", ""} {
		p, err := u.connectPacket(&paho.Connect{}, u.urls[i])
		if err != nil || *p.Properties.ReceiveMaximum != 77 || *p.Properties.MaximumPacketSize != 5000 || p.Username != user || p.PasswordFlag != (user != "") {
			t.Errorf("%+v %v", p, err)
		}
	}
}

// A retained OwnTracks will says that the phone was gone once, not that it is.
func TestARetainedStatusIsMarked(t *testing.T) {
	u, l := unservedUpstream(t)
	p := publication(`{"_type":"lwt","tst":1795353543}`)
	p.Topic, p.Retain = "owntracks/ann/phone", true
	u.receive(l, p)
	next := u.committer.next.entries
	if len(next) != 1 || next[0].Kind != bus.KindStatus || !next[0].Status.Retained {
		t.Errorf("%+v", next)
	}
}
