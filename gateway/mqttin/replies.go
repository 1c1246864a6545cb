package mqttin

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// A device answers a command on fleets/{fleet}/devices/{device}/replies/{command}, with {"status":"done"|"failed",
// "result":…,"error":"…"}. The answer is acknowledged when the inlet has it, as any message. Which command it is for says
// the last level of the topic; where that is no id (a client that has one topic for all answers), the correlation data of
// MQTT 5 or the payload's "id" does.

// The reasons of dead letters that are answers.
const (
	badReply     = "reply_bad"     // no answer, or to nothing that is an id
	unknownReply = "reply_unknown" // to a command that is not known, or that is another device's
	lateReply    = "reply_late"    // to a command that is finished
)

// ReplyVerdict is what is known of the command that an answer is for.
type ReplyVerdict uint8

// The verdicts. An answer goes to the inlet in any case, since the owner may know more; the others are shown as dead letters.
const (
	ReplyExpected ReplyVerdict = iota
	ReplyUnknown
	ReplyLate
)

const (
	repliesFilter = "fleets/+/devices/+/replies/+"
	replyLevels   = 6
)

// replyTopic is where an answer came.
type replyTopic struct {
	fleet  devices.FleetID
	device devices.DeviceID
	last   string // level
}

// parseReply reads the topic of an answer; nil where it is none. The topic is kept.
func parseReply(topic string) *replyTopic {
	rest, ok := strings.CutPrefix(topic, fleetPrefix)
	if !ok || !strings.Contains(rest, "/replies/") {
		return nil
	}
	levels := strings.Split(topic, "/")
	if len(levels) != replyLevels || levels[2] != "devices" || levels[4] != "replies" {
		return nil
	}
	fleet, err1 := devices.ParseFleetID(levels[1])
	device, err2 := devices.ParseDeviceID(levels[3])
	if err1 != nil || err2 != nil {
		return nil
	}
	return &replyTopic{fleet, device, levels[5]}
}

// reply is the payload of an answer.
type reply struct {
	ID     string          `json:"id"`
	Status string          `json:"status"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// read makes a report of an answer, which it does not keep. ok is false where it is none.
func (t *replyTopic) read(payload, correlation []byte) (report *bus.CommandReport, ok bool) {
	var in reply
	if len(payload) > maxReplyBytes || json.Unmarshal(payload, &in) != nil {
		return nil, false
	}
	report = new(bus.CommandReport)
	switch in.Status {
	case "done":
		report.State = devices.CommandDone
	case "failed":
		report.State = devices.CommandFailed
	default:
		return nil, false
	}
	for _, name := range []string{t.last, string(correlation), in.ID} {
		id, err := devices.ParseCommandID(name)
		switch {
		case err != nil:
		case report.ID.IsZero():
			report.ID, _ = devices.ParseCommandID(strings.Clone(id.String()))
		case id != report.ID: // it contradicts itself
			return nil, false
		}
	}
	if report.ID.IsZero() {
		return nil, false
	}
	result, err := devices.CompactCommandValue("result", in.Result)
	if err != nil {
		report.Truncated = true
	}
	report.Result, report.Error = result, errorText(in.Error)
	return report, true
}

// maxReplyBytes bounds an answer, as a payload of telemetry is bounded.
const maxReplyBytes = 64 << 10

// errorText is a line of text, or the JSON where a device says an object.
func errorText(raw json.RawMessage) string {
	text := ""
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
	for len(text) > devices.MaxCommandErrorBytes {
		_, size := utf8.DecodeLastRuneInString(text[:devices.MaxCommandErrorBytes+1])
		text = text[:devices.MaxCommandErrorBytes+1-size]
	}
	return text
}

// takeReply takes an answer of a client of the embedded broker.
func (b *Broker) takeReply(s *session, r *topicRoute, m *message, d *delivery) {
	report, ok := r.reply.read(m.payload, m.correlation)
	if !ok {
		b.rejectReply(badReply, r, m.payload, s.sender())
		b.refuse(s, d, codePayloadInvalid)
		return
	}
	fleet, why, ok := b.fleetOf(s, r, r.reply.device, r.reply.fleet)
	if !ok {
		b.counters.note(why, s.conn.remote)
		if why == DeviceUnknownYet {
			b.forsake(s, d)
		} else {
			b.refuse(s, d, codeNotAuthorized)
		}
		return
	}
	b.weighReply(r, fleet, report, m.payload, s.sender())
	d.entries = s.appendUp(nil, r.reply.device, fleet)
	d.entries = append(d.entries, replyEntry(r.reply.device, fleet, report))
	span := b.startSpan(m.traced)
	d.trace = span.Context()
	d.mark()
	ok = b.offer(s, d)
	took(span, nil, d, ok)
	if ok {
		s.track(d.entries)
		b.pass(s, r, m)
	}
}

func replyEntry(device devices.DeviceID, fleet devices.FleetID, report *bus.CommandReport) bus.Entry {
	return bus.Entry{Device: device, Fleet: fleet, Kind: bus.KindCommandState, Report: report}
}

// weighReply counts an answer, and shows one that nobody waits for.
func (in *intake) weighReply(r *topicRoute, fleet devices.FleetID, report *bus.CommandReport, payload []byte, from sender) {
	in.counters.note(ReplyTaken, "")
	if in.replies == nil {
		return
	}
	switch in.replies(r.reply.device, fleet, report.ID) {
	case ReplyExpected:
	case ReplyUnknown:
		in.rejectReply(unknownReply, r, payload, from)
	case ReplyLate:
		in.rejectReply(lateReply, r, payload, from)
	}
}

func (in *intake) rejectReply(reason string, r *topicRoute, payload []byte, from sender) {
	in.counters.note(ReplyRejected, "")
	in.letters.keep(reason, r.topic, from, r.reply.device.String(), payload)
}

// correlationOf is the correlation data of a message; nil where there is none.
func correlationOf(pk *packets.Packet) []byte { return pk.Properties.CorrelationData }
