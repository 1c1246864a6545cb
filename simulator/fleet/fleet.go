package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/routes"
)

// Bounds of starting and stopping.
const (
	// rampGrace is how long the steady time waits for devices that are still connecting.
	rampGrace = 10 * time.Second
	// ackDrain is how long the end waits for the last PUBACKs.
	ackDrain = 2 * time.Second
	// poll is how often a wait looks whether it is over.
	poll = 20 * time.Millisecond
	// maxShards bounds the pacing goroutines; one gives tens of thousands of turns a second.
	maxShards = 4
)

// ErrRunTwice says that Run was called a second time.
var ErrRunTwice = errors.New("fleet ran already")

// Fleet is a number of simulated devices. Run is called once; Counts and Summary may be called from any goroutine.
type Fleet struct {
	options Options
	atlas   *routes.Atlas
	devices []device
	count   *counters
	ran     atomic.Bool
	running sync.WaitGroup // the devices
	faults  atomic.Pointer[Faults]
	// steadyFrom is when the steady time began, since the run's start; 0 before it.
	steadyFrom atomic.Int64

	start time.Time // set by Run before any goroutine of it, and before phases.probe

	mu     sync.Mutex // guards what follows
	phases phases
	silent []net.Conn // that devices left without a word
}

// phases are the moments of a run, and what was counted by then. Zero: not yet.
type phases struct {
	probe *measure.Probe

	steady, down, end       time.Duration
	atSteady, atDown, atEnd Counts
	kept                    latencies // of the steady time, where it ended before the run
	healthAtEnd             measure.Health
	isSteady, isDown, ended bool
}

// New checks the options and makes the devices. It starts nothing and opens nothing.
func New(o Options) (*Fleet, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	world := o.World
	world.Seed = o.Seed
	atlas, err := routes.NewWorld(world)
	if err != nil {
		return nil, fmt.Errorf("make fleet: %w", err)
	}
	f := &Fleet{options: o, atlas: atlas, count: newCounters()}
	f.devices = make([]device, o.Devices)
	for i := range f.devices {
		f.devices[i].init(f, i)
	}
	f.SetFaults(o.Faults)
	return f, nil
}

// Run connects the devices and sends until the options' time is over or ctx ends, whichever is first; neither is an
// error. Then every device says goodbye, and Run returns when all its goroutines ended, within seconds.
func (f *Fleet) Run(ctx context.Context) error {
	if f.ran.Swap(true) {
		return ErrRunTwice
	}
	probe, err := measure.NewProbe()
	if err != nil {
		return fmt.Errorf("run fleet: %w", err)
	}
	f.mu.Lock()
	f.start, f.phases.probe = time.Now(), probe
	f.mu.Unlock()

	// Two lives: first the turns end, then, after the last PUBACKs, the connections.
	sending, stopSending := context.WithCancel(ctx)
	defer stopSending()
	connected, disconnect := context.WithCancel(context.WithoutCancel(ctx))
	defer disconnect()

	var pacing sync.WaitGroup
	f.startPacing(sending, &pacing)
	pacing.Go(func() { probe.Run(sending) })
	pacing.Go(func() { f.tell(sending) })
	f.follow(sending, connected)
	stopSending()
	pacing.Wait()

	stopped := f.elapsed()
	f.drain(context.WithoutCancel(ctx))
	err = f.finish(stopped)
	disconnect()
	f.goodbyes()
	f.running.Wait()
	f.closeSilent()
	return err
}

// goodbyes ends all connections. A device that connects in this very moment sees its context's end and does it itself.
func (f *Fleet) goodbyes() {
	for i := range f.devices {
		if client := f.devices[i].client.Load(); client != nil {
			f.devices[i].goodbye(client)
		}
	}
}

func (f *Fleet) startPacing(ctx context.Context, pacing *sync.WaitGroup) {
	if f.options.Rate <= 0 {
		return
	}
	interval := f.options.Rate.Interval()
	shards := min(runtime.GOMAXPROCS(0), maxShards, len(f.devices))
	for n := range shards {
		s := &shard{fleet: f}
		for i := n; i < len(f.devices); i += shards {
			s.devices = append(s.devices, &f.devices[i])
		}
		offset := interval / time.Duration(len(f.devices)) * time.Duration(n)
		if o := f.options.Shard; o.Of > 1 { // several processes do not send at the same instants
			offset += interval / time.Duration(len(f.devices)) / time.Duration(o.Of) * time.Duration(o.Part-1)
		}
		s.pacer = pacer{interval: interval, members: uint64(len(s.devices)), offset: offset}
		pacing.Go(func() { s.run(ctx) })
	}
}

// wait returns when done, where there is one, answers true, the time is over or ctx ends. A time of 0 is for ever.
func (f *Fleet) wait(ctx context.Context, limit time.Duration, done func() bool) {
	var over <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		over = timer.C
	}
	var again <-chan time.Time
	if done != nil {
		tick := time.NewTicker(poll)
		defer tick.Stop()
		again = tick.C
	}
	for done == nil || !done() {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-again:
		}
	}
}

// drain waits for PUBACKs that are under way.
func (f *Fleet) drain(ctx context.Context) {
	f.wait(ctx, ackDrain, func() bool {
		for i := range f.devices {
			if c := f.devices[i].client.Load(); c != nil && c.Unacked() > 0 {
				return false
			}
		}
		return true
	})
}

// finish takes the last look before the goodbyes.
func (f *Fleet) finish(stopped time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	health, err := f.phases.probe.Health()
	f.phases.end, f.phases.ended = stopped, true
	f.phases.atEnd, f.phases.healthAtEnd = f.count.counts(), health
	if err != nil {
		return fmt.Errorf("finish fleet: %w", err)
	}
	return nil
}

// Counts returns the ledger now.
func (f *Fleet) Counts() Counts { return f.count.counts() }

// tell reports progress until ctx ends.
func (f *Fleet) tell(ctx context.Context) {
	progress := measure.NewProgress(f.options.Progress)
	defer progress.Done()
	tick := time.NewTicker(progress.Every())
	defer tick.Stop()
	var before Counts
	for last := f.elapsed(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, c := f.elapsed(), f.count.counts()
		rate := float64(c.Sent-before.Sent) / (now - last).Seconds()
		progress.Line(fmt.Sprintf("%4.0fs  connected %d/%d  sent %d (%.0f/s)  acked %d  late %d  skipped %d  connect trouble %d",
			now.Seconds(), c.Connected, len(f.devices), c.Sent, rate, c.Acked, c.Late, c.Skipped.Total(),
			c.Trouble.Dial+c.Trouble.Handshake+c.Trouble.Refused+c.Trouble.Lost))
		before, last = c, now
	}
}
