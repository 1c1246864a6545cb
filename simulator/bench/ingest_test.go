package bench

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/measure"
)

// books are readings three seconds apart, in which a slice takes what cpu says for a thousand messages.
func books(cpu ...float64) []reading {
	r := reading{at: time.Unix(1000, 0), cpu: 7, counts: fleet.Counts{Offered: 50, Sent: 50, Acked: 40, Skipped: fleet.Skipped{Busy: 3}}}
	all := []reading{r}
	for _, c := range cpu {
		r.at, r.cpu = r.at.Add(3*time.Second), r.cpu+c
		r.counts.Offered += 1002
		r.counts.Sent += 1000
		r.counts.Acked += 1000
		r.counts.Skipped.Window += 2
		all = append(all, r)
	}
	return all
}

func TestTheCostOfAMessageIsTheServersTimeOverWhatItAcknowledged(t *testing.T) {
	var s IngestSide
	s.fill(books(0.04, 0.03, 0.04, 0.05, 0.04), &fleet.Summary{Puback: measure.Percentiles{P50: 5, P99: 9}}, 1)
	if s.Offered != 334 || math.Abs(s.Acked-1000.0/3) > 1e-9 || s.Achieved != s.Acked || s.Skipped != 10 || s.Puback.P99 != 9 {
		t.Errorf("%+v", s)
	}
	if math.Abs(s.Usage-0.2/15) > 1e-9 || math.Abs(s.CostPerMillion-40) > 1e-6 {
		t.Errorf("%+v", s)
	}
	// The slices' costs are 40, 30, 40, 50 and 40, so that their mean is good to 3.16.
	if math.Abs(s.CostError-2*math.Sqrt(10)) > 1e-6 {
		t.Errorf("error %v", s.CostError)
	}
}

func TestASliceWithoutAnAcknowledgementHasNoCost(t *testing.T) {
	all := books(0.04, 0.04)
	all[2].counts.Acked = all[1].counts.Acked
	if c := costs(all, 1); len(c) != 1 || math.Abs(c[0]-40) > 1e-6 {
		t.Errorf("%v", c)
	}
	if e := standardError([]float64{40}); e != 0 {
		t.Errorf("error %v of one value", e)
	}
	var s IngestSide
	all[1].counts.Acked, all[2].counts.Acked = all[0].counts.Acked, all[0].counts.Acked
	s.fill(all, &fleet.Summary{}, 1)
	if s.CostPerMillion != 0 || s.CostError != 0 || s.Acked != 0 {
		t.Errorf("%+v", s)
	}
	s.fill(all, &fleet.Summary{}, 0) // at QoS 0 what was sent counts
	if math.Abs(s.CostPerMillion-40) > 1e-6 {
		t.Errorf("%+v", s)
	}
}

// step is a step whose sides kept the offered load.
func step(gateway, gatewayError, bare, bareError float64) IngestStep {
	side := func(name string, cost, err float64) IngestSide {
		return IngestSide{Server: name, Offered: 1000, Achieved: 1000, Acked: 1000, CostPerMillion: cost, CostError: err}
	}
	s := IngestStep{QoS: 1, Rate: 10, Sides: []IngestSide{side("gateway", gateway, gatewayError), side("bare mochi", bare, bareError)}}
	s.conclude()
	return s
}

func TestTheRatioHasTheErrorOfBothSides(t *testing.T) {
	s := step(30, 3, 20, 2)
	if b := s.Sides[1]; math.Abs(b.Ratio-1.5) > 1e-9 || math.Abs(b.RatioLow-27.0/22) > 1e-9 || math.Abs(b.RatioHigh-33.0/18) > 1e-9 || len(s.Notes) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsKnownBadlyIsNoResult(t *testing.T) {
	if s := step(30, 7, 20, 2); len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "gateway") {
		t.Errorf("%q", s.Notes)
	}
	if s := step(30, 3, 0, 0); s.Sides[1].Ratio != 0 || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "not known") {
		t.Errorf("%+v", s)
	}
	overloaded := step(30, 3, 20, 2)
	overloaded.Sides[0].Acked = 900
	overloaded.conclude()
	if len(overloaded.Notes) != 1 || !strings.Contains(overloaded.Notes[0], "900 acknowledged") {
		t.Errorf("%q", overloaded.Notes)
	}
	overloaded.QoS = 0 // where nothing is acknowledged
	if overloaded.conclude(); len(overloaded.Notes) != 0 {
		t.Errorf("%q", overloaded.Notes)
	}
}

func TestTheTableOfIngestTellsTheGeneratorFirst(t *testing.T) {
	good, bad := step(30, 3, 20, 2), step(30, 9, 20, 2)
	good.Sides[0].Puback = measure.Percentiles{P50: 4.2, P99: 11}
	good.Sides[0].DeviceBytes = 34_500
	good.Sides[0].Generator = measure.Health{Share: 0.3, Notes: []string{"the generator was tired"}}
	section := (&Ingest{Devices: 2000}).section([]*IngestStep{&good, &bad})
	var b bytes.Buffer
	if err := section.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, want := range []string{
		"# Ingest: 2000 devices", "Generator with the gateway: 30 %", "The generator was tired", "Generator with the bare mochi",
		"| messages a second, offered / sent / acknowledged | 1000 / 1000 / 1000 |", "| PUBACK from the intended instant, p50 / p99 | 4.2 / 11.0 ms | 0.0 / 0.0 ms |",
		"| kB resident a device, under this load | 34.5 |", "| **CPU seconds a million messages** | **30.0** ± 3.0 | **20.0** ± 2.0 |",
		"| **the gateway's over this** |  | 1.50 (1.23 to 1.83) |", "**Note:** QoS 1, 10/s: the cost of the gateway",
	} {
		next := strings.Index(b.String()[at:], want)
		if next < 0 {
			t.Fatalf("no %q after character %d of\n%s", want, at, b.String())
		}
		at += next
	}
	if section.Marks[0].Met != Yes || section.Marks[1].Met != Unknown {
		t.Errorf("%+v", section.Marks)
	}
}
