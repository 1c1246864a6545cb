package routes

import (
	"math"
	"os"
	"testing"
	"time"
)

func TestAUsersRoadsAreDriven(t *testing.T) {
	lines, err := ReadLines("testdata/ring.gpx")
	if err != nil || len(lines) != 2 || lines[0].Name != "ring" {
		t.Fatalf("%+v, %v", lines, err)
	}
	a, err := NewWorld(Options{Seed: 3, Lines: lines})
	if err != nil {
		t.Fatal(err)
	}
	rings, crossings := 0, 0
	for i := range 40 {
		v := a.Vehicle(i)
		before := v.At(start)
		for n := 1; n <= 3000; n++ {
			now := v.At(start.Add(time.Duration(n) * 100 * time.Millisecond))
			if math.Abs(now.Lon) > 180 {
				t.Fatalf("vehicle %d is at %f", i, now.Lon)
			}
			if math.Abs(now.Lon-before.Lon) > 300 { // it crosses the meridian
				crossings++
			} else {
				checkStep(t, i, before, now, 0.1)
			}
			before = now
		}
		if before.Lat > 52.49 && before.Lat < 52.51 && before.Lon > 13.39 && before.Lon < 13.41 {
			rings++
		}
		if t.Failed() {
			return
		}
	}
	if rings < 10 || crossings == 0 {
		t.Errorf("%d of 40 vehicles are on the ring, and %d times one crossed the meridian", rings, crossings)
	}
}

func TestLinesOfGeoJSON(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		lines int
	}{
		"a line":         {`{"type":"LineString","coordinates":[[2,48],[2.01,48.01,35],[2.02,48.01]]}`, 1},
		"a feature":      {`{"type":"Feature","properties":{},"geometry":{"type":"MultiLineString","coordinates":[[[2,48],[2.01,48]],[[3,48],[3.01,48]]]}}`, 2},
		"a collection":   {`{"type":"FeatureCollection","features":[{"type":"Feature","geometry":null},{"type":"Feature","geometry":{"type":"Polygon","coordinates":[[[2,48],[2.01,48],[2.01,48.01],[2,48]]]}}]}`, 1},
		"points only":    {`{"type":"Point","coordinates":[2,48]}`, 0},
		"not GeoJSON":    {`{"type":"LineString","coordinates":"x"}`, 0},
		"one place":      {`{"type":"LineString","coordinates":[[2,48],[2,48],[500,48]]}`, 0},
		"half an object": {`{"type"`, 0},
		"not XML":        {`<gpx><trk>`, 0},
		"other XML":      {`<kml></kml>`, 0},
	} {
		lines, err := parseLines([]byte(c.text), name)
		if len(lines) != c.lines || (err == nil) != (c.lines > 0) {
			t.Errorf("%s: %d lines, %v", name, len(lines), err)
		}
	}
}

func FuzzLines(f *testing.F) {
	gpx, err := os.ReadFile("testdata/ring.gpx")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(gpx)
	f.Add([]byte(`{"type":"LineString","coordinates":[[179.9,48],[-179.9,48.01,35],[2.02,48.01]]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines, err := parseLines(text, "fuzz")
		if err != nil {
			return
		}
		a, err := NewWorld(Options{Lines: lines})
		if err != nil {
			t.Fatal(err)
		}
		v := a.Vehicle(1)
		if m := v.At(start); math.IsNaN(m.Lat) || math.IsNaN(m.Speed) || math.Abs(m.Lon) > 180 || math.Abs(m.Lat) > 90 {
			t.Fatalf("%+v", m)
		}
	})
}
