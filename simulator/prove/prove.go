package prove

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/sseclient"
	"github.com/fleetcast/fleetcast/simulator/units"
)

// Defaults and bounds of Options.
const (
	DefaultFleet      = "prove"
	DefaultQuietShare = 0.5
	DefaultSettle     = 20 * time.Second
	DefaultFaultEvery = 5 * time.Second
	MaxDevices        = 20_000
	MaxViewers        = 5_000
	// maxAnswers bounds the answers that are told apart.
	maxAnswers = 10
)

// Errors of a run. They come wrapped.
var (
	// ErrBreached says that a promise was broken.
	ErrBreached = errors.New("a promise was broken")
	// ErrNothing says that too little happened to prove anything.
	ErrNothing     = errors.New("nothing was proved")
	ErrRunTwice    = errors.New("prove ran already")
	errUnrecovered = errors.New("it did not come back")
)

// Options of a run. A zero value means the default where there is one.
type Options struct {
	// URLs are the edges, as http://host:port. A viewer asks the next one each time.
	URLs []string
	// MQTT are the doors, as host:port. A device connects to the next one each time.
	MQTT []string

	Devices int
	Rate    units.Rate // of each device
	Viewers int
	// For is how long to send. With 0 it goes on until FaultCount faults were made, or until ctx ends.
	For time.Duration
	// Fleet is the devices' fleet, and Prefix the begin of their ids, which should be new in each run: what an
	// installation holds of an earlier run has numbers too. "" makes one up.
	Fleet  string
	Prefix string
	// Identities, where there are some, are the devices' ids and passwords, all of the one fleet; Prefix then counts for
	// nothing. An id should have been used by nobody, as above.
	Identities []Identity
	// Header is what every request to an edge says.
	Header http.Header
	// TLS is for edges of https://; nil trusts what the system trusts.
	TLS *tls.Config
	// Seed decides when which fault is made and who is silent.
	Seed uint64

	Terms
	Crowd

	// Faults are made at random, one every FaultEvery in the mean after the recovery from the one before, FaultCount in
	// all; 0 means until the end. No fault is made where there are none.
	Faults     []Fault
	FaultEvery time.Duration
	FaultCount int
	// QuietShare of the devices are silent from a fault until all that is owed was looked for.
	QuietShare units.Share
	// ResumeEvery cuts each stream when it is so old, or down to half as old, so that its viewer resumes; 0 never does.
	ResumeEvery time.Duration
	// Reconnect is how long a viewer waits before it connects again, less up to a quarter; 0 is what the stream asks for.
	Reconnect time.Duration
	// Silence ends a stream on which nothing came for so long; 0 is 45 s, three of the usual heartbeats.
	Silence time.Duration
	// Settle is how long all may take to be as it was promised once the installation should be well.
	Settle time.Duration

	Progress io.Writer // nil is quiet
	Logger   *slog.Logger
}

// Identity is what a device shows to a door.
type Identity struct{ Username, Password string }

// Prove is one run.
type Prove struct {
	options Options
	ran     atomic.Bool
}

// New checks the options. It opens nothing.
func New(o Options) (*Prove, error) {
	switch {
	case len(o.URLs) == 0 || len(o.MQTT) == 0:
		return nil, errors.New("read options: an edge and a door are needed")
	case o.Devices < 1 || o.Devices > MaxDevices || o.Viewers < 1 || o.Viewers > MaxViewers:
		return nil, fmt.Errorf("read options: 1 to %d devices and 1 to %d viewers are possible", MaxDevices, MaxViewers)
	case o.Rate <= 0 || o.Rate > 500:
		return nil, errors.New("read options: the rate is above 0 and at most 500/s, as a message's time is in milliseconds")
	case len(o.Identities) > 0 && len(o.Identities) < o.Devices:
		return nil, fmt.Errorf("read options: %d devices and %d credentials", o.Devices, len(o.Identities))
	case o.OneEdge && len(o.URLs) > 1:
		return nil, errors.New("read options: there is more than one edge")
	}
	o.URLs = append([]string(nil), o.URLs...)
	for i, u := range o.URLs {
		if o.URLs[i] = strings.TrimSuffix(u, "/"); !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
			return nil, fmt.Errorf("read options: edge %q does not begin with http:// or https://", u)
		}
	}
	if err := o.Crowd.complete(); err != nil {
		return nil, err
	}
	if o.Fleet == "" {
		o.Fleet = DefaultFleet
	}
	if o.Prefix == "" {
		o.Prefix = "prove-" + strconv.FormatUint(rand.Uint64()>>24, 36)
	}
	if _, err := devices.ParseFleetID(o.Fleet); err != nil {
		return nil, fmt.Errorf("read options: fleet: %w", err)
	}
	if _, err := devices.ParseDeviceID(names{prefix: o.Prefix}.id(o.Devices)); err != nil {
		return nil, fmt.Errorf("read options: prefix: %w", err)
	}
	if o.FaultEvery <= 0 {
		o.FaultEvery = DefaultFaultEvery
	}
	if o.QuietShare <= 0 {
		o.QuietShare = DefaultQuietShare
	}
	if o.Silence <= 0 {
		o.Silence = defaultSilence
	}
	if o.Settle <= 0 {
		o.Settle = DefaultSettle
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Prove{options: o}, nil
}

// run is the state of a run.
type run struct {
	options Options
	names   names
	ledger  *Ledger
	eras    eras
	ids     idTable
	devices []device
	viewers []viewer
	asks    []ask
	shared  *http.Transport // of those over HTTP/2 that share
	start   time.Time
	rand    *rand.Rand // of the goroutine of Run

	opened [transports]atomic.Int64
	sent   atomic.Bool // all that is sent was sent

	heldBack, moves, probes, audits, faults, refusals atomic.Int64

	mu         sync.Mutex // guards what follows
	recoveries []Recovery
	answers    map[string]int64 // refusals by their text
}

func (r *run) now() time.Duration { return time.Since(r.start) }

// refused counts an answer that would have ended an EventSource. An installation that is behind a proxy gives them while
// a fault lasts, so they are told and are no breach.
func (r *run) refused(err *statusError) {
	r.refusals.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answers) < maxAnswers || r.answers[err.Error()] > 0 {
		r.answers[err.Error()]++
	}
}

// Run sends until the time is over or ctx ends, then waits until all is as promised, for a bounded time, and closes the
// books. The report stands in any case. The error is ErrBreached where a promise was broken, ErrNothing where nothing was
// acknowledged or a fault that was asked for could not be made, or what kept the run from being made.
func (p *Prove) Run(ctx context.Context) (Report, error) {
	if p.ran.Swap(true) {
		return Report{}, ErrRunTwice
	}
	o := p.options
	r := &run{
		options: o, names: newNames(&o), ledger: NewLedger(o.Devices, o.Viewers, o.Terms), eras: eras{durable: o.Durable},
		devices: make([]device, o.Devices), viewers: make([]viewer, o.Viewers), start: time.Now(),
		rand: rand.New(rand.NewPCG(o.Seed, 0)), answers: map[string]int64{}, shared: sseclient.NewHTTP2(),
	}
	r.shared.TLSClientConfig = o.TLS.Clone()
	defer r.shared.CloseIdleConnections()
	r.asks = o.asks(r.names)
	for i := range r.devices {
		r.devices[i].init(r, i)
	}
	for i := range r.viewers {
		r.viewers[i].init(r, i)
	}
	err := r.whole(ctx)
	r.ledger.Close()
	report := r.report()
	return report, errors.Join(err, report.err(&o))
}

// whole is the run from the first connection to the last look.
func (r *run) whole(ctx context.Context) error {
	living, stop := context.WithCancel(context.WithoutCancel(ctx)) // ctx ends the sending only
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for i := range r.viewers {
		running.Go(func() { r.viewers[i].watch(living) })
	}
	for i := range r.devices {
		running.Go(func() { r.devices[i].connect(living) })
	}
	running.Go(func() { r.tell(living) })

	sending, endSending := context.WithCancel(ctx)
	defer endSending()
	if r.options.For > 0 {
		sending, endSending = context.WithTimeout(ctx, r.options.For)
		defer endSending()
	}
	var pacing sync.WaitGroup
	for i := range r.devices {
		pacing.Go(func() { r.devices[i].pace(sending) })
	}
	var err error
	if len(r.options.Faults) > 0 {
		err = r.makeFaults(sending)
	}
	if err == nil && (r.options.For > 0 || len(r.options.Faults) == 0) {
		<-sending.Done()
	}
	endSending()
	pacing.Wait()
	r.sent.Store(true)
	if err != nil {
		return err
	}
	r.settle(living)
	return nil
}

// settle waits until every message has its PUBACK and all that is owed is there.
func (r *run) settle(ctx context.Context) {
	acked, cancel := context.WithTimeout(ctx, r.options.Settle)
	defer cancel()
	if !until(acked, func() bool { return r.unacked() == 0 }) {
		r.ledger.Breach(Unacked, "%d messages have no PUBACK %v after the last was sent", r.unacked(), r.options.Settle)
	}
	r.audit(ctx, r.ledger.Owed())
}

func (r *run) unacked() (n int) {
	for i := range r.devices {
		n += r.devices[i].unacked()
	}
	return n
}

// tell reports progress until ctx ends.
func (r *run) tell(ctx context.Context) {
	progress := measure.NewProgress(r.options.Progress)
	defer progress.Done()
	tick := time.NewTicker(progress.Every())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		t := r.ledger.Totals()
		counts, _ := r.ledger.Breaches()
		var breaches int64
		for _, n := range counts {
			breaches += n
		}
		progress.Line(fmt.Sprintf("%4.0fs  sent %d  acked %d  faults %d  audits %d  resets %d  breaches %d",
			r.now().Seconds(), t.Sent, t.Acked, r.faults.Load(), r.audits.Load(), t.Resets, breaches))
	}
}
