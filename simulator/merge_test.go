package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
	"github.com/fleetcast/fleetcast/simulator/report"
)

func TestReportsOfShardsAreMergedFromTheCommandLine(t *testing.T) {
	address, dir := testbroker.Start(t), t.TempDir()
	file := func(part int) string { return filepath.Join(dir, fmt.Sprint(part, ".json")) }
	var running sync.WaitGroup
	for part := 1; part <= 2; part++ {
		running.Go(func() {
			var out, errs bytes.Buffer
			if code := run(strings.Fields(fmt.Sprintf(
				"fleet --mqtt %s --devices 5 --rate 20/s --for 500ms --connect-rate 1000/s --qos 1 --quiet --shard %d/2 --run-id r --threshold connected==5 --report %s", address, part, file(part))), &out, &errs); code != 99 {
				t.Errorf("shard %d: exit code %d: %s", part, code, errs.String())
			}
		})
	}
	running.Wait()
	merge := func(want int, says string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(append([]string{"report", "merge"}, args...), &out, &errs); code != want || !strings.Contains(out.String()+errs.String(), says) {
			t.Errorf("%q: exit code %d, want %d and %q: %s%s", args, code, want, says, out.String(), errs.String())
		}
	}
	merged, page := filepath.Join(dir, "all.json"), filepath.Join(dir, "all.html")
	merge(0, "2 of 2 merged", file(2), file(1), "--json", merged, "--html", page, "--hgrm", dir, "--prometheus-file", filepath.Join(dir, "all.prom"))
	merge(99, "connected==5", file(1))
	merge(99, "sent more", file(1), file(2), "--threshold", "achieved_rate>1000000/s")
	merge(2, "speed", file(1), file(2), "--threshold", "speed<1")
	merge(1, "is shard 1/2, and so is", file(1), file(1))
	merge(1, merged, merged)
	r, err := report.Read(merged)
	if err != nil || r.Devices[0].Summary.Devices != 5 || r.Values["connected"] != 5 || r.Run.ID != "r" || r.Latencies["ack"].Count == 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	for _, name := range []string{page, filepath.Join(dir, "all.prom"), filepath.Join(dir, "ack.hgrm")} {
		if text, err := os.ReadFile(name); err != nil || len(text) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, args := range []string{"report show " + merged, "compare-reports --strict " + merged + " " + merged, "digest " + merged, "report show " + file(1) + " --html " + page} {
		var out, errs bytes.Buffer
		if code := run(strings.Fields(args), &out, &errs); code != 0 || !strings.Contains(out.String(), "fleet") {
			t.Errorf("%s: exit code %d: %s%s", args, code, out.String(), errs.String())
		}
	}
}

func TestAMergedReportHasTheExitCodeOfARun(t *testing.T) {
	whole := func() *report.Report {
		return &report.Report{Values: map[string]float64{}, Merged: &report.Merged{Common: 1}}
	}
	for want, spoil := range map[int]func(*report.Report){
		0:              func(*report.Report) {},
		exitThreshold:  func(r *report.Report) { r.Thresholds = []report.Outcome{{}}; r.Values["breaches"] = 1 },
		exitBreached:   func(r *report.Report) { r.Values["violations"] = 1; r.Merged.Common = -1 },
		exitNothing:    func(r *report.Report) { r.Merged.Idle = []fleet.Shard{{Part: 1, Of: 2}} },
		exitIncomplete: func(r *report.Report) { r.Merged.Missing = []fleet.Shard{{Part: 1, Of: 2}} },
	} {
		r := whole()
		spoil(r)
		if got := codeOf(verdict(r)); got != want {
			t.Errorf("exit code %d, want %d: %v", got, want, errors.Join(verdict(r)))
		}
	}
}
