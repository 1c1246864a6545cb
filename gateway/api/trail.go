package api

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// Trails is where trails are read: of the bus, or a fake.
type Trails interface {
	Trail(ctx context.Context, fleet devices.FleetID, device devices.DeviceID, q devices.TrailQuery) ([]devices.Fix, error)
}

// Bounds of a trail's query.
const (
	maxSimplify = 100_000 // m
	trailBound  = 5 * time.Second
)

// trail answers the trail of an asset as one feature (RFC 7946 section 3.2): its line, and in the properties, place by
// place, when it was there (coordTimes, as tools that turn GPX into GeoJSON write them) and how fast, heading where and
// how high, where that is known. One place is a Point; where there is none, the geometry is null.
func (a *API) trail(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	name, ok := nameIn(r, "/api/assets/")
	id, err := devices.ParseDeviceID(name)
	if !ok || err != nil {
		return errNoAsset
	}
	q, err := parseTrail(r)
	if err != nil {
		return err
	}
	fleet, fixes, err := a.trailOf(r.Context(), id, c, q)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/geo+json") // RFC 7946 section 12
	_, _ = w.Write(appendTrail(nil, id, fleet, fixes))     //nolint:gosec // JSON whose strings hold no markup, not HTML, and nosniff; a client that is gone needs no answer
	return nil
}

// trailOf is the one way to a trail.
func (a *API) trailOf(ctx context.Context, id devices.DeviceID, c *devices.Caller, q devices.TrailQuery) (devices.FleetID, []devices.Fix, error) {
	fleet, err := a.fleetSeen(c, id)
	if err != nil {
		return fleet, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, trailBound)
	defer cancel()
	fixes, err := a.options.Trails.Trail(ctx, fleet, id, q)
	if err != nil && devices.KindOf(err) == devices.Internal {
		err = &devices.Error{Kind: devices.Unavailable, Detail: "the trail could not be read; try again", Err: err}
	}
	return fleet, fixes, err
}

func parseTrail(r *http.Request) (q devices.TrailQuery, err error) {
	values, err := parseQuery(r, "from", "to", "limit", "simplify")
	if err != nil {
		return q, err
	}
	if q.From, err = parseTime(values, "from"); err != nil {
		return q, err
	}
	if q.To, err = parseTime(values, "to"); err != nil {
		return q, err
	}
	if values.Has("from") && values.Has("to") && q.From > q.To {
		return q, devices.Errorf(devices.Invalid, "to", "is before from")
	}
	if values.Has("limit") {
		n, err := strconv.ParseUint(values.Get("limit"), 10, 32)
		if err != nil || n < 1 || n > devices.MaxTrailFixes {
			return q, devices.Errorf(devices.Invalid, "limit", "is no whole number from 1 to %d", devices.MaxTrailFixes)
		}
		q.Limit = int(n)
	}
	if values.Has("simplify") {
		q.Simplify, err = strconv.ParseFloat(values.Get("simplify"), 64)
		if err != nil || !(q.Simplify >= 0 && q.Simplify <= maxSimplify) {
			return q, devices.Errorf(devices.Invalid, "simplify", "is no number of metres from 0 to %d", maxSimplify)
		}
	}
	return q, nil
}

// parseTime reads unix ms or RFC 3339; 0 where there is none.
func parseTime(values url.Values, name string) (int64, error) {
	if !values.Has(name) {
		return 0, nil
	}
	text := values.Get(name)
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms > 0 && ms < 1<<53 {
		return ms, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.UnixMilli() <= 0 {
		return 0, devices.Errorf(devices.Invalid, name, "is no time: write unix milliseconds or RFC 3339, such as 2026-06-01T12:00:00Z")
	}
	return t.UnixMilli(), nil
}

func appendTrail(dst []byte, id devices.DeviceID, fleet devices.FleetID, fixes []devices.Fix) []byte {
	dst = devices.AppendJSONString(append(dst, `{"type":"Feature","id":`...), id.String())
	lines := cutAtAntimeridian(fixes)
	dst = append(dst, `,"geometry":`...)
	switch {
	case len(fixes) == 0:
		dst = append(dst, "null"...)
	case len(fixes) == 1:
		dst = append(appendPlace(append(dst, `{"type":"Point","coordinates":`...), &fixes[0]), '}')
	case len(lines) == 1:
		dst = append(appendEach(append(dst, `{"type":"LineString","coordinates":`...), lines[0], appendPlace), '}')
	default:
		dst = append(appendLines(append(dst, `{"type":"MultiLineString","coordinates":`...), lines, appendPlace), '}')
	}
	dst = devices.AppendJSONString(append(dst, `,"properties":{"id":`...), id.String())
	dst = devices.AppendJSONString(append(dst, `,"fleet":`...), fleet.String())
	for _, p := range trailProperties {
		if p.field != 0 && !slices.ContainsFunc(fixes, func(f devices.Fix) bool { return f.Has.Has(p.field) }) {
			continue
		}
		dst = append(append(append(dst, `,"`...), p.name...), `":`...)
		if len(lines) > 1 {
			dst = appendLines(dst, lines, p.append)
		} else {
			dst = appendEach(dst, fixes, p.append)
		}
	}
	return append(dst, "}}"...)
}

// trailProperties are what is said of each place. One of a field is there where any fix has it, with null where one has not.
var trailProperties = []struct {
	name   string
	field  devices.Fields
	append func([]byte, *devices.Fix) []byte
}{
	{"coordTimes", 0, func(dst []byte, f *devices.Fix) []byte {
		dst = time.UnixMilli(f.At).UTC().AppendFormat(append(dst, '"'), "2006-01-02T15:04:05.000Z")
		return append(dst, '"')
	}},
	{"speeds", devices.FieldSpeed, func(dst []byte, f *devices.Fix) []byte {
		return appendMeasure(dst, f, devices.FieldSpeed, f.Speed)
	}},
	{"headings", devices.FieldHeading, func(dst []byte, f *devices.Fix) []byte {
		return appendMeasure(dst, f, devices.FieldHeading, f.Heading)
	}},
	{"altitudes", devices.FieldAltitude, func(dst []byte, f *devices.Fix) []byte {
		return appendMeasure(dst, f, devices.FieldAltitude, f.Altitude)
	}},
}

func appendMeasure(dst []byte, f *devices.Fix, field devices.Fields, v float64) []byte {
	if !f.Has.Has(field) {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

func appendPlace(dst []byte, f *devices.Fix) []byte {
	dst = strconv.AppendFloat(append(dst, '['), f.Lon, 'f', -1, 64) // RFC 7946 section 3.1.1: longitude first
	dst = strconv.AppendFloat(append(dst, ','), f.Lat, 'f', -1, 64)
	return append(dst, ']')
}

func appendEach(dst []byte, fixes []devices.Fix, one func([]byte, *devices.Fix) []byte) []byte {
	dst = append(dst, '[')
	for i := range fixes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = one(dst, &fixes[i])
	}
	return append(dst, ']')
}

func appendLines(dst []byte, lines [][]devices.Fix, one func([]byte, *devices.Fix) []byte) []byte {
	dst = append(dst, '[')
	for i, line := range lines {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendEach(dst, line, one)
	}
	return append(dst, ']')
}

// cutAtAntimeridian cuts a line where it crosses 180 degrees, as RFC 7946 section 3.1.9 asks: a map would draw it around the
// whole world. Both pieces have the place of the crossing.
func cutAtAntimeridian(fixes []devices.Fix) (lines [][]devices.Fix) {
	var line []devices.Fix
	for i := range fixes {
		if i > 0 && math.Abs(fixes[i].Lon-fixes[i-1].Lon) > 180 {
			west, east := crossing(&fixes[i-1], &fixes[i])
			lines = append(lines, append(line, west))
			line = []devices.Fix{east}
		}
		line = append(line, fixes[i])
	}
	if line == nil {
		return nil
	}
	return append(lines, line)
}

// crossing returns the place between two fixes at which 180 degrees are crossed, as it is called on either side.
func crossing(from, to *devices.Fix) (before, after devices.Fix) {
	side := math.Copysign(180, from.Lon)
	part := 0.0
	if way := math.Remainder(to.Lon-from.Lon, 360); way != 0 {
		part = min(max((side-from.Lon)/way, 0), 1)
	}
	at := from.At + int64(part*float64(to.At-from.At))
	lat := math.Round((from.Lat+part*(to.Lat-from.Lat))*1e7) / 1e7
	return devices.Fix{At: at, Lat: lat, Lon: side}, devices.Fix{At: at, Lat: lat, Lon: -side}
}
