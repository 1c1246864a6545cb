package mqttin

import (
	"strings"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
)

// The bounds of dead letters, so that nobody fills memory with what is not understood: of each reason the last few, and
// of each its beginning.
const (
	lettersPerReason = 32
	letterPayload    = 4 << 10
	letterTopic      = 512
)

// panickedLetter is the reason of a message on which a decoder of ours broke.
const panickedLetter = "panicked"

// letters are the last messages that were not understood, of each reason. They are for people who look; counters and
// logs have the reason only.
type letters struct {
	mu    sync.Mutex
	kept  uint64
	rings map[string]*letterRing // by reason: there are as many as a decoder has, and panickedLetter
}

type letterRing struct {
	letters [lettersPerReason]Letter
	next    int
}

// Letter is a dead letter with its number: later ones have greater numbers.
type Letter struct {
	Number uint64
	devices.DeadLetter
}

// keep copies a message, whose parts may lie in a packet. The oldest of its reason goes. The memory of a payload is used
// again: a flood of rubbish costs copies and no garbage.
func (l *letters) keep(reason, topic string, from sender, device string, payload []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rings == nil {
		l.rings = make(map[string]*letterRing)
	}
	ring := l.rings[reason]
	if ring == nil {
		ring = new(letterRing)
		l.rings[reason] = ring
	}
	l.kept++
	one := &ring.letters[ring.next]
	ring.next = (ring.next + 1) % lettersPerReason
	*one = Letter{Number: l.kept, DeadLetter: devices.DeadLetter{
		At: time.Now().UnixMilli(), Reason: reason,
		Topic: strings.Clone(topic[:min(len(topic), letterTopic)]), Client: from.client, Account: from.account, Device: device,
		Payload: append(one.Payload[:0], payload[:min(len(payload), letterPayload)]...), Bytes: len(payload),
	}}
}

// since returns copies of the letters after a number, in no order. An empty reason is every one.
func (l *letters) since(number uint64, reason string) []Letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Letter
	for of, ring := range l.rings {
		if reason != "" && of != reason {
			continue
		}
		for i := range ring.letters {
			if one := ring.letters[i]; one.Number > number {
				one.Payload = append([]byte{}, one.Payload...)
				out = append(out, one)
			}
		}
	}
	return out
}

// erase drops those of a device. Their numbers go with them.
func (l *letters) erase(device devices.DeviceID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ring := range l.rings {
		for i := range ring.letters {
			if ring.letters[i].IsOf(device) {
				ring.letters[i] = Letter{}
			}
		}
	}
}

// LetterReasons are the reasons of dead letters.
func LetterReasons() []string {
	reasons := []string{panickedLetter, badReply, unknownReply, lateReply}
	for r := range dialect.Reasons {
		if reason := dialect.Reason(r); reason != dialect.None && reason != dialect.Panicked { // which has the same name
			reasons = append(reasons, reason.String())
		}
	}
	return reasons
}

// Letters returns the messages after a number that were not understood, at most the last 32 of each reason, in no order.
// An empty reason is every one. Both doors have it.
func (in *intake) Letters(number uint64, reason string) []Letter {
	return in.letters.since(number, reason)
}

// EraseLetters drops the dead letters that came from a device or for it.
func (in *intake) EraseLetters(device devices.DeviceID) { in.letters.erase(device) }
