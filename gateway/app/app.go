package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"
)

// StopTimeout bounds Stop as a whole where its caller has no opinion. Each part has a smaller bound of its own.
const StopTimeout = 20 * time.Second

// The bounds of the parts on stopping, in the order in which they stop.
const (
	acceptBound  = time.Second
	streamsBound = 3 * time.Second
	requestBound = 2 * time.Second
	mqttBound    = 3 * time.Second
	bridgeBound  = 4 * time.Second
	hubBound     = time.Second
	busBound     = 5 * time.Second // it may have a disk to wait for
	traceBound   = 2 * time.Second // of a collector that may be away
)

// App is a gateway: one process with every role, or some. It runs once.
type App struct {
	opts   Options
	log    *slog.Logger
	parts  *parts // set by Start, before anything runs
	runner *runner
	addrs  Addrs
	http   atomic.Pointer[httpDoor]    // set by Start; read by stats
	config atomic.Pointer[configStore] // as http
	tracer tracer                      // set by Start, before anything runs

	begun    atomic.Bool   // Start or Stop was called
	started  chan struct{} // closed when Start has returned, or never will be called
	stopping atomic.Bool
	stopped  chan struct{} // closed when Stop is through
	stopErr  error         // valid once stopped is closed

	stopBegan atomic.Int64 // unix ms; 0 while it runs

	stack stack // Start's, then Stop's

	reloads reloads
	asked   chan struct{} // by Alive, one at a time
}

// Addrs are the addresses that the ports are bound to. MQTT is nil where devices do not connect to this process, Admin where
// there is none.
type Addrs struct {
	MQTT, HTTP, Admin net.Addr
}

// New checks the options. It opens no store, binds no port and starts nothing.
func New(opts Options) (*App, error) {
	if err := opts.Check(); err != nil {
		return nil, fmt.Errorf("check settings: %w", err)
	}
	if opts.Report.Logger == nil {
		opts.Report.Logger = slog.New(slog.DiscardHandler)
	}
	log := opts.Report.Logger
	a := &App{
		opts: opts, log: log, runner: newRunner(log),
		started: make(chan struct{}), stopped: make(chan struct{}),
		asked:   make(chan struct{}, 1),
		reloads: reloads{turn: make(chan struct{}, 1), current: opts},
	}
	a.reloads.lastGood.Store(time.Now().UnixMilli())
	return a, nil
}

// Start opens the store, binds the ports, starts every part and returns; the parts run until Stop, whatever becomes of ctx. After an
// error nothing runs and no port is bound. An App starts once.
func (a *App) Start(ctx context.Context) error {
	if !a.begun.CompareAndSwap(false, true) {
		return errors.New("start gateway: it was started or stopped before")
	}
	defer close(a.started)
	if err := a.start(ctx); err != nil {
		return errors.Join(fmt.Errorf("start gateway: %w", err), a.unwind(context.WithoutCancel(ctx)))
	}
	a.log.InfoContext(ctx, "gateway started", "roles", a.opts.roles().String(), "bus", a.parts.store.stats().Kind, "mqtt", addressOrNone(a.addrs.MQTT), "http", a.addrs.HTTP.String(), "version", Version())
	return nil
}

func addressOrNone(addr net.Addr) string {
	if addr == nil {
		return "none"
	}
	return addr.String()
}

// Addrs tells where the ports are bound; it is zero before Start has returned.
func (a *App) Addrs() Addrs { return a.addrs }

// Wait waits until ctx ends, which is no error, or a part fails, which is.
func (a *App) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-a.runner.failed:
		return a.runner.err()
	}
}

// Stop stops every part in the reverse of the order in which they started, each within its bound, and joins their
// errors. It may be called at any time, more than once and from several goroutines; each call returns when everything
// has stopped or its ctx has ended.
func (a *App) Stop(ctx context.Context) error {
	if a.begun.CompareAndSwap(false, true) {
		close(a.started) // there will be no Start
	}
	if a.stopping.CompareAndSwap(false, true) {
		<-a.started // Start waits for the store at most: for what is on the disk, or two seconds for Redis
		a.stopErr = a.unwind(ctx)
		close(a.stopped)
		return a.stopErr
	}
	select {
	case <-a.stopped:
		return a.stopErr
	case <-ctx.Done():
		return fmt.Errorf("wait for the gateway to stop: %w", ctx.Err())
	}
}

func (a *App) unwind(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, StopTimeout)
	defer cancel()
	began := time.Now()
	a.stopBegan.Store(began.UnixMilli())
	err := a.stack.unwind(ctx, a.log)
	attrs := []any{"took", time.Since(began).Round(time.Millisecond)}
	if p := a.parts; p != nil && p.stream != nil {
		streams, sockets := p.stream.Stats(), p.ws.Stats()
		attrs = append(attrs, "told_to_come_back", streams.Ended["drained"]+sockets.Ended["drained"], "left_open", streams.Open+sockets.Open)
	}
	a.log.InfoContext(ctx, "stopped", attrs...)
	return err
}

// stoppingFor is for how long the process has been stopping; 0 while it runs.
func (a *App) stoppingFor() time.Duration {
	began := a.stopBegan.Load()
	if began == 0 {
		return 0
	}
	return max(time.Since(time.UnixMilli(began)), time.Millisecond)
}

// Run is Start, Wait and Stop: it returns when ctx has ended and everything has stopped, or with the error of the part
// that failed.
func (a *App) Run(ctx context.Context) error {
	if err := a.Start(ctx); err != nil {
		return err
	}
	failure := a.Wait(ctx)
	return errors.Join(failure, a.Stop(context.WithoutCancel(ctx)))
}
