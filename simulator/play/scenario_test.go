package play

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/units"
)

func TestScenariosAreCheckedBeforeTheyRun(t *testing.T) {
	for name, change := range map[string][2]string{
		"an unknown member":     {"about: a test's", "about: x\ncolour: red"},
		"no name":               {"name: tiny\n", ""},
		"no time":               {"for: 2s", "for: 0s"},
		"no devices":            {"devices: [{ name: cars, count: 5, rate: 5/s, qos: 1 }]", ""},
		"no rate":               {"rate: 5/s", "qos1_share: 5%"},
		"a rate that is none":   {"5/s", "often"},
		"a share beyond all":    {"qos: 1", "ships: 150%"},
		"a format that is none": {"qos: 1", "mix: morse"},
		"a bad fleet":           {"name: cars", "name: a/b"},
		"no viewers":            {"count: 3", "count: 0"},
		"two of one name":       {"viewers: [", "viewers: [{ name: desk, count: 1 }, "},
		"a part of two kinds":   {"gateway: [--in-memory]", "gateway: [], run: redis-server"},
		"a part of no kind":     {", gateway: [--in-memory]", ""},
		"tls of a program":      {"gateway: [--in-memory]", "run: redis-server, tls: true"},
		"an empty ledger":       {"viewers:", "ledger: {}\nviewers:"},
		"a wrong threshold":     {"viewers:", "thresholds: [freshness<1]\nviewers:"},
		"a wrong small one":     {"viewers:", "small: { thresholds: [x] }\nviewers:"},
		"a factor beyond one":   {"viewers:", "small: { factor: 2 }\nviewers:"},
		"an unknown deed":       {"viewers:", "faults: [{ at: 1s, do: pray }]\nviewers:"},
		"of nobody":             {"viewers:", "faults: [{ at: 1s, do: drop, of: vans }]\nviewers:"},
		"of the wrong kind":     {"viewers:", "faults: [{ at: 1s, do: kill, of: cars }]\nviewers:"},
		"after the end":         {"viewers:", "faults: [{ at: 3s, do: drop, of: cars }]\nviewers:"},
		"a moment that is none": {"viewers:", "faults: [{ at: 120%, do: drop, of: cars }]\nviewers:"},
		"no command":            {"viewers:", "faults: [{ at: 1s, do: run }]\nviewers:"},
		"no connections":        {"viewers:", "faults: [{ at: 1s, do: hostile }]\nviewers:"},
		"two documents":         {"viewers:", "---\nviewers:"},
	} {
		text := strings.Replace(tiny, change[0], change[1], 1)
		if text == tiny {
			t.Errorf("%s changes nothing", name)
		}
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := Parse(make([]byte, maxFile+1)); err == nil {
		t.Error("a file without end is read")
	}
}

func TestScenariosAreFoundByNameAndByFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(file, []byte(tiny), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Load(file); err != nil || s.Name != "tiny" || s.Devices[0].Rate != 5 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := Load("nonexistent"); err == nil || !strings.Contains(err.Error(), "simulator scenarios") {
		t.Error(err)
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a folder is a scenario")
	}
	if len(Bundled()) < 6 {
		t.Errorf("%q", Bundled())
	}
	if text, err := Text("tunnel"); err != nil || !strings.HasPrefix(text, "name: tunnel") {
		t.Error(err)
	}
	if _, err := Text("nonexistent"); err == nil {
		t.Error("there is a text of nothing")
	}
}

func TestTheSmallFormHasEverythingAndLess(t *testing.T) {
	s := parse(t, `
name: big
about: a test's
for: 10m
small: { for: 6s, factor: 0.01, thresholds: [ready_share>0] }
devices: [{ name: a, count: 10000, fleets: 50, rate: 1/s, ramp: 1m, cold_start: 10s }, { name: b, count: 300, rate: 1/s, stages: "1m:200,8m:300,1m:0" }]
viewers: [{ name: v, count: 100, resume_every: 1m, pan_every: 1s }]
ledger: { devices: 50, viewers: 10, rate: 1/s }
faults: [{ at: 5m, do: drop, of: a, within: 100s }, { at: 50%, do: hostile, connections: 200, for: 100s, fixed: true }]
thresholds: [silent_loss==0, fresh_p99<1s, a.skipped==0, achieved_share==1]
`)
	z := s.small()
	if z.For != 6*time.Second || z.Devices[0].Count != 100 || z.Devices[0].Ramp != 600*time.Millisecond || z.Devices[1].Count != 5 || z.Devices[1].Stages[1] != (fleet.Stage{For: 4800 * time.Millisecond, Devices: 5}) || z.Devices[1].Stages[2].Devices != 0 || s.Devices[1].Stages[0].Devices != 200 || z.Devices[0].Fleets != 5 {
		t.Errorf("%+v", z.Devices)
	}
	if z.Viewers[0].Count != 2 || z.Viewers[0].ResumeEvery != leastAge || z.Viewers[0].PanEvery != time.Second || z.Ledger.Devices != 10 {
		t.Errorf("%+v, %+v", z.Viewers, z.Ledger)
	}
	if z.Faults[0].At.of(z.For) != 3*time.Second || z.Faults[0].Within != time.Second || z.Faults[1].For != 100*time.Second || z.Faults[1].Connections != 8 {
		t.Errorf("%+v", z.Faults)
	}
	if got := strings.Join(z.Thresholds, " "); got != "ready_share>0 silent_loss==0 a.skipped==0" {
		t.Errorf("%s", got)
	}
	if s.Devices[0].Count != 10000 || s.Faults[0].Within != 100*time.Second {
		t.Error("the full form was changed")
	}
}

func TestSharesAreReadAsTheyAreWritten(t *testing.T) {
	s := parse(t, strings.Replace(tiny, "qos: 1", "qos: 1, ships: 10%, parked: 0%, qos1_share: 0.5", 1)+"faults: [{ at: 25%, do: drop, of: cars, share: 10% }]")
	if d := s.Devices[0]; d.Ships != 0.1 || d.Parked == nil || *d.Parked != 0 || d.QoS1Share != 0.5 {
		t.Errorf("%+v", d)
	}
	if f := s.Faults[0]; f.share() != 0.1 || f.At.of(2*time.Second) != 500*time.Millisecond || (&Fault{}).share() != units.Share(1) {
		t.Errorf("%+v", f)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(tiny)
	for _, name := range Bundled() {
		text, err := Text(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse([]byte(text))
		if err != nil {
			return
		}
		if z := s.small(); z.For <= 0 || len(z.Devices) != len(s.Devices) {
			t.Fatalf("%+v", z)
		}
	})
}
