package dashboard_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/fleetcast/fleetcast/sse/dashboard"
	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// Tiles of the user's own file are drawn: MapLibre is asked what it drew, not whether it was asked to.
func TestAppDrawsTheTilesOfAFile(t *testing.T) {
	t.Parallel()
	built := browsertest.BuildApp(t)
	tiles := filepath.Join(t.TempDir(), "world.pmtiles")
	if err := os.WriteFile(tiles, pmtiles(worldTile(t, filepath.Join(built, "outlines.json"))), 0o600); err != nil {
		t.Fatal(err)
	}
	stream := newFakeStream()
	stream.put(asset(t, "camel", 23, 8, nil), asset(t, "ship", 23, -40, nil))
	b := openAppWith(t, stream, nil, func(o *dashboard.Options) { o.MapStyle = tiles })
	b.WaitFor(`map().pins === '2' && fleetcast.map().map.isSourceLoaded('tiles')`)
	b.WaitFor(`(() => {
		const { map } = fleetcast.map()
		const drawn = (lon, lat, layer) => map.queryRenderedFeatures(map.project([lon, lat]), { layers: [layer] }).length > 0
		// The Sahara is land, the Atlantic is not; and a name was placed.
		return drawn(8, 23, 'earth') && !drawn(-40, 23, 'earth') && map.queryRenderedFeatures({ layers: ['places'] }).some(f => f.properties.name === 'Timbuktu')
	})()`)
	noErrors(t, b)
}

// message is a message of Protocol Buffers that is being written.
type message []byte

func (m message) number(field, v uint64) message {
	return binary.AppendUvarint(binary.AppendUvarint(m, field<<3), v)
}

func (m message) bytes(field uint64, data []byte) message {
	return append(binary.AppendUvarint(binary.AppendUvarint(m, field<<3|2), uint64(len(data))), data...)
}

func (m message) packed(field uint64, numbers ...uint64) message {
	var data []byte
	for _, n := range numbers {
		data = binary.AppendUvarint(data, n)
	}
	return m.bytes(field, data)
}

const tileExtent = 4096

type tilePoint struct{ x, y int64 }

func tilePlace(lon, lat float64) tilePoint {
	sin := math.Sin(min(max(lat, -85.05), 85.05) * math.Pi / 180)
	return tilePoint{int64((lon/360 + 0.5) * tileExtent), int64((0.5 - math.Atanh(sin)/(2*math.Pi)) * tileExtent)}
}

// geometry is what a feature draws, in commands of the Mapbox Vector Tile Specification, section 4.3.
func geometry(points []tilePoint, close bool) (commands []uint64) {
	var at tilePoint
	step := func(p tilePoint) {
		zigzag := func(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }
		commands = append(commands, zigzag(p.x-at.x), zigzag(p.y-at.y))
		at = p
	}
	commands = append(commands, 1|1<<3) // move to
	step(points[0])
	if len(points) > 1 {
		commands = append(commands, 2|uint64(len(points)-1)<<3) // lines to
		for _, p := range points[1:] {
			step(p)
		}
	}
	if close {
		commands = append(commands, 7|1<<3)
	}
	return commands
}

// worldTile is the one tile of zoom 0: land of our outlines as the layer earth, and a place with a name.
func worldTile(t *testing.T, outlines string) []byte {
	t.Helper()
	data, err := os.ReadFile(outlines)
	if err != nil {
		t.Fatal(err)
	}
	var world struct {
		Scale float64
		Land  [][]int
	}
	if err := json.Unmarshal(data, &world); err != nil {
		t.Fatal(err)
	}
	const point, polygon = 1, 3
	earth := message{}.number(15, 2).bytes(1, []byte("earth")).number(5, tileExtent)
	for _, line := range world.Land {
		if ring := tileRing(line, world.Scale); len(ring) > 3 {
			earth = earth.bytes(2, message{}.number(3, polygon).packed(4, geometry(ring, true)...))
		}
	}
	town := message{}.packed(2, 0, 0, 1, 1).number(3, point).packed(4, geometry([]tilePoint{tilePlace(-3, 16.8)}, false)...)
	places := message{}.number(15, 2).bytes(1, []byte("places")).number(5, tileExtent).bytes(2, town)
	for _, key := range []string{"name", "kind"} {
		places = places.bytes(3, []byte(key))
	}
	for _, value := range []string{"Timbuktu", "locality"} {
		places = places.bytes(4, message{}.bytes(1, []byte(value)))
	}
	return message{}.bytes(3, earth).bytes(3, places)
}

// tileRing is a ring of the outlines in a tile, in the direction in which it is filled.
func tileRing(line []int, scale float64) (ring []tilePoint) {
	var lon, lat int
	for i := 0; i+1 < len(line); i += 2 {
		lon, lat = lon+line[i], lat+line[i+1]
		if p := tilePlace(float64(lon)/scale, float64(lat)/scale); len(ring) == 0 || p != ring[len(ring)-1] {
			ring = append(ring, p)
		}
	}
	var area int64
	for i, p := range ring {
		q := ring[(i+1)%len(ring)]
		area += p.x*q.y - q.x*p.y
	}
	if area == 0 {
		return nil
	}
	if area < 0 {
		for i, j := 0, len(ring)-1; i < j; i, j = i+1, j-1 {
			ring[i], ring[j] = ring[j], ring[i]
		}
	}
	return ring
}

// pmtiles is a file of one tile, as the PMTiles Specification, version 3, has it, without compression.
func pmtiles(tile []byte) []byte {
	metadata := []byte(`{"vector_layers":[{"id":"earth","fields":{}},{"id":"places","fields":{}}]}`)
	directory := []byte{1, 0, 1} // one entry, of tile 0, once
	directory = append(binary.AppendUvarint(directory, uint64(len(tile))), 1)
	const header = 127
	root, meta := uint64(len(directory)), uint64(len(metadata))
	file := append([]byte("PMTiles"), 3)
	for _, v := range []uint64{header, root, header + root, meta, 0, 0, header + root + meta, uint64(len(tile)), 1, 1, 1} {
		file = binary.LittleEndian.AppendUint64(file, v)
	}
	file = append(file, 1, 1, 1, 1, 0, 0) // clustered, no compression twice, vector tiles, of zoom 0
	for _, degrees := range []float64{-180, -85, 180, 85} {
		file = binary.LittleEndian.AppendUint32(file, uint32(int32(degrees*1e7)))
	}
	file = append(append(file, 0), make([]byte, 8)...) // looked at from the middle
	return append(append(append(file, directory...), metadata...), tile...)
}
