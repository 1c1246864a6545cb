package play

import (
	"errors"
	"fmt"
	"slices"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/report"
)

// What a fault is done to.
const (
	onDevices = "devices"
	onViewers = "viewers"
	onPart    = "part"
	onProxy   = "proxy"
	onNothing = ""
)

// deeds are what a fault may do, and to what.
var deeds = map[string]string{
	"drop": onDevices, "vanish": onDevices, "takeover": onDevices, "spoil": onDevices, // connections; networks; client ids; messages
	"cut-viewers": onViewers,
	"kill":        onPart, "end": onPart, "freeze": onPart,
	"cut": onProxy, "slow": onProxy, "black-hole": onProxy, "refuse": onProxy,
	"hostile": onNothing, "run": onNothing,
}

// names are the names of a scenario, by what they are of.
type names map[string][]string

func (s *Scenario) names() names {
	n := names{}
	for i := range s.Start {
		kind := onPart
		if s.Start[i].Proxy != "" {
			kind = onProxy
		}
		n[kind] = append(n[kind], s.Start[i].Name)
	}
	for i := range s.Devices {
		n[onDevices] = append(n[onDevices], s.Devices[i].Name)
	}
	for i := range s.Viewers {
		n[onViewers] = append(n[onViewers], s.Viewers[i].Name)
	}
	return n
}

func (s *Scenario) check() error {
	switch {
	case s.Name == "" || s.About == "":
		return errors.New("it has a name and an about")
	case s.For <= 0:
		return errors.New("it says how long it takes, with for")
	case s.Small.For < 0 || s.Small.Factor < 0 || s.Small.Factor > 1:
		return errors.New("a small form has a positive time and a factor up to 1")
	case len(s.Devices) == 0:
		return errors.New("it has devices")
	}
	n := s.names()
	for kind, all := range n {
		for i, name := range all {
			if name == "" || slices.Contains(all[:i], name) {
				return fmt.Errorf("every %s has a name of its own, and not %q", kind, name)
			}
		}
	}
	for _, check := range []func(names) error{s.checkParts, s.checkGroups, s.checkFaults, s.checkThresholds} {
		if err := check(n); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scenario) checkParts(names) error {
	secure := 0
	for i := range s.Start {
		p := &s.Start[i]
		is := 0
		for _, one := range []bool{p.Gateway != nil, p.Run != "", p.Proxy != ""} {
			if one {
				is++
			}
		}
		if is != 1 {
			return fmt.Errorf("%s is one of gateway, run and proxy", p.Name)
		}
		if p.TLS {
			secure++
		}
		if p.TLS && (p.Gateway == nil || secure > 1) {
			return fmt.Errorf("%s: tls is of one gateway", p.Name)
		}
	}
	return nil
}

func (s *Scenario) checkGroups(names) error {
	for i := range s.Devices {
		d := &s.Devices[i]
		if d.Count < 1 || d.Rate <= 0 {
			return fmt.Errorf("devices %s have a count and a rate", d.Name)
		}
		if _, err := devices.ParseFleetID(d.Name); err != nil {
			return fmt.Errorf("devices %s: their name is a fleet's: %w", d.Name, err)
		}
		if _, err := fleet.ParseSources(d.Sources); err != nil {
			return fmt.Errorf("devices %s: %w", d.Name, err)
		}
	}
	for i := range s.Viewers {
		if s.Viewers[i].Count < 1 {
			return fmt.Errorf("viewers %s have a count", s.Viewers[i].Name)
		}
	}
	if l := s.Ledger; l != nil && (l.Devices < 1 || l.Viewers < 1 || l.Rate <= 0) {
		return errors.New("a ledger has devices, viewers and a rate")
	}
	return nil
}

func (s *Scenario) checkFaults(n names) error {
	for i := range s.Faults {
		f := &s.Faults[i]
		on, ok := deeds[f.Do]
		if !ok {
			return fmt.Errorf("a fault does one of drop, vanish, takeover, spoil, cut-viewers, kill, end, freeze, cut, slow, black-hole, refuse, hostile and run, and not %q", f.Do)
		}
		if on != onNothing && !slices.Contains(n[on], f.Of) {
			return fmt.Errorf("fault %s is of a %s, and %q is none", f.Do, on, f.Of)
		}
		if f.At.of(s.For) > s.For {
			return fmt.Errorf("fault %s comes after the end", f.Do)
		}
		if f.Do == "run" && f.Command == "" {
			return errors.New("fault run has a command")
		}
		if f.Do == "hostile" && f.Connections < 1 {
			return errors.New("fault hostile has connections")
		}
	}
	return nil
}

func (s *Scenario) checkThresholds(names) error {
	_, err := s.thresholds(s.Thresholds)
	if err == nil {
		_, err = s.thresholds(s.Small.Thresholds)
	}
	return err
}

// thresholds reads them with the groups that there are.
func (s *Scenario) thresholds(texts []string) (all []report.Threshold, err error) {
	n := s.names()
	for _, text := range texts {
		t, err := report.ParseThreshold(text, slices.Concat(n[onDevices], n[onViewers]))
		if err != nil {
			return nil, fmt.Errorf("check thresholds: %w", err)
		}
		all = append(all, t)
	}
	return all, nil
}
