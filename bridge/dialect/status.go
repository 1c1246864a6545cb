package dialect

import (
	"bytes"

	"github.com/fleetcast/fleetcast/devices"
)

// decodeStatus reads a plain "online" or "offline", in any case. Source: DESIGN, "MQTT".
func decodeStatus(in *input, out *Result) bool {
	switch word := bytes.TrimSpace(in.payload); {
	case len(word) == 0:
		return out.reject(Empty)
	case bytes.EqualFold(word, []byte("online")):
		out.addStatus(in, devices.Online)
	case bytes.EqualFold(word, []byte("offline")):
		out.addStatus(in, devices.Offline)
	default:
		return out.reject(BadStatus)
	}
	out.Kind = Presence
	return true
}
