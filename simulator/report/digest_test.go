package report

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

func TestADigestHasARowForEachReport(t *testing.T) {
	var out bytes.Buffer
	bare := &Report{Name: "bare", Health: measure.Health{Notes: []string{"it was ill"}}, Values: map[string]float64{"achieved_rate": 5, "offered_rate": 6}}
	if err := WriteDigest(&out, []*Report{sampleReport("silent_loss==0", "violations<5"), bare}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| `sample <run>` | 0, 10 | 109 of 110 | 50 / 99 ms | - | 4 | 3 | 1 of 2 |\n", "| `bare` | 0, 0 | 5 of 6 | - | - | - | - | 0 of 0 |\n",
		"- `sample <run>`: 20 s from 2026-11-25 12:00 UTC", "  - silent_loss==0  NOT KEPT: 4\n", "- `bare`: 0 s", "  - it was ill\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
	if err := WriteDigest(failing{}, nil); !errors.Is(err, errFull) {
		t.Error(err)
	}
}

var errFull = errors.New("full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }
