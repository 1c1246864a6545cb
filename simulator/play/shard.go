package play

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/report"
	"github.com/fleetcast/fleetcast/simulator/units"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// ErrShard says that a scenario cannot be run as one of several shards. It comes wrapped.
var ErrShard = errors.New("a shard needs an installation that all of them speak to: --mqtt and --url")

// runOf says which run and which part of it is made.
func (o *Options) runOf() (report.Run, error) {
	config, err := report.ConfigDigest(o.Scenario.ofNoMachine())
	if err != nil {
		return report.Run{}, fmt.Errorf("run scenario: %w", err)
	}
	return report.Run{ID: o.RunID, Seed: o.Scenario.Seed, Config: config, Shard: o.Shard}, nil
}

// ofNoMachine is what is the same in the scenario on every machine: without its addresses and its files.
func (s *Scenario) ofNoMachine() *Scenario {
	out := *s
	out.Devices = slices.Clone(s.Devices)
	for i := range out.Devices {
		d := &out.Devices[i]
		d.MQTT, d.Sources, d.Credentials, d.TLSCA, d.ClientCA, d.ClientCerts = "", nil, "", "", "", ""
		d.Routes = slices.Clone(d.Routes)
		for j, file := range d.Routes {
			d.Routes[j] = filepath.Base(file)
		}
	}
	return &out
}

// part returns a shard's part of the scenario: of devices, viewers, the ledger and hostile connections. Faults of a group
// are made by each shard to its own; a command is run by the first shard only. A group that has less than one for each shard
// is left out where a shard has none.
func (s *Scenario) part(shard fleet.Shard) *Scenario {
	if shard.Of <= 1 {
		return s
	}
	out := *s
	out.Devices, out.Viewers, out.Faults = nil, nil, nil
	for _, d := range s.Devices {
		d.whole, d.shard = d.Count, shard // the fleet takes its part by itself: of numbers, credentials, stages and the connect rate
		_, d.Count = shard.Take(d.Count)
		out.Devices = append(out.Devices, d)
	}
	for _, v := range s.Viewers {
		if v.first, v.Count = shard.Take(v.Count); v.Count == 0 {
			continue
		}
		if v.ConnectRate <= 0 {
			v.ConnectRate = watch.DefaultConnectRate
		}
		v.ConnectRate /= units.Rate(shard.Of)
		out.Viewers = append(out.Viewers, v)
	}
	out.Ledger = s.Ledger.part(shard)
	names := out.names()
	for _, f := range s.Faults {
		switch kind := deeds[f.Do]; {
		case f.Do == "run" && shard.Part > 1:
		case f.Do == "hostile":
			if _, f.Connections = shard.Take(f.Connections); f.Connections > 0 {
				out.Faults = append(out.Faults, f)
			}
		case kind == onViewers && !slices.Contains(names[kind], f.Of):
		default:
			out.Faults = append(out.Faults, f)
		}
	}
	return &out
}

// part is that of a ledger, which has devices and viewers: there are as many parts as there are of both.
func (l *Ledger) part(shard fleet.Shard) *Ledger {
	if l == nil {
		return nil
	}
	shard.Of = min(shard.Of, l.Devices, l.Viewers)
	if shard.Part > shard.Of {
		return nil
	}
	out := *l
	out.first, out.Devices = shard.Take(l.Devices)
	out.firstViewer, out.Viewers = shard.Take(l.Viewers)
	return &out
}
