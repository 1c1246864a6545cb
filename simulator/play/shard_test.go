package play

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/prove"
	"github.com/fleetcast/fleetcast/simulator/report"
)

const shared = `
name: shared
about: a test's
seed: 5
for: 3s
devices: [{ name: cars, count: 21, rate: 5/s, qos: 1 }, { name: one, count: 1, rate: 5/s }]
viewers: [{ name: desk, count: 5, queries: ["", "fleet=cars"] }, { name: alone, count: 1 }]
ledger: { devices: 5, viewers: 5, rate: 5/s, filter_share: 40%, resume_every: 2s }
faults: [{ at: 40%, do: drop, of: cars, share: 50%, within: 0s }, { at: 50%, do: cut-viewers, of: alone }, { at: 50%, do: drop, of: one, within: 0s }, { at: 50%, do: hostile, connections: 3, kinds: [garbage], for: 500ms }, { at: 60%, do: run, command: "true" }]
thresholds: [silent_loss==0, violations==0, connected==22]
`

// startGateway starts one that the tests of shards share.
func startGateway(t *testing.T) *prove.Gateway {
	t.Helper()
	g, err := prove.StartGateway(t.Context(), prove.GatewayOptions{Program: gatewayProgram(t), Args: []string{"--in-memory"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// playShards plays so many shards at the same time, and returns their reports as merge reads them.
func playShards(t *testing.T, g *prove.Gateway, shards int) (sources []report.Source) {
	t.Helper()
	dir := t.TempDir()
	var running errorGroup
	for part := 1; part <= shards; part++ {
		file := filepath.Join(dir, fmt.Sprint(part, ".json"))
		sources = append(sources, report.Source{File: file})
		running.Go(func() error {
			s, err := Parse([]byte(shared))
			if err != nil {
				return err
			}
			result, err := Run(t.Context(), Options{Scenario: s, MQTT: g.MQTT(), URL: "http://" + g.Host(), Shard: fleet.Shard{Part: part, Of: shards}, RunID: "a run"})
			if err != nil && !(errors.Is(err, report.ErrThreshold) && shards > 1) {
				return err // that all are connected is no shard's to keep
			}
			return (&report.Files{JSON: file}).Write(result.Report)
		})
	}
	if err := running.Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range sources {
		var err error
		if sources[i].Report, err = report.Read(sources[i].File); err != nil {
			t.Fatal(err)
		}
	}
	return sources
}

// TestShardsMakeTheRunOfOneProcess holds what two shards at one gateway do together to what one process does alone.
func TestShardsMakeTheRunOfOneProcess(t *testing.T) {
	t.Parallel()
	alone, parts := playShards(t, startGateway(t), 1)[0].Report, playShards(t, startGateway(t), 2)
	r, err := report.Merge(parts, []string{"missing_shards==0", "breaches==0"})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", &text)
	if err := errors.Join(r.Err(), r.Complete()); err != nil {
		t.Error(err)
	}
	for name, of := range map[string]func(*report.Report) int{
		"devices":                          func(r *report.Report) int { return r.Devices[0].Summary.Devices + r.Devices[1].Summary.Devices },
		"viewers":                          func(r *report.Report) int { return r.Viewers[0].Viewers + r.Viewers[1].Viewers },
		"the ledger's devices and viewers": func(r *report.Report) int { return 100*r.Ledger.Devices + r.Ledger.Viewers },
		"devices that viewers saw":         func(r *report.Report) int { return int(r.Viewers[0].Devices) }, // of all shards
		"devices in the audit":             func(r *report.Report) int { return r.Audit.Owed },
		"silent loss":                      func(r *report.Report) int { return int(r.Values["silent_loss"]) },
		"violations":                       func(r *report.Report) int { return int(r.Values["violations"]) },
		"viewers that were ready":          func(r *report.Report) int { return r.Viewers[0].EverReady + r.Viewers[1].EverReady },
	} {
		if got, want := of(r), of(alone); got != want {
			t.Errorf("%s: %d in shards, %d in one process", name, got, want)
		}
	}
	a, b := parts[0].Report, parts[1].Report
	if x := r.Devices[0].Whole; x.Sent != a.Devices[0].Whole.Sent+b.Devices[0].Whole.Sent || x.Acked < x.Sent*9/10 || x.Offered != x.Sent+x.Failed+x.Skipped.Total() {
		t.Errorf("%+v", x)
	}
	if l := r.Ledger; l.Delivered+l.Superseded+l.Declared+l.Lost+l.Unpromised+l.Unasked !=
		a.Ledger.Sent*int64(a.Ledger.Viewers)+b.Ledger.Sent*int64(b.Ledger.Viewers) || l.Delivered == 0 {
		t.Errorf("not every message has an end at every viewer of its shard: %+v", l.Totals)
	}
	if len(a.Devices)+len(b.Devices) != 3 || len(a.Viewers)+len(b.Viewers) != 3 {
		t.Error("a group of one is in both shards, or in none")
	}
	commands := 0
	for _, e := range r.Events {
		if strings.HasPrefix(e.Name, "run true") {
			commands++
		}
	}
	if commands != 1 {
		t.Errorf("the command was run %d times", commands)
	}
}

func TestPartsOfAScenarioMakeTheWhole(t *testing.T) {
	s := parse(t, shared)
	for of := 1; of <= 9; of++ {
		devices, viewers, readers, ledgerDevices, hostile := 0, 0, 0, 0, 0
		for n := 1; n <= of; n++ {
			p := s.part(fleet.Shard{Part: n, Of: of})
			for i := range p.Devices {
				devices += p.Devices[i].Count
			}
			for i := range p.Viewers {
				viewers += p.Viewers[i].Count
			}
			if p.Ledger != nil {
				readers, ledgerDevices = readers+p.Ledger.Viewers, ledgerDevices+p.Ledger.Devices
			}
			for i := range p.Faults {
				hostile += p.Faults[i].Connections
			}
		}
		if devices != 22 || viewers != 6 || readers != 5 || ledgerDevices != 5 || hostile != 3 {
			t.Errorf("%d parts: %d devices, %d viewers, %d and %d of the ledger, %d hostile", of, devices, viewers, ledgerDevices, readers, hostile)
		}
	}
	if s.Devices[0].Count != 21 || s.Ledger.Viewers != 5 || s.Faults[3].Connections != 3 {
		t.Error("a part has changed the whole")
	}
}

func TestAShardNeedsAnInstallationOfAll(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := Run(ctx, Options{Scenario: parse(t, shared), Shard: fleet.Shard{Part: 1, Of: 2}}); !errors.Is(err, ErrShard) {
		t.Error(err)
	}
}
