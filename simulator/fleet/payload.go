package fleet

import (
	"strconv"
	"time"

	"github.com/fleetcast/fleetcast/simulator/routes"
)

// report is what a device says at an instant.
type report struct {
	at      time.Time
	motion  routes.Motion
	energy  routes.Energy
	parked  bool
	seq     uint64
	trackID string // two characters, OwnTracks only
}

// accuracy in metres, which every tracker claims.
const accuracy = 5

// appendNative writes the gateway's own JSON. at is the intended instant in unix milliseconds, so that whoever shows the
// asset can tell how long it took from when the device wanted to speak; seq is a metric.
func (r *report) appendNative(dst []byte) []byte {
	dst = append(dst, `{"at":`...)
	dst = strconv.AppendInt(dst, r.at.UnixMilli(), 10)
	dst = r.appendPosition(dst)
	dst = append(dst, `,"speed":`...)
	dst = appendDecimals(dst, r.motion.Speed, 2)
	if !r.parked { // a tracker that stands knows no heading
		dst = append(dst, `,"heading":`...)
		dst = appendDecimals(dst, r.motion.Heading, 1)
	}
	dst = append(dst, `,"accuracy":`...)
	dst = strconv.AppendInt(dst, accuracy, 10)
	dst = append(dst, `,"battery":`...)
	dst = appendDecimals(dst, r.energy.Battery, 0)
	dst = append(dst, `,"fuel":`...)
	dst = appendDecimals(dst, r.energy.Fuel, 1)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendUint(dst, r.seq, 10)
	return append(dst, '}')
}

// appendOwnTracks writes a location of the OwnTracks apps (booklet, tech/json): whole seconds, km/h.
func (r *report) appendOwnTracks(dst []byte) []byte {
	dst = append(dst, `{"_type":"location","tid":"`...)
	dst = append(dst, r.trackID...)
	dst = append(dst, `","tst":`...)
	dst = strconv.AppendInt(dst, r.at.Unix(), 10)
	dst = r.appendPosition(dst)
	dst = append(dst, `,"vel":`...)
	dst = appendDecimals(dst, r.motion.Speed*3.6, 0)
	if !r.parked {
		dst = append(dst, `,"cog":`...)
		dst = appendDecimals(dst, r.motion.Heading, 0)
	}
	dst = append(dst, `,"acc":`...)
	dst = strconv.AppendInt(dst, accuracy, 10)
	dst = append(dst, `,"batt":`...)
	dst = appendDecimals(dst, r.energy.Battery, 0)
	return append(dst, `,"t":"p"}`...)
}

// Six decimals of a degree are a tenth of a metre, which is what receivers print.
func (r *report) appendPosition(dst []byte) []byte {
	dst = append(dst, `,"lat":`...)
	dst = appendDecimals(dst, r.motion.Lat, 6)
	dst = append(dst, `,"lon":`...)
	return appendDecimals(dst, r.motion.Lon, 6)
}

func appendDecimals(dst []byte, n float64, decimals int) []byte {
	return strconv.AppendFloat(dst, n, 'f', decimals, 64)
}
