package dialect

import "github.com/fleetcast/fleetcast/devices"

// decodeNative reads our own format: a JSON object whose members are all optional. Source: DESIGN, "MQTT".
//
//	at, ts, time, timestamp   unix ms, unix s or RFC 3339; the first of them in this order that is a time
//	lat, lon                  degrees; both or none
//	altitude, accuracy        m
//	speed                     m/s
//	heading                   degrees true
//	battery                   percent
//
// Every other member is a metric; nested objects flatten with dots, arrays are ignored, null deletes. A number in a
// string is a number for the members above ("51.4"; "51,4" is none).
func decodeNative(in *input, out *Result) bool {
	sink, reading := &out.native, out.blank(0)
	sink.begin(in, reading)
	sink.timeRank = 0
	if reason := out.scanner.scan(in.payload, sink); reason != None {
		return out.reject(reason)
	}
	out.Kind = sink.finish()
	out.Dropped = sink.dropped
	out.addReading(in, out.Kind, reading)
	return true
}

type nativeSink struct {
	collector
	timeRank int // of the member that gave the time so far
}

// The ranks of the members that may hold the time: where several do, the better name counts, wherever it stands.
const (
	rankTimestamp = iota + 1
	rankTime
	rankTS
	rankAt
)

// leaf implements leafSink.
func (s *nativeSink) leaf(path []byte, v *leaf) {
	r := s.reading
	switch string(path) {
	case "lat":
		s.coordinate(&s.lat, v)
	case "lon":
		s.coordinate(&s.lon, v)
	case "altitude":
		s.measure(devices.FieldAltitude, &r.Altitude, v)
	case "speed":
		s.measure(devices.FieldSpeed, &r.Speed, v)
	case "heading":
		s.measure(devices.FieldHeading, &r.Heading, v)
	case "accuracy":
		s.measure(devices.FieldAccuracy, &r.Accuracy, v)
	case "battery":
		s.measure(devices.FieldBattery, &r.Battery, v)
	case "at":
		s.time(rankAt, v)
	case "ts":
		s.time(rankTS, v)
	case "time":
		s.time(rankTime, v)
	case "timestamp":
		s.time(rankTimestamp, v)
	case "sat", "satellites":
		s.satellites(v)
		s.metric(path, v)
	default:
		s.metric(path, v)
	}
}

func (s *nativeSink) time(rank int, v *leaf) {
	if v.kind == devices.Null { // no claim
		return
	}
	ms, ok := v.unixMillis()
	if !ok {
		s.dropped++
		return
	}
	if rank >= s.timeRank {
		s.reading.At, s.timeRank = ms, rank
	}
}
