package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/sseclient"
)

// Defaults and bounds of Options.
const (
	DefaultConnectRate = 500 // a second
	DefaultSilence     = 45 * time.Second
	DefaultCheckShare  = 0.01
	MaxViewers         = 100_000
	// viewerBuffer is a viewer's read buffer: a tick of a busy stream in a few reads.
	viewerBuffer = 16 << 10
	// maxExamples bounds the violations that are told in words; all are counted.
	maxExamples = 10
)

// Errors of Run. They come wrapped.
var (
	ErrViolations = errors.New("the stream broke its promises")
	ErrNoStream   = errors.New("no stream was opened")
	ErrRunTwice   = errors.New("watch ran already")
)

// Watch is a number of viewers. Run is called once; Counts, Report and ForgetLatencies may be called from any goroutine.
type Watch struct {
	options    Options
	viewers    []viewer
	ids        *interner
	fleets     *interner
	seen       *seen // nil where no two viewers are likely to be sent the same
	latencies  *latencies
	slow       *measure.Histogram
	ran        atomic.Bool
	lastLogged atomic.Int64
	returned   *measure.Histogram // from Drop to ready
	// Parts of the latency: from the instant that a device meant to the gateway's receipt, and from there to the viewer.
	edge, view *measure.Histogram
	shared     *http.Transport // of the viewers over HTTP/2; nil where there are none

	mu       sync.Mutex // guards what follows
	examples []string
	start    time.Time
	probe    *measure.Probe
	final    *Report
}

// New checks the options. It opens nothing.
func New(o Options) (*Watch, error) {
	if o.Viewers < 1 || o.Viewers > MaxViewers {
		return nil, fmt.Errorf("read options: %d viewers; 1 to %d are possible", o.Viewers, MaxViewers)
	}
	if o.SlowShare > 0 && o.SlowRate <= 0 {
		return nil, errors.New("read options: slow viewers need a slow rate")
	}
	if o.ConnectRate <= 0 {
		o.ConnectRate = DefaultConnectRate
	}
	if o.Silence == 0 {
		o.Silence = DefaultSilence
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Watch{options: o, ids: newInterner(), fleets: newInterner(), seen: newSeen(o.Viewers), latencies: newLatencies(&o), slow: measure.NewHistogram(), returned: measure.NewHistogram(), edge: measure.NewHistogram(), view: measure.NewHistogram()}
	if o.HTTP2Share > 0 {
		w.shared = sseclient.NewHTTP2()
		w.shared.TLSClientConfig = o.TLS.Clone() // a transport writes into it what it speaks
	}
	w.viewers = make([]viewer, o.Viewers)
	for i := range w.viewers {
		if err := w.viewers[i].init(w, i); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Run opens the viewers and watches until the time is over or ctx ends, whichever is first; then it waits for them. It
// returns ErrViolations where a promise was broken and ErrNoStream where there was nothing to watch.
func (w *Watch) Run(ctx context.Context) error {
	if w.ran.Swap(true) {
		return ErrRunTwice
	}
	probe, err := measure.NewProbe()
	if err != nil {
		return fmt.Errorf("run watch: %w", err)
	}
	w.mu.Lock()
	w.start, w.probe = time.Now(), probe
	w.mu.Unlock()

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { probe.Run(ctx) })
	running.Go(func() { w.tell(ctx) })
	if w.options.PanEvery > 0 {
		running.Go(func() { w.pan(ctx) })
	}
	w.open(ctx, &running)
	if w.options.For > 0 {
		timer := time.NewTimer(w.options.For)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	} else {
		<-ctx.Done()
	}
	report := w.Report()
	stop()
	running.Wait()
	if w.shared != nil {
		w.shared.CloseIdleConnections()
	}
	return w.finish(report)
}

// open starts the viewers at the connect rate.
func (w *Watch) open(ctx context.Context, running *sync.WaitGroup) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	started := time.Now()
	for next := 0; next < len(w.viewers); {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		due := int(time.Since(started).Seconds()*float64(w.options.ConnectRate)) + 1
		for ; next < min(due, len(w.viewers)); next++ {
			v := &w.viewers[next]
			running.Go(func() { v.stay(ctx) })
		}
		timer.Reset(max(w.options.ConnectRate.Interval(), time.Millisecond))
	}
}

// finish keeps the report of the last moment, with the latencies that viewers still held.
func (w *Watch) finish(report Report) error {
	report.Latency, report.SlowLatency = measure.Sum(w.latencies.all()...), measure.Sum(w.slow)
	report.ByTransport = w.latencies.sums()
	report.Edge, report.View = measure.Sum(w.edge), measure.Sum(w.view)
	report.Examples = w.someExamples()
	w.mu.Lock()
	w.final = &report
	w.mu.Unlock()
	switch {
	case report.Violations.Total() > 0:
		return fmt.Errorf("run watch: %w: %d violations", ErrViolations, report.Violations.Total())
	case report.Opened == 0:
		return fmt.Errorf("run watch: %w", ErrNoStream)
	}
	return nil
}

// ForgetLatencies starts the latencies anew, as where a steady time begins.
func (w *Watch) ForgetLatencies() {
	w.slow.Reset()
	w.edge.Reset()
	w.view.Reset()
	for _, h := range w.latencies.all() {
		h.Reset()
	}
}

func (w *Watch) example(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.examples) < maxExamples {
		w.examples = append(w.examples, text)
	}
}

func (w *Watch) someExamples() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.examples...)
}

// complain logs at most one line a second; the counters have them all.
func (w *Watch) complain(err error) {
	now, last := time.Now().UnixNano(), w.lastLogged.Load()
	if now-last < int64(time.Second) || !w.lastLogged.CompareAndSwap(last, now) {
		return
	}
	w.options.Logger.Warn("viewer lost its stream", "error", err)
}

// tell reports progress until ctx ends.
func (w *Watch) tell(ctx context.Context) {
	progress := measure.NewProgress(w.options.Progress)
	defer progress.Done()
	tick := time.NewTicker(progress.Every())
	defer tick.Stop()
	before, last := Counts{}, time.Now()
	start := last
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, c := time.Now(), w.Counts()
		seconds := now.Sub(last).Seconds()
		progress.Line(fmt.Sprintf("%4.0fs  live %d/%d  updates %.0f/s  %.1f MB/s  resets %d  reconnects %d  violations %d",
			now.Sub(start).Seconds(), c.Live, len(w.viewers), float64(c.Updates-before.Updates)/seconds,
			float64(c.Bytes-before.Bytes)/seconds/1e6, c.Resets, c.Opened-min(c.Opened, int64(len(w.viewers))), c.Violations.Total()))
		before, last = c, now
	}
}
