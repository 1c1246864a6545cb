package webhook

import (
	"context"
	"crypto/x509"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/rulebook"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Book is where the webhooks are kept, and how far each is.
type Book interface {
	Webhooks() []rulebook.Webhook
	Changed() <-chan struct{}
	ReadWebhook(ctx context.Context, id string) (*rulebook.Kept[rulebook.Webhook], error)
	ReplaceWebhook(ctx context.Context, w *rulebook.Kept[rulebook.Webhook], at store.Revision) (*rulebook.Kept[rulebook.Webhook], error)
	ReadWebhookState(ctx context.Context, hook string, partition int) (rulebook.WebhookState, bool, error)
	KeepWebhookState(ctx context.Context, hook string, partition int, s rulebook.WebhookState) error
}

// Options of a Sender. Book is needed; zero values stand for the defaults.
type Options struct {
	Book  Book
	Guard Guard
	// FirstRetry is the first pause after a failure; it doubles up to LastRetry.
	FirstRetry, LastRetry time.Duration
	// GiveUp is after how long without a success a webhook is disabled.
	GiveUp time.Duration
	// SaveEvery is how often at most the place of a webhook is written.
	SaveEvery time.Duration
	// MaxQueue bounds the events of a partition that wait.
	MaxQueue int
	Roots    *x509.CertPool // nil: the system's
	Now      func() time.Time
	Logger   *slog.Logger
}

// The defaults of Options.
const (
	DefaultFirstRetry = time.Second
	DefaultLastRetry  = 5 * time.Minute
	DefaultGiveUp     = 24 * time.Hour
	DefaultSaveEvery  = 2 * time.Second
	DefaultMaxQueue   = 10_000
)

// Sender sends the events of the partitions that this process owns. Its methods may be called concurrently, and those that
// the owner calls do not wait.
type Sender struct {
	o      Options
	log    *slog.Logger
	guard  *guard
	client interface { // *http.Client
		doer
		CloseIdleConnections()
	}
	counts counts

	mu     sync.Mutex // guards what follows
	queues map[int]*queue
	active bool          // there are webhooks, as far as Run has seen
	wake   chan struct{} // a token where queues changed
}

type counts struct{ delivered, failed, dropped, guarded, disabled atomic.Uint64 }

// Stats are what a sender did since it was made.
type Stats struct {
	Delivered uint64 `json:"delivered"`
	Failed    uint64 `json:"failed"`   // tries without success
	Dropped   uint64 `json:"dropped"`  // events that were not sent: too many waited
	Guarded   uint64 `json:"guarded"`  // tries to an address that is not allowed
	Disabled  uint64 `json:"disabled"` // webhooks given up
	Waiting   int    `json:"waiting"`  // events, of the partition with the most
}

// New checks the options and wires a sender. It starts nothing.
func New(o Options) (*Sender, error) {
	if o.Book == nil {
		return nil, devices.Errorf(devices.Invalid, "book", "is missing")
	}
	setDefault(&o.FirstRetry, DefaultFirstRetry)
	setDefault(&o.LastRetry, DefaultLastRetry)
	setDefault(&o.GiveUp, DefaultGiveUp)
	setDefault(&o.SaveEvery, DefaultSaveEvery)
	setDefault(&o.MaxQueue, DefaultMaxQueue)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	g, err := o.Guard.compile()
	if err != nil {
		return nil, err
	}
	return &Sender{o: o, log: o.Logger, guard: g, client: g.client(o.Roots), queues: map[int]*queue{}, wake: make(chan struct{}, 1)}, nil
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Owned tells that this process owns a partition, which stands at a position and has kept these events.
func (s *Sender) Owned(partition int, at bus.Position, kept []bus.VersionedEvent) {
	q := newQueue(partition, at, s.o.MaxQueue)
	q.push(kept)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queues[partition] = q
	token(s.wake)
}

// Published tells what was committed. The slice is the sender's from then on.
func (s *Sender) Published(partition int, at bus.Position, events []bus.Event) {
	s.mu.Lock()
	q, active := s.queues[partition], s.active
	s.mu.Unlock()
	switch {
	case q == nil:
		return
	case !active: // one that comes begins at the end
		q.skip(at.Offset)
		return
	}
	versioned := make([]bus.VersionedEvent, len(events))
	for i := range events {
		versioned[i] = bus.VersionedEvent{Event: events[i], Offset: at.Offset}
	}
	q.push(versioned)
}

// Erased tells of devices whose events of before nobody is to hear of any more.
func (s *Sender) Erased(partition int, erased []devices.DeviceID) {
	s.mu.Lock()
	q := s.queues[partition]
	s.mu.Unlock()
	if q != nil {
		q.erase(erased)
	}
}

// Lost tells that this process owns a partition no more.
func (s *Sender) Lost(partition int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.queues, partition)
	token(s.wake)
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // there is one already
	}
}

// Stats returns the numbers of now.
func (s *Sender) Stats() Stats {
	out := Stats{
		Delivered: s.counts.delivered.Load(), Failed: s.counts.failed.Load(), Dropped: s.counts.dropped.Load(),
		Guarded: s.counts.guarded.Load(), Disabled: s.counts.disabled.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queues {
		out.Waiting = max(out.Waiting, q.len())
	}
	return out
}

// task is what one worker does: the events of a partition, to a webhook.
type task struct {
	queue *queue
	hook  string
}

// Run sends until ctx ends, and returns when everything that it started has ended.
func (s *Sender) Run(ctx context.Context) error {
	running := map[task]*worker{}
	var wg sync.WaitGroup
	defer s.client.CloseIdleConnections()
	defer wg.Wait()
	for {
		wanted := s.wanted()
		for t, w := range running {
			if hook, ok := wanted[t]; !ok || !w.same(&hook) {
				w.cancel()
				delete(running, t)
			}
		}
		for t, hook := range wanted {
			if running[t] != nil {
				continue
			}
			w := newWorker(ctx, s, t, hook)
			running[t] = w
			wg.Go(w.run)
		}
		select {
		case <-s.wake:
		case <-s.o.Book.Changed():
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Sender) wanted() map[task]rulebook.Webhook {
	hooks := s.o.Book.Webhooks()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[task]rulebook.Webhook{}
	s.active = len(hooks) > 0
	for _, q := range s.queues {
		for _, h := range hooks {
			if !h.Disabled {
				out[task{q, h.ID}] = h
			}
		}
	}
	return out
}
