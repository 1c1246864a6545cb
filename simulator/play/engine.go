package play

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/prove"
	"github.com/fleetcast/fleetcast/simulator/report"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Errors of a run. They come wrapped.
var (
	// ErrBroken says that a promise was broken, as viewers and the ledger found.
	ErrBroken = errors.New("a promise was broken")
	// ErrNothing says that too little happened to say anything.
	ErrNothing = errors.New("nothing was shown")
)

// Options of a run.
type Options struct {
	Scenario *Scenario
	Small    bool
	Gateway  string // the program that gateways of the scenario are
	// Shard is the part of the scenario that this process runs, of an installation that somebody else runs; zero is all.
	// RunID is what the reports of all shards say.
	Shard fleet.Shard
	RunID string
	// MQTT and URL are the door and the edge of an installation that somebody else runs, in the place of the scenario's.
	MQTT, URL string
	// Header is what viewers, the ledger and the look at the end say with every request.
	Header http.Header
	// Thresholds are kept besides those of the scenario.
	Thresholds []string
	Command    []string
	// Patience is how long the end waits until all is as it should be; 0 is DefaultPatience.
	Patience time.Duration
	// Metrics is an address to serve the values at while it runs; "" is none.
	Metrics string
	Screen  io.Writer // nil is quiet
	Logger  *slog.Logger
}

// engine is a run.
type engine struct {
	options      Options
	scenario     *Scenario
	installation *installation
	recorder     *report.Recorder
	fleets       []report.DeviceGroup
	watches      []report.ViewerGroup
	prove        *prove.Prove
}

// Result is what a run leaves.
type Result struct{ Report *report.Report }

// Run starts what the scenario starts, does what it says, and ends all of it. The result is nil where it could not be run.
// The error is report.ErrThreshold where a threshold was not kept, ErrBroken where a promise was broken, ErrNothing where
// too little happened, and what else went wrong.
func Run(ctx context.Context, o Options) (result *Result, err error) {
	if o.Small {
		o.Scenario = o.Scenario.small()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	if o.Shard.Of > 1 && o.MQTT == "" {
		return nil, ErrShard
	}
	run, err := o.runOf()
	if err != nil {
		return nil, err
	}
	e := &engine{options: o, scenario: o.Scenario.part(o.Shard)}
	thresholds, err := o.Scenario.thresholds(append(append([]string(nil), o.Scenario.Thresholds...), o.Thresholds...))
	if err != nil {
		return nil, err
	}
	if err := e.preflight(); err != nil {
		return nil, err
	}
	if e.installation, err = install(ctx, &o); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.installation.stop()) }()
	for _, part := range []func() error{e.makeDevices, e.makeViewers, e.makeLedger} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	e.recorder, err = report.NewRecorder(report.Options{
		Name: o.Scenario.Name, Command: o.Command, Devices: e.fleets, Viewers: e.watches, Proxies: e.bad(), Thresholds: thresholds, Screen: o.Screen, Run: run,
	})
	if err != nil {
		return nil, fmt.Errorf("run scenario: %w", err)
	}
	if o.Small {
		e.recorder.Note("this is the small form: its times and rates say nothing")
	}
	return e.play(ctx)
}

// bad are the networks that may be bad, in the order of the scenario.
func (e *engine) bad() (all []report.ProxyGroup) {
	for i := range e.scenario.Start {
		if p := e.installation.proxies[e.scenario.Start[i].Name]; p != nil {
			all = append(all, report.ProxyGroup{Name: e.scenario.Start[i].Name, Proxy: p})
		}
	}
	return all
}

// play is the run itself.
func (e *engine) play(ctx context.Context) (*Result, error) {
	living, stop := context.WithCancel(context.WithoutCancel(ctx)) // what looks on, until the end has been looked at
	defer stop()
	var recording sync.WaitGroup
	recording.Go(func() { e.recorder.Run(living) })
	var metricsErr error
	if e.options.Metrics != "" {
		recording.Go(func() { metricsErr = e.recorder.Serve(living, e.options.Metrics) })
	}
	var watching errorGroup
	for _, v := range e.watches {
		watching.Go(func() error { return v.Watch.Run(living) })
	}
	var loading errorGroup
	for _, d := range e.fleets {
		loading.Go(func() error { return d.Fleet.Run(ctx) })
	}
	var ledger *prove.Report
	if e.prove != nil {
		loading.Go(func() error {
			r, err := e.prove.Run(ctx)
			ledger = &r
			return err
		})
	}
	loading.Go(func() error { return e.makeFaults(ctx) })
	loadErr := loading.Wait()
	audit := e.audit(living)
	e.recorder.Settled(e.awaitViewers(living))
	stop()
	watchErr := watching.Wait()
	recording.Wait()
	result := &Result{Report: e.recorder.Report(ledger, audit)}
	return result, errors.Join(result.Report.Err(), judge(loadErr), judge(watchErr), metricsErr)
}

// awaitViewers gives viewers that a fault has cut the time to come back, and returns how many of each group were live at
// some moment since: some are always away, since they are cut again and again as planned.
func (e *engine) awaitViewers(ctx context.Context) []int64 {
	ctx, cancel := context.WithTimeout(ctx, e.options.Patience)
	defer cancel()
	seen, live := make([][]bool, len(e.watches)), make([]int64, len(e.watches))
	for i := range e.watches {
		seen[i] = make([]bool, e.scenario.Viewers[i].Count)
	}
	poll(ctx, func() bool {
		all := true
		for i, v := range e.watches {
			v.Watch.MarkLive(seen[i])
			live[i] = 0
			for _, is := range seen[i] {
				if is {
					live[i]++
				}
			}
			all = all && live[i]+v.Watch.Counts().Gone >= int64(len(seen[i]))
		}
		return all
	})
	return live
}

// judge gives the errors of the parts this package's kinds.
func judge(err error) error {
	switch {
	case errors.Is(err, prove.ErrBreached), errors.Is(err, watch.ErrViolations):
		return errors.Join(ErrBroken, err)
	case errors.Is(err, prove.ErrNothing), errors.Is(err, watch.ErrNoStream):
		return errors.Join(ErrNothing, err)
	}
	return err
}

// errorGroup is goroutines whose errors are joined.
type errorGroup struct {
	running sync.WaitGroup
	mu      sync.Mutex // guards what follows
	errs    []error
}

// Go runs a function.
func (g *errorGroup) Go(do func() error) {
	g.running.Go(func() {
		err := do()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.errs = append(g.errs, err)
	})
}

// Wait waits for all of them.
func (g *errorGroup) Wait() error {
	g.running.Wait()
	return errors.Join(g.errs...)
}
