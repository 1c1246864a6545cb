package dashboard_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// The build step's file is what the page's reader expects, whole rings within the world, and carries its licences.
func TestOutlinesAreRingsOfTheWorldWithTheirLicence(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(browsertest.Outlines(t), "outlines.json"))
	if err != nil {
		t.Fatal(err)
	}
	var outlines struct {
		Notice        string
		Scale         int
		Land, Borders [][]int
	}
	if err := json.Unmarshal(data, &outlines); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(outlines.Notice, "Natural Earth") || !strings.Contains(outlines.Notice, "Copyright") {
		t.Errorf("the notice is %q", outlines.Notice)
	}
	if len(outlines.Land) < 1000 || len(outlines.Borders) < 100 || len(data) > 1<<20 {
		t.Errorf("%d areas, %d borders, %d bytes", len(outlines.Land), len(outlines.Borders), len(data))
	}
	for i, ring := range append(outlines.Land, outlines.Borders...) {
		var lon, lat int
		for j := 0; j+1 < len(ring); j += 2 {
			lon, lat = lon+ring[j], lat+ring[j+1]
			if max(lat, -lat) > 90*outlines.Scale || max(lon, -lon) > 540*outlines.Scale {
				t.Fatalf("line %d leaves the world at %d, %d", i, lon, lat)
			}
			// A step across the whole map is the edge of the data at 180°, which would be drawn as a line.
			if atPole := lat == -90*outlines.Scale; j > 0 && !atPole && max(ring[j], -ring[j]) > 90*outlines.Scale {
				t.Errorf("line %d steps %d degrees", i, ring[j]/outlines.Scale)
			}
		}
	}
}

func TestPageDrawsTheOutlinesThatWereBuilt(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	b := browsertest.Start(t)
	b.Open(stream.serveWith(t, pageWithOutlines(t)))
	b.WaitFor(`!document.querySelector('[data-view=credit]').hidden`)
	b.Eval(`import('/page/main.js').then(m => { window.map = m.map })`, nil)
	// The Sahara is not the colour of the Atlantic.
	b.WaitFor(`(() => {
		const base = document.querySelector('[data-part=base]'), canvas = document.createElement('canvas'), ctx = canvas.getContext('2d', { willReadFrequently: true })
		const colour = (lat, lon) => {
			const y = 0.5 - Math.log(Math.tan(Math.PI / 4 + lat * Math.PI / 360)) / (2 * Math.PI)
			ctx.drawImage(base, -Math.round(map.camera.screenX(lon / 360 + 0.5)), -Math.round(map.camera.screenY(y)))
			return [...ctx.getImageData(0, 0, 1, 1).data].join()
		}
		return colour(23, 8) !== colour(23, -40) && colour(23, 8) === colour(-27, 128) && colour(23, -40) === colour(-27, 85)
	})()`)
	noErrors(t, b)
}
