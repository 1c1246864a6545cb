package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
)

// TestMain is another program where a test starts its own binary: see TestNothingStaysOfAKilledSimulator.
func TestMain(m *testing.M) {
	if other := otherProgram(os.Args[1:]); other != nil {
		os.Exit(other()) //nolint:forbidigo // it is a main
	}
	goleak.VerifyTestMain(m)
}

func TestWrongCommandLinesAreExplained(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"nonsense"},
		{"fleet", "--rate", "x"},
		{"fleet", "--mqtt-version", "3"},
		{"fleet", "--fleets", "3", "--fleet", "a"},
		{"watch", "--slow-rate", "fast"},
		{"watch", "--slow-share", "200%"},
	} {
		var out, errs bytes.Buffer
		if code := run(args, &out, &errs); code != 2 || !strings.Contains(errs.String(), "simulator:") {
			t.Errorf("%q: exit code %d, %s", args, code, errs.String())
		}
	}
	var out, errs bytes.Buffer
	if code := run([]string{"fleet", "--help"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "--connect-rate") {
		t.Errorf("help: exit code %d, %s", code, out.String())
	}
}

func TestAFleetIsRunFromTheCommandLine(t *testing.T) {
	address := testbroker.Start(t)
	var out, errs bytes.Buffer
	code := run([]string{
		"fleet", "--mqtt", address, "--devices", "5", "--rate", "20/s", "--for", "200ms", "--qos", "1", "--fleets", "2", "--json", "--quiet",
	}, &out, &errs)
	var s fleet.Summary
	if err := json.Unmarshal(out.Bytes(), &s); err != nil || code != 0 || s.Whole.Connects != 5 || s.Whole.Sent == 0 {
		t.Errorf("exit code %d, %v: %s%s", code, err, out.String(), errs.String())
	}
}

func TestAThresholdThatIsNotKeptIsTheExitCode99(t *testing.T) {
	address, file := testbroker.Start(t), filepath.Join(t.TempDir(), "r.json")
	var out, errs bytes.Buffer
	args := []string{"fleet", "--mqtt", address, "--devices", "5", "--rate", "20/s", "--for", "200ms", "--qos", "1", "--quiet", "--report", file}
	if code := run(append(args, "--threshold", "achieved_share>=0", "--threshold", "refused==0"), &out, &errs); code != 0 {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if code := run(append(args, "--threshold", "achieved_rate>1000000/s"), &out, &errs); code != 99 || !strings.Contains(errs.String(), "achieved_rate>1000000/s") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if code := run(append(args, "--threshold", "speed<1"), &out, &errs); code != 2 {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	out.Reset()
	if code := run([]string{"compare-reports", file, file, "--strict"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "0 values are worse") {
		t.Errorf("exit code %d: %s%s", code, out.String(), errs.String())
	}
	out.Reset()
	if code := run([]string{"digest", file, file}, &out, &errs); code != 0 || strings.Count(out.String(), "| `fleet` | 5, 0 |") != 2 {
		t.Errorf("exit code %d: %s%s", code, out.String(), errs.String())
	}
	out.Reset()
	if code := run([]string{"values"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "silent_loss") {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}

func TestNobodyToTalkToIsAnExitCode(t *testing.T) {
	address := testbroker.FreeAddress(t)
	var out, errs bytes.Buffer
	if code := run([]string{"watch", "--url", "http://" + address + "/", "--viewers", "1", "--for", "50ms", "--quiet"}, &out, &errs); code != 1 {
		t.Errorf("watch: exit code %d: %s", code, errs.String())
	}
	if !strings.HasPrefix(out.String(), "generator") {
		t.Errorf("the report is missing: %s", out.String())
	}
}
