package play

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fleetcast/fleetcast/simulator/child"
	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/hostile"
	"github.com/fleetcast/fleetcast/simulator/proxy"
	"github.com/fleetcast/fleetcast/simulator/report"
	"github.com/fleetcast/fleetcast/simulator/units"
)

// makeFaults makes every fault at its moment and waits for the last to be over. One that cannot be made is an error, since
// a run without it shows something else.
func (e *engine) makeFaults(ctx context.Context) error {
	began := time.Now()
	// What lasts beyond the end of the scenario ends with it.
	ctx, cancel := context.WithTimeout(ctx, e.scenario.For)
	defer cancel()
	var making errorGroup
	for i := range e.scenario.Faults {
		f := &e.scenario.Faults[i]
		making.Go(func() error {
			if !after(ctx, f.At.of(e.scenario.For)-time.Since(began)) {
				return nil // the run was ended
			}
			if err := e.makeFault(ctx, f); err != nil && ctx.Err() == nil {
				return fmt.Errorf("make fault %s: %w", f.Do, err)
			}
			return nil
		})
	}
	return making.Wait()
}

// after waits; false means that ctx ended.
func after(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (e *engine) makeFault(ctx context.Context, f *Fault) error {
	switch deeds[f.Do] {
	case onDevices:
		return e.toDevices(ctx, f)
	case onViewers:
		for _, v := range e.watches {
			if v.Name == f.Of {
				e.recorder.Event(fmt.Sprintf("%s are cut", f.Of))
				v.Watch.Drop(f.Forget)
			}
		}
		return nil
	case onPart:
		return e.toPart(ctx, f)
	case onProxy:
		return e.toProxy(ctx, f)
	}
	if f.Do == "hostile" {
		return e.harm(ctx, f)
	}
	e.recorder.Event("run " + f.Command)
	return e.installation.run(ctx, e.installation.fill(f.Command))
}

// run runs a command of a shell. What it leaves running ends with the run.
func (in *installation) run(ctx context.Context, command string) (err error) {
	dir, err := child.TempDir("command")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Remove()) }()
	name := filepath.Join(dir.Path(), "output.log")
	output, err := os.Create(name) //nolint:gosec // in a folder of our own
	if err != nil {
		return fmt.Errorf("run command: %w", err)
	}
	defer output.Close()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", command) //nolint:gosec // the command that it is given
	cmd.Stdout, cmd.Stderr = output, output
	group, err := child.Run(ctx, cmd)
	in.mu.Lock()
	in.groups = append(in.groups, group)
	in.mu.Unlock()
	if err != nil {
		text, _ := os.ReadFile(name) //nolint:gosec // as above
		return fmt.Errorf("%w: %s", err, text[max(0, len(text)-2000):])
	}
	return nil
}

func (f *Fault) share() units.Share {
	if f.Share == nil {
		return 1
	}
	return *f.Share
}

func devicesOf(all []report.DeviceGroup, name string) (*fleet.Fleet, error) {
	for _, d := range all {
		if d.Name == name {
			return d.Fleet, nil
		}
	}
	return nil, fmt.Errorf("there are no devices %q", name)
}

// isElsewhere tells whether a group of devices is wholly other shards'.
func (e *engine) isElsewhere(group string) bool {
	for i := range e.scenario.Devices {
		if d := &e.scenario.Devices[i]; d.Name == group {
			return d.Count == 0
		}
	}
	return false
}

func (e *engine) toDevices(ctx context.Context, f *Fault) error {
	if e.isElsewhere(f.Of) {
		return nil
	}
	devices, err := devicesOf(e.fleets, f.Of)
	if err != nil {
		return err
	}
	switch f.Do {
	case "drop":
		n := devices.Drop(f.share(), f.Within)
		e.recorder.Event(fmt.Sprintf("%d of %s lost their connection, and come back within %v", n, f.Of, f.Within))
	case "vanish":
		n := devices.Vanish(f.share(), f.For, f.Within)
		e.recorder.Event(fmt.Sprintf("%d of %s lost their network without a word, for %v and up to %v more", n, f.Of, f.For, f.Within))
	case "takeover":
		e.recorder.Event(fmt.Sprintf("%.0f %% of %s are taken over", 100*f.share(), f.Of))
		devices.Takeover(ctx, f.share())
	case "spoil":
		e.recorder.Event(f.Of + " send what is spoiled")
		devices.SetFaults(fleet.Faults{Malformed: f.Malformed, Duplicates: f.Duplicates, Disorder: f.Disorder, ClockShare: f.ClockShare, ClockOffset: f.ClockOffset})
		after(ctx, f.For)
		devices.SetFaults(e.usualFaults(f.Of))
		e.recorder.Event(f.Of + " send what they should again")
	}
	return nil
}

func (e *engine) usualFaults(group string) fleet.Faults {
	for i := range e.scenario.Devices {
		if d := &e.scenario.Devices[i]; d.Name == group {
			return faultsOf(d.Wrong)
		}
	}
	return fleet.Faults{}
}

var errNotOurs = errors.New("somebody else runs it; the fault is left out")

func (e *engine) toPart(ctx context.Context, f *Fault) error {
	p := e.installation.processes[f.Of]
	if p == nil {
		e.recorder.Note(fmt.Sprintf("%s of %s: %v", f.Do, f.Of, errNotOurs))
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	lasting := context.WithoutCancel(ctx) // what was ended is started again, also when the run is ended
	if f.Do == "freeze" {
		e.recorder.Event(f.Of + " is frozen")
		if err := p.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		after(ctx, f.For)
		e.recorder.Event(f.Of + " goes on")
		return p.Signal(syscall.SIGCONT)
	}
	end := p.Kill
	if f.Do == "end" {
		end = p.End
	}
	e.recorder.Event(f.Of + " is ended (" + f.Do + ")")
	if err := end(lasting); err != nil {
		return err
	}
	after(ctx, f.For)
	if err := p.Restart(lasting); err != nil {
		return err
	}
	e.recorder.Event(f.Of + " is started again")
	return nil
}

func (e *engine) toProxy(ctx context.Context, f *Fault) error {
	p := e.installation.proxies[f.Of]
	var c proxy.Conditions
	switch f.Do {
	case "cut":
		e.recorder.Event(fmt.Sprintf("%d connections through %s are cut", p.Cut(f.share()), f.Of))
		return nil
	case "slow":
		c = conditions(f.Conditions)
	case "black-hole":
		c.BlackHole = true
	case "refuse":
		c.Refuse = true
	}
	before := p.Set(c)
	e.recorder.Event(fmt.Sprintf("%s is bad (%s)", f.Of, f.Do))
	after(ctx, f.For)
	p.Set(before)
	e.recorder.Event(f.Of + " is as before")
	return nil
}

func (e *engine) harm(ctx context.Context, f *Fault) error {
	h, err := hostile.New(hostile.Options{
		MQTT: e.installation.fill(or(f.Of, usualDoor)), Kinds: f.Kinds, Connections: f.Connections, FloodRate: f.Rate,
		Seed: e.scenario.Seed + uint64(e.options.Shard.Part), // no two shards are the same devil
	})
	if err != nil {
		return err
	}
	e.recorder.Event(fmt.Sprintf("%d hostile connections begin", f.Connections))
	ctx, cancel := context.WithTimeout(ctx, f.For)
	defer cancel()
	h.Run(ctx)
	c := h.Counts()
	e.recorder.Event(fmt.Sprintf("hostile connections end: %d attempts, %d refused, %d ended by the gateway", c.Attempts, c.Refused, c.Ended))
	return nil
}
