package mqttin

import (
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// flow is the QoS 2 state of a session: the packet ids that were received and not yet released. It outlives the
// connection where the session does, which is what stores a message once though it is sent again after a reconnect.
// mochi's inflight map holds a PUBREC for each recorded id, so that mochi answers PUBREL; this is the truth behind it,
// because a message is pending here before there is any PUBREC.
type flow struct {
	mu    sync.Mutex
	owner *session // nil while a session passes from one connection to the next
	ids   map[uint16]flowState
}

type flowState uint8

const (
	unseen   flowState = iota
	pending            // taken, not yet durable
	recorded           // durable; the PUBREC is due or sent
)

// begin notes that the message with the id was taken and returns what it was before.
func (f *flow) begin(id uint16, limit int) (before flowState, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if before = f.ids[id]; before != unseen {
		return before, true
	}
	if len(f.ids) >= limit {
		return unseen, false
	}
	if f.ids == nil {
		f.ids = map[uint16]flowState{}
	}
	f.ids[id] = pending
	return unseen, true
}

// record notes that the message is durable and returns the session to which the PUBREC is due, or nil.
func (f *flow) record(id uint16) *session {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids[id] == unseen { // dropped in the meantime, with its session
		return nil
	}
	f.ids[id] = recorded
	if f.owner != nil {
		f.owner.expectRelease(id)
	}
	return f.owner
}

// refuse forgets an id whose message will never be stored, and returns the session that is to be told, or nil.
func (f *flow) refuse(id uint16) *session {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids[id] == unseen {
		return nil
	}
	delete(f.ids, id)
	return f.owner
}

// release forgets an id: the client released it, or the message was not taken after all.
func (f *flow) release(id uint16) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.ids, id)
}

// drop forgets an id on behalf of a session, if the flow is that session's.
func (f *flow) drop(id uint16, by *session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.owner == by {
		delete(f.ids, id)
	}
}

// detach leaves the flow without an owner, so that what mochi clears in the old connection does not clear it here.
func (f *flow) detach() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owner = nil
}

// adopt makes s the owner.
func (f *flow) adopt(s *session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.overtaken.Load() { // set before the newer connection detaches the flow: it has it, or will
		return
	}
	f.owner = s
	for id, state := range f.ids {
		if state == recorded { // recorded while it had no owner, or lost from mochi's copy
			s.expectRelease(id)
		}
	}
}

// expectRelease puts a PUBREC into mochi's inflight map, so that it answers the PUBREL with a PUBCOMP. Created must be
// set: mochi clears each second what is older than its maximum.
func (s *session) expectRelease(id uint16) {
	s.client.State.Inflight.Set(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Pubrec},
		PacketID:    id,
		Created:     time.Now().Unix(),
	})
}
