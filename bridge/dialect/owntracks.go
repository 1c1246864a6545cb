package dialect

import (
	"bytes"
	"slices"

	"github.com/fleetcast/fleetcast/devices"
)

// decodeOwnTracks reads the JSON of OwnTracks, whose member _type says what a message is, and its CSV form. Source: the
// OwnTracks booklet, "tech/json". Of it only location is a reading and only lwt is presence; a transition is an event.
// What else the apps publish under the device's topic is named, so that it is not counted as an error, and otherwise left
// alone. An object without _type is declined.
func decodeOwnTracks(in *input, out *Result) bool {
	if len(in.payload) > 0 && in.payload[0] != '{' && bytes.IndexByte(in.payload, ',') > 0 {
		return decodeGreenwich(in, out)
	}
	sink, reading := &out.tracks, out.blank(0)
	sink.begin(in, reading)
	sink.kind, sink.typed = Rejected, false
	if reason := out.scanner.scan(in.payload, sink); reason != None {
		return out.decline(reason)
	}
	kind := sink.finish()
	if !sink.typed {
		return out.decline(Declined)
	}
	out.Kind = sink.kind
	switch {
	case sink.kind == Position:
		out.Kind = kind // Telemetry where the location has no coordinates
		out.Dropped = sink.dropped
		out.addReading(in, out.Kind, reading)
	case sink.kind == Presence:
		// The will's tst is when the phone connected, not when it went away: the receive time is what is known.
		out.addStatus(in, devices.Offline)
	case sink.kind == Event && kind == Position:
		keepMetrics(reading, "event", "desc")
		out.addReading(in, Event, reading)
	case sink.kind == Region && kind == Position:
		keepMetrics(reading, "rad", "desc")
		out.addReading(in, Region, reading).Aside = true
	}
	return true
}

// keepMetrics leaves out all metrics but those.
func keepMetrics(r *devices.Reading, names ...string) {
	r.Metrics = slices.DeleteFunc(r.Metrics, func(m devices.Metric) bool { return !slices.Contains(names, m.Name) })
}

type ownTracksSink struct {
	collector
	kind  Kind
	typed bool
}

func ownTracksKind(name []byte) Kind {
	switch string(name) {
	case "location":
		return Position
	case "lwt":
		return Presence
	case "waypoint", "waypoints":
		return Region
	case "cmd", "request":
		return Command
	case "encrypted", "card", "configuration", "dump", "status", "steps":
		return Opaque
	}
	return Event // transition, beacon, and what will be invented
}

const kmhPerMS = 3.6

// leaf implements leafSink. The type may stand behind everything else, so all is read as if it were a location.
func (s *ownTracksSink) leaf(path []byte, v *leaf) {
	r := s.reading
	switch string(path) {
	case "_type":
		s.typed = v.kind == devices.Text && !v.long
		s.kind = ownTracksKind(v.text)
	case "lat":
		s.coordinate(&s.lat, v)
	case "lon":
		s.coordinate(&s.lon, v)
	case "alt":
		s.measure(devices.FieldAltitude, &r.Altitude, v)
	case "vel":
		s.unknownable(devices.FieldSpeed, &r.Speed, kmhPerMS, v)
	case "cog":
		s.unknownable(devices.FieldHeading, &r.Heading, 1, v)
	case "acc":
		s.measure(devices.FieldAccuracy, &r.Accuracy, v)
	case "batt":
		s.measure(devices.FieldBattery, &r.Battery, v)
	case "tst":
		if ms, ok := v.unixMillis(); ok {
			r.At = ms
		} else {
			s.dropped++
		}
	case "t", "tid", "topic": // the trigger, a two-letter label and the topic once more
	case "dist", "trip":
		s.number(path, v)
	default:
		if len(path) == 0 || path[0] != '_' { // _id, _http and their like are about the message
			s.metric(path, v)
		}
	}
}

// unknownable stores a measure for which -1 stands for unknown: the old value no longer holds.
func (s *ownTracksSink) unknownable(field devices.Fields, place *float64, divisor float64, v *leaf) {
	n, ok := v.numeric()
	switch {
	case v.kind == devices.Null || (ok && n == -1):
		s.clear(field)
	case ok:
		s.set(field, place, n/divisor)
	default:
		s.dropped++
	}
}

// number stores a metric that Greenwich trackers send as a string. Others are kept as they come: a cell id "4F41" and
// the next cell's "4711" are both texts.
func (s *ownTracksSink) number(path []byte, v *leaf) {
	if n, ok := v.numeric(); ok {
		*v = leaf{kind: devices.Number, num: n}
	}
	s.metric(path, v)
}
