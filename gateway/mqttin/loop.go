package mqttin

import "github.com/mochi-mqtt/server/v2/packets"

// What we send to devices may come back to us: over an external broker that a door of ours consumes, or over a bridge
// between brokers that forwards everything. It must not be taken for something that a device said, nor be sent once more.
// So it carries a mark that clients and brokers of MQTT 5 hand on (section 3.3.2.3.7), and whatever comes in with that mark,
// from whichever door of whichever process, is acknowledged, counted and not looked at. MQTT 3.1.1 has no place for it:
// there what tells is the topic, as commands and requests are on topics that nothing is taken from.
const (
	downlinkKey   = "fleetcast-downlink"
	downlinkValue = "1"
)

// downlinkMark is the mark as a broker sends it.
func downlinkMark() []packets.UserProperty {
	return []packets.UserProperty{{Key: downlinkKey, Val: downlinkValue}}
}

// isDownlink tells whether a message carries the mark.
func isDownlink(user []packets.UserProperty) bool {
	for i := range user {
		if user[i].Key == downlinkKey {
			return true
		}
	}
	return false
}

// isReply tells whether a topic is one of answers: a client may well give back the user properties of what it answers.
func isReply(topic string) bool { return covers(repliesFilter, topic) }
