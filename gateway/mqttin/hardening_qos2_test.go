package mqttin

import (
	"fmt"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

func (r *raw) pubrel(id uint16) {
	r.t.Helper()
	r.send([]byte{0x62, 2, byte(id >> 8), byte(id)})
}

func TestQoS2IsRecordedAfterTheCommitAndStoredOnce(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			h := start(t, Limits{})
			release := h.inlet.hold()
			defer release()
			r, _ := connect(t, h, connectOptions{version: version, id: "c"})
			r.publish(topicOne, `{"n":1}`, 2, 5)
			r.send(publishPacket(version, topicOne, `{"n":1}`, 2, 5, true)) // before the commit
			eventually(t, "the append", h.inlet.isWaiting)
			r.ping()
			release()
			r.expect(0x50, 5)
			r.ping()                                                        // one PUBREC for both
			r.send(publishPacket(version, topicOne, `{"n":1}`, 2, 5, true)) // after it
			if body := r.expect(0x50, 5); len(body) > 2 && body[2] != 0 {
				t.Errorf("the second PUBREC is an error: % x", body)
			}
			r.pubrel(5)
			if body := r.expect(0x70, 5); len(body) > 2 && body[2] != 0 {
				t.Errorf("the PUBCOMP is an error: % x", body)
			}
			if h.event(DuplicateJoined) != 2 {
				t.Errorf("%d duplicates counted", h.event(DuplicateJoined))
			}
			// The id is free again.
			r.publish(topicOne, `{"n":2}`, 2, 5)
			r.expect(0x50, 5)
			r.pubrel(5)
			r.expect(0x70, 5)
			if got := fmt.Sprint(h.inlet.metric("n")); got != "[1 2]" {
				t.Errorf("readings %v", got)
			}
		})
	}
}

func kept(version byte) connectOptions {
	return connectOptions{version: version, id: "kept", keep: true, expiry: 600}
}

func TestQoS2RepeatedAfterAReconnectIsStoredOnce(t *testing.T) {
	for _, version := range []byte{4, 5} {
		for _, when := range []string{"committed before the loss", "committed between the connections", "committed after the reconnect"} {
			t.Run(fmt.Sprintf("%d %s", version, when), func(t *testing.T) {
				h := start(t, Limits{})
				release := h.inlet.hold()
				defer release()
				first, _ := connect(t, h, kept(version))
				if when == "committed before the loss" {
					release()
				}
				first.publish(topicOne, `{"n":1}`, 2, 5)
				if when == "committed before the loss" {
					first.expect(0x50, 5)
				} else {
					eventually(t, "the append", h.inlet.isWaiting)
				}
				_ = first.Close()
				eventually(t, "the loss", func() bool { return h.Stats().Connections == 0 })
				if when == "committed between the connections" {
					release()
					eventually(t, "the commit", func() bool { return len(h.inlet.metric("n")) == 1 })
				}
				second, connack := connect(t, h, kept(version))
				if connack[0]&1 == 0 {
					t.Fatal("the session is not there")
				}
				second.send(publishPacket(version, topicOne, `{"n":1}`, 2, 5, true))
				if when == "committed after the reconnect" {
					second.ping()
					release()
				}
				second.expect(0x50, 5)
				second.pubrel(5)
				for { // a PUBREC may come twice: once for the session, once for the repeated message
					if got, body := second.read(); got == 0x70 {
						if len(body) > 2 && body[2] != 0 {
							t.Errorf("PUBCOMP % x", body)
						}
						break
					} else if got != 0x50 {
						t.Fatalf("got %#x % x", got, body)
					}
				}
				second.publish(topicOne, `{"n":2}`, 2, 5)
				second.expect(0x50, 5)
				if got := fmt.Sprint(h.inlet.metric("n")); got != "[1 2]" {
					t.Errorf("readings %v", got)
				}
			})
		}
	}
}

func TestACleanSessionBeginsWithoutTheOldPacketIDs(t *testing.T) {
	h := start(t, Limits{})
	first, _ := connect(t, h, kept(4))
	first.publish(topicOne, `{"n":1}`, 2, 5)
	first.expect(0x50, 5)
	_ = first.Close()
	second, _ := connect(t, h, connectOptions{id: "kept"})
	second.publish(topicOne, `{"n":2}`, 2, 5) // another message under the same id
	second.expect(0x50, 5)
	second.pubrel(5)
	second.expect(0x70, 5)
	if got := fmt.Sprint(h.inlet.metric("n")); got != "[1 2]" {
		t.Errorf("readings %v", got)
	}
}

func TestQoS2MessagesThatAreNeverReleasedEndTheConnection(t *testing.T) {
	h := start(t, Limits{Unacked: 3})
	r, _ := connect(t, h, connectOptions{version: 5, id: "c"})
	for id := range uint16(3) {
		r.publish(topicOne, `{}`, 2, id+1)
		r.expect(0x50, id+1)
	}
	r.publish(topicOne, `{}`, 2, 4)
	if first, body := r.read(); first != 0xe0 || body[0] != 0x93 {
		t.Errorf("got %#x % x", first, body)
	}
	r.gone()
	h.counted(t, ReceiveMaximumExceeded)
	h.well(t)
}

// A message that was recorded while its session had no connection, or that mochi lost sight of: mochi must be able to
// answer the PUBREL, or the packet id stays taken and the next message under it is lost.
func TestARecordedIDThatMochiDoesNotKnowIsMadeKnownToIt(t *testing.T) {
	b, cl, h := unserved(t)
	s := sessionOf(cl)
	f := s.flow.Load()
	if _, ok := f.begin(5, 10); !ok {
		t.Fatal("not begun")
	}
	f.detach()
	if owner := f.record(5); owner != nil {
		t.Fatal("a flow between two connections has an owner")
	}
	f.adopt(s)
	if pk, ok := cl.State.Inflight.Get(5); !ok || pk.FixedHeader.Type != packets.Pubrec || pk.Created == 0 {
		t.Fatalf("after the adoption mochi has %+v", pk)
	}
	cl.State.Inflight.Delete(5)
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 2, Dup: true}, TopicName: topicOne, Payload: []byte(`{}`), PacketID: 5}
	_, _ = h.OnPublish(cl, pk)
	if _, ok := cl.State.Inflight.Get(5); !ok {
		t.Error("after the repeated message mochi does not know the id")
	}
	if next := &b.committer.next; len(next.entries) != 0 || len(next.tickets) != 1 || next.tickets[0].kind != pubrecByte {
		t.Errorf("queued %+v", next)
	}
	h.OnQosComplete(cl, packets.Packet{PacketID: 5})
	if before, _ := f.begin(5, 10); before != unseen {
		t.Error("the released id is still taken")
	}
}

// mochi clears the inflight map of a connection that is taken over; that must not clear the session's.
func TestWhatMochiClearsInATakenOverConnectionStays(t *testing.T) {
	_, cl, h := unserved(t)
	f := sessionOf(cl).flow.Load()
	_, _ = f.begin(5, 10)
	f.record(5)
	f.detach()
	h.OnQosDropped(cl, packets.Packet{PacketID: 5})
	if before, _ := f.begin(5, 10); before != recorded {
		t.Error("the id is forgotten")
	}
	f.adopt(sessionOf(cl))
	h.OnQosDropped(cl, packets.Packet{PacketID: 5}) // expired, in the connection that owns it
	if before, _ := f.begin(5, 10); before != unseen {
		t.Error("the id is kept")
	}
}
