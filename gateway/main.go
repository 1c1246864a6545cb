package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/fleetcast/fleetcast/gateway/app"
	"github.com/fleetcast/fleetcast/gateway/completion"
	"github.com/fleetcast/fleetcast/simulator/fleet"
)

// Exit codes. Wrong arguments have one of their own, so that a supervisor does not restart what cannot start.
const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run serves, or runs the command that the arguments begin with.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == completion.Ask {
		_ = answerCompletion(args[1:], stdout) // a shell that asks between two keys hears no complaints
		return 0
	}
	if isCommand(args) {
		return runCommand(args, &terminal{in: stdin, out: stdout, err: stderr})
	}
	opts, err := app.Parse(args, stdout)
	switch {
	case errors.Is(err, app.ErrShown):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "gateway: %v\n", err)
		return exitUsage
	}
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	// The first signal asks for a stop; from then on signals mean again what they always mean, so the second kills.
	context.AfterFunc(ctx, release)

	opts.Report.Logger, opts.Report.Level = app.NewLogger(opts.Log, stderr)
	opts.Report.Banner, opts.Report.Reload = stdout, func() (app.Options, error) { return app.Parse(args, io.Discard) }
	if err := serve(ctx, opts); err != nil {
		fmt.Fprintf(stderr, "gateway: %v\n", err)
		return exitFailure
	}
	return 0
}

// serve runs the gateway, and the demo fleet against it, until ctx ends or a part fails.
func serve(ctx context.Context, opts app.Options) error {
	keeper := newKeeper(opts.Report.Logger)
	defer keeper.close()
	gateway, err := app.New(opts)
	if err != nil {
		return err
	}
	if err := gateway.Start(ctx); err != nil {
		return err
	}
	keeper.start(ctx, gateway)
	err = serveDemo(ctx, opts, gateway)
	keeper.stop()
	return errors.Join(err, gateway.Stop(context.WithoutCancel(ctx)))
}

// serveDemo waits for the end, with the demo fleet where there is to be one.
func serveDemo(ctx context.Context, opts app.Options, gateway *app.App) error {
	if opts.Fleet.Demo == 0 {
		return gateway.Wait(ctx)
	}
	if err := gateway.SeedDemo(ctx); err != nil {
		opts.Report.Logger.WarnContext(ctx, "the demo has no rules", "error", err)
	}
	demo, err := startDemo(ctx, opts, gateway.Addrs().MQTT.String())
	if err != nil {
		return err
	}
	defer demo.stop() // devices say goodbye while there is somebody to hear it
	return gateway.Wait(ctx)
}

// demoFleets are what the demo's devices are dealt over, so that filters have something to show.
var demoFleets = []string{"north", "south"}

// demoRate is how often a device of the demo sends, a second: a lively map without a busy machine.
const demoRate = 1

// demoFails is the share of commands that the demo's devices say failed, so that both ends are seen.
const demoFails = 0.1

// A demo is a running fleet of simulated devices.
type demo struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// startDemo runs the fleet until it is stopped. A demo that fails is logged and is no reason to end the gateway, which
// real devices may be using.
func startDemo(ctx context.Context, opts app.Options, mqtt string) (*demo, error) {
	log := opts.Report.Logger
	devices, err := fleet.New(fleet.Options{
		MQTT: mqtt, Devices: opts.Fleet.Demo, Rate: demoRate, Fleets: demoFleets, QoS: 1, Logger: log.With("part", "demo"),
		Commands: true, CommandsFail: demoFails,
	})
	if err != nil {
		return nil, fmt.Errorf("make demo fleet: %w", err)
	}
	log.InfoContext(ctx, "demo fleet started", "devices", opts.Fleet.Demo, "fleets", demoFleets)
	ctx, cancel := context.WithCancel(ctx)
	d := &demo{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		if err := devices.Run(ctx); err != nil {
			log.Error("demo fleet failed", "error", err)
		}
	}()
	return d, nil
}

// stop ends the fleet and waits for it, which takes seconds at most.
func (d *demo) stop() {
	d.cancel()
	<-d.done
}
