package payload

import (
	"fmt"
	"strconv"
	"time"
)

// native is the gateway's own JSON. seq and buffered are metrics: a viewer takes the latency of what has a seq.
var native = Format{
	Name: "native", About: "the gateway's own JSON",
	Topic: "fleets/{fleet}/devices/{device}/telemetry", Status: "fleets/{fleet}/devices/{device}/status", Will: "fleets/{fleet}/devices/{device}/status",
	known: "{device}", append: appendNative,
}

// Six decimals of a degree are a tenth of a metre, which is what receivers print.
func appendNative(dst []byte, _ *Device, m *Message) []byte {
	dst = append(dst, `{"at":`...)
	dst = strconv.AppendInt(dst, m.At.UnixMilli(), 10)
	dst = member(dst, "lat", m.Lat, 6)
	dst = member(dst, "lon", m.Lon, 6)
	if m.Valid {
		dst = member(dst, "speed", m.Speed, 2)
		if !m.Parked { // a tracker that stands knows no heading
			dst = member(dst, "heading", m.Heading, 1)
		}
		dst = member(dst, "accuracy", m.Accuracy, 0)
	} else {
		dst = append(dst, `,"satellites":0`...)
	}
	dst = member(dst, "battery", m.Battery, 0)
	dst = member(dst, "fuel", m.Fuel, 1)
	switch {
	case m.Stamp && !m.Buffered:
		dst = append(dst, `,"seq":`...)
		dst = strconv.AppendUint(dst, m.Seq, 10)
	case m.Buffered: // null deletes: no latency is to be taken of what was held back
		dst = append(dst, `,"seq":null`...)
	}
	return append(dst, '}')
}

// ownTracks is a location of the apps (booklet, tech/json): whole seconds, km/h.
var ownTracks = Format{
	Name: "owntracks", About: "OwnTracks apps, JSON", Topic: "owntracks/{fleet}/{device}", Will: "owntracks/{fleet}/{device}",
	Retain: true, known: "{fleet}:{device}", append: appendOwnTracks,
	// As the apps do: on the device's own topic, with the time of the connection.
	will: func(dst []byte, unix int64) []byte {
		return append(strconv.AppendInt(append(dst, `{"_type":"lwt","tst":`...), unix, 10), '}')
	},
}

func appendOwnTracks(dst []byte, d *Device, m *Message) []byte {
	dst = append(dst, `{"_type":"location","tid":"`...)
	dst = append(dst, d.Name[len(d.Name)-min(2, len(d.Name)):]...)
	dst = append(dst, `","tst":`...)
	dst = strconv.AppendInt(dst, m.At.Unix(), 10)
	dst = member(dst, "lat", m.Lat, 6)
	dst = member(dst, "lon", m.Lon, 6)
	dst = member(dst, "vel", m.Speed*kmh, 0)
	if !m.Parked {
		dst = member(dst, "cog", m.Heading, 0)
	}
	dst = member(dst, "acc", m.Accuracy, 0)
	dst = member(dst, "batt", m.Battery, 0)
	return append(dst, `,"t":"p"}`...)
}

// teltonika is Codec JSON of firmware 03.27 and newer: IO elements by number, km/h, milliseconds, and the position as one
// text. Without satellites it says 0,0 until the first fix.
var teltonika = Format{
	Name: "teltonika", About: "Teltonika Codec JSON", Topic: "{fleet}/simulator/teltonika/{id}/data", known: "{id}",
	id: func(d *Device) string { return digits("35", d.Index, 15) }, append: appendTeltonika,
}

func appendTeltonika(dst []byte, _ *Device, m *Message) []byte {
	dst = append(dst, `{"state":{"reported":{"16":`...)
	dst = strconv.AppendInt(dst, int64(m.Odometer)%1e9, 10)
	dst = append(dst, `,"66":`...)
	dst = strconv.AppendInt(dst, 12000+int64(m.Battery*20), 10) // mV of the vehicle
	dst = member(dst, "113", m.Battery, 0)
	dst = append(dst, `,"239":`...)
	dst = append(dst, bit(m.Speed > 0)) // ignition
	dst = append(dst, `,"240":`...)
	dst = append(dst, bit(m.Speed > 0)) // movement
	dst = append(dst, `,"latlng":"`...)
	if m.Valid {
		dst = fixed(dst, m.Lat, 7)
		dst = append(dst, ',')
		dst = fixed(dst, m.Lon, 7)
	} else {
		dst = append(dst, "0,0"...)
	}
	dst = append(dst, `","ts":`...)
	dst = strconv.AppendInt(dst, m.At.UnixMilli(), 10)
	for _, n := range [...]struct {
		name string
		n    float64
	}{{"alt", m.Altitude}, {"ang", m.Heading}, {"sat", float64(m.Satellites)}, {"sp", m.Speed * kmh}} {
		dst = append(dst, `,"`...)
		dst = append(dst, n.name...)
		dst = append(dst, `":"`...)
		dst = fixed(dst, n.n, 0)
		dst = append(dst, '"')
	}
	return append(dst, "}}}"...)
}

func bit(b bool) byte {
	if b {
		return '1'
	}
	return '0'
}

// traccar is a position as Traccar forwards it over MQTT: knots, and times with a zone without a colon.
var traccar = Format{
	Name: "traccar", About: "positions that Traccar forwards", Topic: "traccar/positions", known: "{device}", append: appendTraccar,
}

const traccarTime = "2006-01-02T15:04:05.000+0000"

func appendTraccar(dst []byte, d *Device, m *Message) []byte {
	dst = append(dst, `{"position":{"id":0,"attributes":{"batteryLevel":`...)
	dst = fixed(dst, m.Battery, 0)
	dst = append(dst, `,"sat":`...)
	dst = strconv.AppendInt(dst, int64(m.Satellites), 10)
	dst = append(dst, `,"ignition":`...)
	dst = strconv.AppendBool(dst, m.Speed > 0)
	dst = member(dst, "totalDistance", m.Odometer, 1)
	dst = append(dst, `},"deviceId":`...)
	dst = strconv.AppendInt(dst, int64(d.Index)+1, 10)
	dst = append(dst, `,"protocol":"simulator"`...)
	for _, name := range [...]string{"serverTime", "deviceTime", "fixTime"} {
		dst = append(dst, `,"`...)
		dst = append(dst, name...)
		dst = append(dst, `":"`...)
		dst = m.At.UTC().AppendFormat(dst, traccarTime)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"outdated":false,"valid":`...)
	dst = strconv.AppendBool(dst, m.Valid)
	dst = member(dst, "latitude", m.Lat, 6)
	dst = member(dst, "longitude", m.Lon, 6)
	dst = member(dst, "altitude", m.Altitude, 1)
	dst = member(dst, "speed", m.Speed*knots, 3)
	dst = member(dst, "course", m.Heading, 1)
	dst = member(dst, "accuracy", m.Accuracy, 1)
	dst = append(dst, `,"network":null},"device":{"id":`...)
	dst = strconv.AppendInt(dst, int64(d.Index)+1, 10)
	dst = append(dst, `,"attributes":{},"groupId":0,"name":"`...)
	dst = append(dst, d.Name...)
	dst = append(dst, `","uniqueId":"`...)
	dst = append(dst, d.Name...)
	return append(dst, `","status":"online"}}`...)
}

// homeAssistant is what a device tracker gives as its attributes: no time at all.
var homeAssistant = Format{
	Name: "homeassistant", About: "Home Assistant's JSON attributes", Topic: "location/{device}", known: "{device}",
	append: func(dst []byte, _ *Device, m *Message) []byte {
		dst = append(dst, `{"latitude":`...)
		dst = fixed(dst, m.Lat, 6)
		dst = member(dst, "longitude", m.Lon, 6)
		dst = member(dst, "gps_accuracy", m.Accuracy, 1)
		return append(member(dst, "battery_level", m.Battery, 0), '}')
	},
}

// hfp is the vehicle position of HSL's High-frequency positioning, version 2: m/s, and "acc" is an acceleration.
var hfp = Format{
	Name: "hsl", About: "HSL high-frequency positions of public transport", Topic: "/hfp/v2/journey/ongoing/vp/bus/{id}/1001/1/Harbour/08:15/1020450/5/60;24/19/73/54",
	id:    func(d *Device) string { return fmt.Sprintf("0018/%05d", d.Index%1e5) },
	known: "{id}", append: appendHFP,
}

func appendHFP(dst []byte, d *Device, m *Message) []byte {
	dst = append(dst, `{"VP":{"desi":"1","dir":"1","oper":18,"veh":`...)
	dst = strconv.AppendInt(dst, int64(d.Index), 10)
	dst = append(dst, `,"tst":"`...)
	dst = m.At.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	dst = append(dst, `","tsi":`...)
	dst = strconv.AppendInt(dst, m.At.Unix(), 10)
	dst = member(dst, "spd", m.Speed, 2)
	dst = member(dst, "hdg", m.Heading, 0)
	if m.Valid {
		dst = member(dst, "lat", m.Lat, 6)
		dst = member(dst, "long", m.Lon, 6)
	} else {
		dst = append(dst, `,"lat":null,"long":null`...)
	}
	dst = append(dst, `,"acc":0,"dl":0,"odo":`...)
	dst = strconv.AppendInt(dst, int64(m.Odometer)%1e6, 10)
	dst = append(dst, `,"drst":0,"oday":"`...)
	dst = m.At.UTC().AppendFormat(dst, time.DateOnly)
	return append(dst, `","jrn":1,"line":1,"start":"08:15","loc":"GPS","stop":null,"route":"1001","occu":0}}`...)
}
