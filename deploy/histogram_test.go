package deploy

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// readHistogram is what a program in another language does with a histogram of a report.
const readHistogram = `
const hdr = require("hdr-histogram-js");
const h = hdr.decodeFromCompressedBase64(process.argv[1]);
const at = p => h.getValueAtPercentile(p);
console.log(JSON.stringify({count: h.totalCount, min: h.minNonZeroValue, max: h.maxValue, p50: at(50), p90: at(90), p99: at(99)}));
`

// The histograms of reports are read by HdrHistogram's library for JavaScript. The file is the encoded form that the
// simulator's own tests hold its reports to: 1,000 values of 10 µs times the squares of 1 to 1,000, and one of an hour.
func TestAHistogramOfAReportIsReadInAnotherLanguage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "simulator", "measure", "testdata", "histogram.txt"))
	if err != nil {
		t.Fatal(err)
	}
	packages := browsertest.Packages(t)
	out := browsertest.Node(t, ".", packages, "-e", readHistogram, "--", string(text[:len(text)-1]))
	var got map[string]float64
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const squares = 10.0 // µs, of each
	for name, want := range map[string]float64{
		"count": 1001, "min": squares, "max": 600e6, "p50": squares * 501 * 501, "p90": squares * 901 * 901, "p99": squares * 991 * 991,
	} {
		if math.Abs(got[name]-want) > want/500 { // what three significant figures may be off
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}
