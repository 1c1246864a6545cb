package dialect

import (
	"bytes"

	"github.com/fleetcast/fleetcast/devices"
)

// decodeTasmota reads SENSOR, STATE and the answers of Tasmota's firmware. Source: tasmota.github.io, "MQTT". Its Time is
// local and names no zone, so it is none. A gateway for Bluetooth sensors reports its children in its own SENSOR, each an
// object with its mac: they are devices of their own.
func decodeTasmota(in *input, out *Result) bool {
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	c := out.begin(in)
	c.flatten("", root, func(name []byte, v value) bool {
		return string(name) == "Time" || v.get("mac").is(textNode)
	})
	parent := in.device.String()
	own := len(c.reading.Metrics) > 0
	out.end(in)
	if !own {
		out.Messages = out.Messages[:0]
	}
	for child := root.first(); child.exists(); child = child.next() {
		mac := child.get("mac").text()
		if len(mac) == 0 {
			continue
		}
		if !in.nameDeviceText(parent + ":" + string(mac)) {
			out.Dropped++
			continue
		}
		if out.full() {
			return out.reject(TooManyMembers)
		}
		c := out.begin(in)
		c.take(devices.FieldBattery, &c.reading.Battery, child.get("Battery"), 1)
		c.flatten("", child, isOneOf("mac", "Battery"))
		out.end(in)
	}
	return true
}

// decodeTasmotaAnswer reads what stat/… holds: the same documents, or one word, such as a switch's ON.
func decodeTasmotaAnswer(in *input, out *Result) bool {
	if word := bytes.TrimSpace(in.payload); len(word) > 0 && word[0] != '{' {
		return out.plainText(in, in.level("kind"))
	}
	return decodeTasmota(in, out)
}

// decodeWord makes a decoder of a status that is one of two words, in any case. Another is declined: it is something else
// in plain text.
func decodeWord(online, offline string) decoder {
	return func(in *input, out *Result) bool {
		switch word := bytes.TrimSpace(in.payload); {
		case len(word) == 0:
			return out.decline(Empty)
		case bytes.EqualFold(word, []byte(online)):
			out.addStatus(in, devices.Online)
		case bytes.EqualFold(word, []byte(offline)):
			out.addStatus(in, devices.Offline)
		default:
			return out.decline(BadStatus)
		}
		return out.named(Presence)
	}
}

// decodeShellyRPC reads the notifications of Shelly's second and later generations. Source: shelly-api-docs, "Gen2
// Notifications". NotifyStatus tells only what changed, and null that a key is gone.
func decodeShellyRPC(in *input, out *Result) bool {
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	params := root.get("params")
	if !params.is(objectNode) {
		return out.decline(Declined)
	}
	switch string(root.get("method").text()) {
	case "NotifyStatus", "NotifyFullStatus":
		c := out.begin(in)
		c.at(params.get("ts"))
		c.take(devices.FieldBattery, &c.reading.Battery, params.get("devicepower:0", "battery", "percent"), 1)
		c.flatten("", params, isOneOf("ts", "devicepower:0.battery.percent"))
		out.end(in)
	case "NotifyEvent":
		for e := params.get("events").first(); e.exists(); e = e.next() {
			if out.full() {
				return out.reject(TooManyMembers)
			}
			c := out.begin(in)
			c.at(params.get("ts"))
			c.at(e.get("ts"))
			c.metricOf("event", e.get("event"))
			c.metricOf("component", e.get("component"))
			out.endAs(in, Event)
		}
		return out.named(Event)
	default:
		return out.decline(Declined)
	}
	return true
}

// decodeShellyStatus reads the whole status of one component, which the topic names.
func decodeShellyStatus(in *input, out *Result) bool {
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	component := in.level("component")
	c := out.begin(in)
	skip := component + ".battery.percent"
	if component == "devicepower:0" {
		c.take(devices.FieldBattery, &c.reading.Battery, root.get("battery", "percent"), 1)
	} else {
		skip = ""
	}
	c.flatten(component, root, isOneOf(skip))
	out.end(in)
	return true
}

// decodeZigbee reads the state of a Zigbee2MQTT device. Source: zigbee2mqtt.io, "MQTT topics and messages". Its friendly
// name may have slashes.
func decodeZigbee(in *input, out *Result) bool {
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	c := out.begin(in)
	c.isoTime(root.get("last_seen"))
	c.take(devices.FieldBattery, &c.reading.Battery, root.get("battery"), 1)
	c.flatten("", root, isOneOf("last_seen", "battery", "device", "elapsed", "update"))
	out.end(in)
	return true
}

// decodeAvailability reads a Zigbee2MQTT device's availability: plain text, or JSON with the member state.
func decodeAvailability(in *input, out *Result) bool {
	if word := bytes.TrimSpace(in.payload); len(word) == 0 || word[0] != '{' {
		return decodeWord("online", "offline")(in, out)
	}
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	switch string(root.get("state").text()) {
	case "online":
		out.addStatus(in, devices.Online)
	case "offline":
		out.addStatus(in, devices.Offline)
	default:
		return out.decline(BadStatus)
	}
	return out.named(Presence)
}
