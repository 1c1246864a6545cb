package dialect

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/devices"
)

// decodeHomeAssistant reads the attributes of a device tracker and the mqtt_json platform of Home Assistant, which use
// the same names. Source: home-assistant.io, "mqtt_json" and "device_tracker.mqtt". There is no time.
func decodeHomeAssistant(in *input, out *Result) bool {
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	lat, lon := root.get("latitude"), root.get("longitude")
	accuracy, battery := root.get("gps_accuracy"), root.get("battery_level")
	if !lat.exists() && !lon.exists() && !accuracy.exists() && !battery.exists() {
		return out.decline(Declined)
	}
	c := out.begin(in)
	c.place(lat, lon, 1)
	c.take(devices.FieldAccuracy, &c.reading.Accuracy, accuracy, 1)
	c.take(devices.FieldBattery, &c.reading.Battery, battery, 1)
	c.flatten("", root, isOneOf("latitude", "longitude", "gps_accuracy", "battery_level"))
	out.end(in)
	return true
}

// decodeZone reads the state of a device tracker: the name of a zone, "home" or "not_home", in plain text.
func decodeZone(in *input, out *Result) bool { return out.plainText(in, "zone") }

// plainText makes a metric of a payload that is no JSON but a word.
func (r *Result) plainText(in *input, name string) bool {
	word := bytes.TrimSpace(in.payload)
	switch {
	case len(word) == 0:
		return r.decline(Empty)
	case !utf8.Valid(word):
		return r.decline(NotUTF8)
	case len(word) > devices.MaxMetricTextBytes || bytes.IndexByte([]byte(`{["`), word[0]) >= 0 || bytes.ContainsFunc(word, unicode.IsControl):
		return r.decline(Declined)
	}
	c := r.begin(in)
	l := leaf{kind: devices.Text, text: word}
	c.metric([]byte(name), &l)
	r.end(in)
	return true
}

// decodeDiscovery names what tells programs which topics to read.
func decodeDiscovery(_ *input, out *Result) bool { return out.named(Discovery) }

// decodeOpaque names what is not for us to read.
func decodeOpaque(_ *input, out *Result) bool { return out.named(Opaque) }
