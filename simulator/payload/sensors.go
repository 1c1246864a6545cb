package payload

import (
	"fmt"
	"math"
	"strconv"
)

// geoJSON is a feature with a point (RFC 7946): longitude first.
var geoJSON = Format{
	Name: "geojson", About: "a GeoJSON feature", Topic: "geo/{device}", known: "{device}",
	append: func(dst []byte, d *Device, m *Message) []byte {
		dst = append(dst, `{"type":"Feature","id":"`...)
		dst = append(dst, d.Name...)
		dst = append(dst, `","geometry":`...)
		if m.Valid {
			dst = append(dst, `{"type":"Point","coordinates":[`...)
			dst = fixed(dst, m.Lon, 6)
			dst = append(dst, ',')
			dst = fixed(dst, m.Lat, 6)
			dst = append(dst, ',')
			dst = fixed(dst, m.Altitude, 1)
			dst = append(dst, `]}`...)
		} else {
			dst = append(dst, "null"...)
		}
		dst = append(dst, `,"properties":{"time":"`...)
		dst = m.At.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
		dst = append(dst, '"')
		dst = member(dst, "speed", m.Speed, 2)
		dst = member(dst, "heading", m.Heading, 1)
		dst = member(dst, "battery", m.Battery, 0)
		return append(dst, "}}"...)
	},
}

// nmea is a sentence RMC of NMEA 0183: degrees and minutes, knots, two digits of the year, a checksum.
var nmea = Format{
	Name: "nmea", About: "NMEA 0183 sentences RMC", Topic: "nmea/{device}", known: "{device}", append: appendNMEA,
}

func appendNMEA(dst []byte, _ *Device, m *Message) []byte {
	from := len(dst)
	at := m.At.UTC()
	dst = append(dst, "$GPRMC,"...)
	dst = at.AppendFormat(dst, "150405.00")
	if m.Valid {
		dst = append(dst, ",A,"...)
		dst = appendMinutes(dst, m.Lat, 2, 'N', 'S')
		dst = append(dst, ',')
		dst = appendMinutes(dst, m.Lon, 3, 'E', 'W')
		dst = append(dst, ',')
		dst = fixed(dst, m.Speed*knots, 2)
		dst = append(dst, ',')
		if !m.Parked {
			dst = fixed(dst, m.Heading, 1)
		}
	} else {
		dst = append(dst, ",V,,,,,,"...) // a receiver without satellites leaves out what it does not know
	}
	dst = append(dst, ',')
	dst = at.AppendFormat(dst, "020106")
	dst = append(dst, ",,,"...)
	if m.Valid {
		dst = append(dst, 'A')
	} else {
		dst = append(dst, 'N')
	}
	sum := byte(0)
	for _, c := range dst[from+1:] {
		sum ^= c
	}
	return fmt.Appendf(dst, "*%02X", sum)
}

// appendMinutes writes ddmm.mmmmm and the hemisphere.
func appendMinutes(dst []byte, degrees float64, width int, positive, negative byte) []byte {
	hemisphere := positive
	if degrees < 0 {
		hemisphere, degrees = negative, -degrees
	}
	const scale = 1e5 // of a minute
	units := int64(math.Round(degrees * 60 * scale))
	whole, rest := units/(60*scale), float64(units%(60*scale))/scale
	dst = fmt.Appendf(dst, "%0*d%08.5f,", width, whole, rest)
	return append(dst, hemisphere)
}

// senML is a pack of records (RFC 8428) with a base name and a base time; units are lat, lon, m, m/s, deg and %EL.
var senML = Format{
	Name: "senml", About: "SenML packs in JSON", Topic: "senml/{id}", known: "{id}",
	id: func(d *Device) string { return "urn:dev:ow:" + fmt.Sprintf("%016x", 0x10e2073a00000000+d.Index) }, append: appendSenML,
}

func appendSenML(dst []byte, d *Device, m *Message) []byte {
	dst = append(dst, `[{"bn":"`...)
	dst = append(dst, d.ID...)
	dst = append(dst, `","bt":`...)
	dst = fixed(dst, float64(m.At.UnixMilli())/1000, 3)
	dst = append(dst, `,"u":"%EL"`...)
	dst = append(member(dst, "v", m.Battery, 0), '}')
	if !m.Valid {
		return append(dst, ']')
	}
	for _, r := range [...]struct {
		unit     string
		v        float64
		decimals int
	}{{"lat", m.Lat, 6}, {"lon", m.Lon, 6}, {"m", m.Altitude, 1}, {"m/s", m.Speed, 2}, {"deg", m.Heading, 1}} {
		dst = append(dst, `,{"u":"`...)
		dst = append(dst, r.unit...)
		dst = append(dst, '"')
		dst = append(member(dst, "v", r.v, r.decimals), '}')
	}
	return append(dst, ']')
}

// shadow is what Nordic's asset trackers report to a device shadow: groups, each with its own time in milliseconds.
var shadow = Format{
	Name: "aws", About: "groups with their own times, as Nordic's asset tracker", Topic: "$aws/things/{device}/shadow/update", known: "{device}",
	append: func(dst []byte, _ *Device, m *Message) []byte {
		dst = append(dst, `{"state":{"reported":{"fg":{"v":{"SoC":`...)
		dst = fixed(dst, m.Battery, 0)
		dst = append(dst, `},"ts":`...)
		dst = strconv.AppendInt(dst, m.At.UnixMilli(), 10)
		dst = append(dst, '}')
		if m.Valid {
			dst = append(dst, `,"gnss":{"v":{"lng":`...)
			dst = fixed(dst, m.Lon, 6)
			dst = member(dst, "lat", m.Lat, 6)
			dst = member(dst, "acc", m.Accuracy, 1)
			dst = member(dst, "alt", m.Altitude, 1)
			dst = member(dst, "spd", m.Speed, 2)
			dst = member(dst, "hdg", m.Heading, 1)
			dst = append(dst, `},"ts":`...)
			dst = strconv.AppendInt(dst, m.At.UnixMilli(), 10)
			dst = append(dst, '}')
		}
		return append(dst, "}}}"...)
	},
}

// meshtastic is the JSON of a Meshtastic gateway: degrees as integers of 1e-7, a heading of 1e-5, whole seconds.
var meshtastic = Format{
	Name: "meshtastic", About: "positions of a Meshtastic gateway", Topic: "msh/EU_868/2/json/LongFast/{id}", known: "{id}",
	id: func(d *Device) string { return fmt.Sprintf("!%08x", node(d)) }, append: appendMeshtastic,
}

func node(d *Device) uint32 { return 0x4e000000 + uint32(d.Index) }

func appendMeshtastic(dst []byte, d *Device, m *Message) []byte {
	dst = append(dst, `{"channel":0,"from":`...)
	dst = strconv.AppendUint(dst, uint64(node(d)), 10)
	dst = append(dst, `,"id":`...)
	dst = strconv.AppendUint(dst, (uint64(d.Index)<<20+m.Seq)&0x7fffffff, 10)
	dst = append(dst, `,"payload":{"latitude_i":`...)
	dst = strconv.AppendInt(dst, int64(math.Round(m.Lat*1e7)), 10)
	dst = append(dst, `,"longitude_i":`...)
	dst = strconv.AppendInt(dst, int64(math.Round(m.Lon*1e7)), 10)
	dst = member(dst, "altitude", m.Altitude, 0)
	dst = member(dst, "ground_speed", m.Speed*kmh, 0)
	dst = member(dst, "ground_track", m.Heading*1e5, 0)
	dst = append(dst, `,"sats_in_view":`...)
	dst = strconv.AppendInt(dst, int64(m.Satellites), 10)
	dst = append(dst, `,"time":`...)
	dst = strconv.AppendInt(dst, m.At.Unix(), 10)
	dst = append(dst, `},"sender":"`...)
	dst = append(dst, d.ID...)
	dst = append(dst, `","timestamp":`...)
	dst = strconv.AppendInt(dst, m.At.Unix(), 10)
	return append(dst, `,"to":4294967295,"type":"position"}`...)
}

// eui is a device's number in a LoRaWAN network.
func eui(d *Device) string { return fmt.Sprintf("70b3d57ed0%06x", d.Index&0xffffff) }

// chirpStack is an uplink event of ChirpStack 4 whose codec gave an object.
var chirpStack = Format{
	Name: "chirpstack", About: "ChirpStack 4 uplinks with a decoded object", Topic: "application/{fleet}/device/{id}/event/up", known: "{id}",
	id: eui, append: appendChirpStack,
}

func appendChirpStack(dst []byte, d *Device, m *Message) []byte {
	dst = fmt.Appendf(dst, `{"deduplicationId":"%08x-0000-4000-8000-%012x","time":"`, uint32(d.Index), m.Seq)
	dst = m.At.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000000+00:00")
	dst = append(dst, `","deviceInfo":{"applicationId":"`...)
	dst = append(dst, d.Fleet...)
	dst = append(dst, `","deviceName":"`...)
	dst = append(dst, d.Name...)
	dst = append(dst, `","devEui":"`...)
	dst = append(dst, d.ID...)
	dst = append(dst, `"},"devAddr":"00189440","dr":5,"fPort":2,"object":{"battery":`...)
	dst = fixed(dst, m.Battery, 0)
	if m.Valid {
		dst = member(dst, "latitude", m.Lat, 6)
		dst = member(dst, "longitude", m.Lon, 6)
		dst = member(dst, "altitude", m.Altitude, 0)
	}
	return append(dst, `},"rxInfo":[{"gatewayId":"0016c001f153a14c","rssi":-71,"snr":8.5}]}`...)
}

// tts is an uplink of The Things Stack 3 with a decoded payload: what is empty is left out.
var tts = Format{
	Name: "thethingsstack", About: "The Things Stack 3 uplinks with a decoded payload", Topic: "v3/{fleet}@simulator/devices/{device}/up", known: "{device}",
	id: eui, append: appendTTS,
}

func appendTTS(dst []byte, d *Device, m *Message) []byte {
	dst = append(dst, `{"end_device_ids":{"device_id":"`...)
	dst = append(dst, d.Name...)
	dst = append(dst, `","application_ids":{"application_id":"`...)
	dst = append(dst, d.Fleet...)
	dst = append(dst, `"},"dev_eui":"`...)
	dst = append(dst, eui(d)...)
	dst = append(dst, `"},"received_at":"`...)
	dst = m.At.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000000Z")
	dst = append(dst, `","uplink_message":{"f_port":2,"decoded_payload":{"battery":`...)
	dst = fixed(dst, m.Battery, 0)
	if m.Valid {
		dst = member(dst, "latitude", m.Lat, 6)
		dst = member(dst, "longitude", m.Lon, 6)
		dst = member(dst, "altitude", m.Altitude, 0)
	}
	dst = append(dst, `},"received_at":"`...)
	dst = m.At.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000000Z")
	return append(dst, `"}}`...)
}
