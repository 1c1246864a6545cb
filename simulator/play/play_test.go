package play

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/report"
)

// run plays a scenario against the gateway that is built for the tests.
func run(t *testing.T, s *Scenario, small bool, thresholds ...string) (*report.Report, error) {
	t.Helper()
	result, err := Run(t.Context(), Options{Scenario: s, Small: small, Gateway: gatewayProgram(t), Thresholds: thresholds})
	if result == nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := result.Report.WriteText(&text); err != nil {
		t.Error(err)
	}
	t.Logf("%s", &text)
	return result.Report, err
}

func TestEveryScenarioThatComesWithTheProgram(t *testing.T) {
	for _, name := range Bundled() {
		t.Run(name, func(t *testing.T) {
			s, err := Load(name)
			if err != nil {
				t.Fatal(err)
			}
			if s.Name != name {
				t.Errorf("its file is named %s and it %s", name, s.Name)
			}
			needPrograms(t, s)
			var r *report.Report
			if isSoak() {
				r = runFull(t, name)
			} else {
				t.Parallel()
				if r, err = run(t, s, true); err != nil {
					t.Error(err)
				}
			}
			if r == nil || len(r.Thresholds) == 0 || r.Values["achieved_rate"] == 0 || r.Values["updates"] == 0 {
				t.Fatal("nothing happened, or nothing was judged")
			}
			if len(r.Events) < len(s.Faults) {
				t.Errorf("%d of %d faults were made", len(r.Events), len(s.Faults))
			}
			for _, o := range r.Thresholds {
				if !o.Kept && report.IsCount(o.Threshold) {
					t.Errorf("%+v", o)
				}
			}
		})
	}
}

func needPrograms(t *testing.T, s *Scenario) {
	t.Helper()
	for i := range s.Start {
		if s.Start[i].Run == "" {
			continue
		}
		if _, err := find(s.Start[i].Run); err != nil && os.Getenv("CI") != "" {
			t.Fatal(err)
		} else if err != nil {
			t.Skip(err)
		}
	}
}

// runFull runs the full form as a program of its own: a test's binary looks for races, which makes it a sick generator. What
// depends on the machine, times and rates, is told and not judged.
func runFull(t *testing.T, name string) *report.Report {
	t.Helper()
	program, file := filepath.Join(programs, "simulator"), filepath.Join(t.TempDir(), "report.json")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "..").CombinedOutput(); err != nil {
		t.Fatalf("build simulator: %v: %s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program, "run", name, "--gateway", gatewayProgram(t), "--report", file, "--quiet").CombinedOutput()
	t.Logf("%v: %s", err, out)
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !(ok && exit.ExitCode() == 99) {
		t.Fatal(err)
	}
	r, err := report.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const tiny = `
name: tiny
about: a test's
for: 2s
start: [{ name: gateway, gateway: [--in-memory] }]
devices: [{ name: cars, count: 5, rate: 5/s, qos: 1 }]
viewers: [{ name: desk, count: 3 }]
`

func parse(t *testing.T, text string) *Scenario {
	t.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAThresholdThatIsNotKeptIsTold(t *testing.T) {
	t.Parallel()
	r, err := run(t, parse(t, tiny+"thresholds: [silent_loss==0, desk.updates>10]"), false, "cars.connected>5")
	if !errors.Is(err, report.ErrThreshold) || errors.Is(err, ErrBroken) || len(r.Thresholds) != 3 || !r.Thresholds[0].Kept || !r.Thresholds[1].Kept || r.Thresholds[2].Kept {
		t.Errorf("%+v, %v", r.Thresholds, err)
	}
}

func TestAGatewayThatForgetsIsFoundOut(t *testing.T) {
	t.Parallel()
	// It keeps nothing and is killed when every device has said its only word: what was acknowledged is not there.
	s := parse(t, strings.Replace(tiny, "count: 5, rate: 5/s", "count: 5, rate: 5/s, report: { every: 1h }", 1)+
		"faults: [{ at: 70%, do: kill, of: gateway, for: 50ms }]\nthresholds: [silent_loss==0]")
	result, err := Run(t.Context(), Options{Scenario: s, Gateway: gatewayProgram(t), Patience: 2 * time.Second})
	if result == nil {
		t.Fatal(err)
	}
	r := result.Report
	if !errors.Is(err, report.ErrThreshold) || r.Audit == nil || r.Audit.Missing == 0 {
		t.Errorf("%+v, %v", r.Audit, err)
	}
}

func TestFaultsOfEveryKindAreMade(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "made")
	s := parse(t, `
name: faults
about: a test's
for: 8s
start:
  - { name: gateway, gateway: [] }
  - { name: line, proxy: "{gateway.mqtt}", latency: 5ms }
devices: [{ name: cars, mqtt: "{line}", count: 10, rate: 5/s, qos: 1, fleets: 2, mix: "native=2,owntracks=1" }]
viewers: [{ name: desk, count: 4, queries: ["fleet=cars-0", ""] }]
faults:
  - { at: 10%, do: drop, of: cars, share: 50%, within: 100ms }
  - { at: 12%, do: vanish, of: cars, share: 20%, for: 100ms, within: 100ms }
  - { at: 15%, do: takeover, of: cars, share: 50% }
  - { at: 20%, do: spoil, of: cars, malformed: 80%, for: 1500ms }
  - { at: 30%, do: cut-viewers, of: desk, forget: true }
  - { at: 35%, do: freeze, of: gateway, for: 200ms }
  - { at: 45%, do: cut, of: line, share: 50% }
  - { at: 50%, do: slow, of: line, latency: 50ms, jitter: 20ms, bandwidth: 10kB/s, for: 500ms }
  - { at: 62%, do: black-hole, of: line, for: 200ms }
  - { at: 68%, do: refuse, of: line, for: 200ms }
  - { at: 70%, do: hostile, connections: 3, kinds: [garbage], for: 300ms }
  - { at: 75%, do: run, command: "sleep 1000 & echo $! {gateway.mqtt} > `+file+`" }
  - { at: 7s, do: end, of: gateway, for: 50ms }
`)
	r, err := run(t, s, false)
	if err != nil {
		t.Error(err)
	}
	// How many were connected when they were dropped or taken over is a busy machine's to say; fleet's tests count them.
	d := r.Devices[0].Whole
	if d.Faults.Malformed == 0 || len(r.Events) < 19 {
		t.Errorf("%+v, %d events", d, len(r.Events))
	}
	var left int
	text, err := os.ReadFile(file)
	if _, scanErr := fmt.Sscan(string(text), &left); err != nil || scanErr != nil || !strings.Contains(string(text), "127.0.0.1:") {
		t.Fatalf("%s, %v, %v", text, err, scanErr)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if !poll(ctx, func() bool { return syscall.Kill(left, 0) != nil || isOver(left) }) {
		t.Error("what a command left running did not end with the run")
	}
}

// isOver tells whether a process has ended and waits for its parent, which has ended too, or for who took it over.
func isOver(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(text), ") Z ")
}

func TestAnInstallationOfSomebodyElses(t *testing.T) {
	t.Parallel()
	in, err := install(t.Context(), &Options{Scenario: parse(t, tiny), Gateway: gatewayProgram(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := in.stop(); err != nil {
			t.Error(err)
		}
	}()
	s := parse(t, tiny+"faults: [{ at: 50%, do: kill, of: gateway, for: 1s }]")
	result, err := Run(t.Context(), Options{Scenario: s, MQTT: in.addresses["gateway.mqtt"], URL: "http://" + in.addresses["gateway.http"]})
	if err != nil {
		t.Fatal(err)
	}
	if r := result.Report; len(r.Events) != 0 || len(r.Notes) != 1 || r.Values["connected"] != 5 {
		t.Errorf("%+v, %q", r.Events, r.Notes)
	}
}

func TestWhatCannotBeRunSaysWhy(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"no gateway":        {Scenario: parse(t, tiny), Gateway: "/nonexistent"},
		"no such program":   {Scenario: parse(t, strings.Replace(tiny, "gateway: [--in-memory]", "run: no-such-program", 1))},
		"ends at once":      {Scenario: parse(t, strings.Replace(tiny, "gateway: [--in-memory]", "run: true", 1))},
		"a wrong flag":      {Scenario: parse(t, strings.Replace(tiny, "--in-memory", "--no-such-flag", 1)), Gateway: gatewayProgram(t)},
		"no edge":           {Scenario: parse(t, tiny), MQTT: "127.0.0.1:1", URL: "nowhere"},
		"a wrong route":     {Scenario: parse(t, strings.Replace(tiny, "count: 5", "count: 5, routes: [/nonexistent.gpx]", 1)), MQTT: "127.0.0.1:1", URL: "http://127.0.0.1:1"},
		"no credentials":    {Scenario: parse(t, strings.Replace(tiny, "count: 5", "count: 5, credentials: /nonexistent.csv", 1)), MQTT: "127.0.0.1:1", URL: "http://127.0.0.1:1"},
		"no certificates":   {Scenario: parse(t, strings.Replace(tiny, "count: 5", "count: 5, tls_ca: /nonexistent.pem", 1)), MQTT: "127.0.0.1:1", URL: "http://127.0.0.1:1"},
		"a wrong place":     {Scenario: parse(t, strings.Replace(tiny, "count: 5", "count: 5, places: [atlantis]", 1)), MQTT: "127.0.0.1:1", URL: "http://127.0.0.1:1"},
		"a wrong day":       {Scenario: parse(t, strings.Replace(tiny, "count: 5", "count: 5, day: noon", 1)), MQTT: "127.0.0.1:1", URL: "http://127.0.0.1:1"},
		"another threshold": {Scenario: parse(t, tiny), Thresholds: []string{"speed<1"}},
	} {
		if result, err := Run(t.Context(), o); err == nil || result != nil {
			t.Errorf("%s: it runs", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Options{Scenario: parse(t, tiny), Gateway: gatewayProgram(t)}); err == nil {
		t.Error("it runs though it was ended before")
	}
}
