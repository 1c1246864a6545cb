package routes

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// Bounds of what is read from users' files.
const (
	maxLineFile   = 64 << 20
	maxLinePoints = 200_000
	// nearEnough is how near points may be, in metres, before one of them is left out.
	nearEnough = 3
	// closes is how far apart the ends of a line may be that is driven as a loop.
	closes = 60
	// standsEvery is how far vehicles drive on users' lines between two stops.
	standsEvery = 4000
)

// Line is a road of the user's.
type Line struct {
	Name   string
	points []point
}

var errNoLine = errors.New("it has no line of two points or more")

// ReadLines reads the tracks and routes of a GPX file or the lines of a GeoJSON file.
func ReadLines(file string) ([]Line, error) {
	f, err := os.Open(file) //nolint:gosec // the file that it is given
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxLineFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read routes: %w", err)
	case len(text) > maxLineFile:
		return nil, fmt.Errorf("read routes: %s has more than %d bytes", file, maxLineFile)
	}
	lines, err := parseLines(text, strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)))
	if err != nil {
		return nil, fmt.Errorf("read routes from %s: %w", file, err)
	}
	return lines, nil
}

func parseLines(text []byte, name string) ([]Line, error) {
	parse := parseGPX
	if trimmed := strings.TrimSpace(string(text[:min(len(text), 512)])); strings.HasPrefix(trimmed, "{") {
		parse = parseGeoJSON
	}
	all, err := parse(text)
	if err != nil {
		return nil, err
	}
	var lines []Line
	total := 0
	for _, points := range all {
		if points = thin(points); len(points) < 2 {
			continue
		}
		if total += len(points); total > maxLinePoints {
			return nil, fmt.Errorf("more than %d points", maxLinePoints)
		}
		lines = append(lines, Line{Name: name, points: points})
	}
	if len(lines) == 0 {
		return nil, errNoLine
	}
	return lines, nil
}

// thin leaves out what is no place on the globe and what is too near to the point before, and lets longitudes go on
// beyond 180 where a line crosses that meridian.
func thin(points []point) (kept []point) {
	for _, p := range points {
		if !(math.Abs(p.lat) <= 85 && math.Abs(p.lon) <= 180) { // not a number among them
			continue
		}
		if n := len(kept); n > 0 {
			p.lon = near(p.lon, kept[n-1].lon)
			if distance(kept[n-1], p) < nearEnough {
				continue
			}
		}
		kept = append(kept, p)
	}
	return kept
}

type gpxPoint struct {
	Lat float64 `xml:"lat,attr"`
	Lon float64 `xml:"lon,attr"`
}

func parseGPX(text []byte) ([][]point, error) {
	var file struct {
		XMLName xml.Name `xml:"gpx"`
		Tracks  []struct {
			Segments []struct {
				Points []gpxPoint `xml:"trkpt"`
			} `xml:"trkseg"`
		} `xml:"trk"`
		Routes []struct {
			Points []gpxPoint `xml:"rtept"`
		} `xml:"rte"`
	}
	if err := xml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read GPX: %w", err)
	}
	var lines [][]point
	add := func(points []gpxPoint) {
		line := make([]point, len(points))
		for i, p := range points {
			line[i] = point{p.Lat, p.Lon}
		}
		lines = append(lines, line)
	}
	for _, t := range file.Tracks {
		for _, s := range t.Segments {
			add(s.Points)
		}
	}
	for _, r := range file.Routes {
		add(r.Points)
	}
	return lines, nil
}

// geometry is any member of RFC 7946 that may hold lines.
type geometry struct {
	Type        string          `json:"type"`
	Features    []geometry      `json:"features"`
	Geometry    *geometry       `json:"geometry"`
	Geometries  []geometry      `json:"geometries"`
	Coordinates json.RawMessage `json:"coordinates"`
}

func parseGeoJSON(text []byte) ([][]point, error) {
	var g geometry
	if err := json.Unmarshal(text, &g); err != nil {
		return nil, fmt.Errorf("read GeoJSON: %w", err)
	}
	return g.lines(nil)
}

func (g *geometry) lines(into [][]point) ([][]point, error) {
	switch g.Type {
	case "LineString":
		return appendLine(into, g.Coordinates)
	case "MultiLineString", "Polygon":
		var parts []json.RawMessage
		if err := json.Unmarshal(g.Coordinates, &parts); err != nil {
			return nil, fmt.Errorf("read %s: %w", g.Type, err)
		}
		return eachOf(parts, into, func(p *json.RawMessage, into [][]point) ([][]point, error) { return appendLine(into, *p) })
	case "Feature":
		if g.Geometry != nil {
			return g.Geometry.lines(into)
		}
	case "FeatureCollection":
		return eachOf(g.Features, into, (*geometry).lines)
	case "GeometryCollection":
		return eachOf(g.Geometries, into, (*geometry).lines)
	}
	return into, nil
}

// eachOf lets every part append its lines.
func eachOf[T any](parts []T, into [][]point, lines func(*T, [][]point) ([][]point, error)) (_ [][]point, err error) {
	for i := range parts {
		if into, err = lines(&parts[i], into); err != nil {
			return nil, err
		}
	}
	return into, nil
}

func appendLine(into [][]point, coordinates json.RawMessage) ([][]point, error) {
	var pairs [][]float64 // longitude first (RFC 7946, section 3.1.1)
	if err := json.Unmarshal(coordinates, &pairs); err != nil {
		return nil, fmt.Errorf("read coordinates: %w", err)
	}
	var line []point
	for _, p := range pairs {
		if len(p) >= 2 {
			line = append(line, point{p[1], p[0]})
		}
	}
	return append(into, line), nil
}

// addLines makes tours of users' lines: round where a line ends where it begins, else there and back.
func (a *Atlas) addLines(lines []Line) error {
	for i, l := range lines {
		if len(l.points) < 2 {
			return fmt.Errorf("make world: line %q: %w", l.Name, errNoLine)
		}
		p := &place{name: l.Name, weight: 1, points: l.points}
		way := l.points
		if n := len(way); n > 3 && distance(way[0], way[n-1]) < closes {
			way = way[:n-1]
		} else {
			way = thereAndBack(way)
		}
		r := newRandom(a.seed, 6, uint64(i))
		var tour []waypoint
		driven := float64(standsEvery)
		for j, at := range way {
			w := waypoint{at: at, limit: asDrawn.cruise * r.within(0.85, 1.15)}
			if driven >= standsEvery {
				w.dwell, driven = r.within(asDrawn.dwellMin, asDrawn.dwellMax), 0
			}
			driven += distance(at, way[(j+1)%len(way)])
			tour = append(tour, w)
		}
		made := newPlan(p, tour, asDrawn)
		if made.period <= 0 {
			return fmt.Errorf("make world: line %q: %w", l.Name, errNoLine)
		}
		a.land.add(p, []*plan{made}, cityKinds)
	}
	return nil
}
