package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/problem"
)

// The defaults of LimitOptions. A dashboard asks a few times a second; a script that lists a large fleet a hundred times
// at once. An office of dashboards that share one key has its streams within the third.
const (
	DefaultRate             = 100
	DefaultBurst            = 1000
	DefaultStreamsPerCaller = 1000
)

// maxBuckets bounds the callers that are remembered.
const maxBuckets = 20_000

// LimitOptions are how much one caller may ask of this process: who showed a proof by their name, anybody else by their
// address. A zero Rate, or StreamsPerCaller, bounds nothing.
type LimitOptions struct {
	Rate             float64 // requests a second
	Burst            int     // requests that may come at once
	StreamsPerCaller int
	Proxies          Proxies
	Now              func() time.Time
}

// Limiter counts what callers ask. It is shared by the API and by what opens streams; its methods may be called
// concurrently. A nil one bounds nothing.
type Limiter struct {
	options atomic.Pointer[LimitOptions]
	refused atomic.Uint64
	streams atomic.Uint64 // that were refused

	mu      sync.Mutex // guards what follows
	buckets map[string]bucket
	open    map[string]int // streams by caller
}

// bucket holds tokens, of which each request takes one.
type bucket struct {
	tokens float64
	at     time.Time
}

// NewLimiter checks the options.
func NewLimiter(o LimitOptions) (*Limiter, error) {
	l := &Limiter{buckets: map[string]bucket{}, open: map[string]int{}}
	return l, l.Set(o)
}

// Set replaces the options. Callers keep the tokens that they have, up to the new burst; streams that are open stay. After
// an error nothing has changed.
func (l *Limiter) Set(o LimitOptions) error {
	if o.Rate < 0 || o.Burst < 0 || o.StreamsPerCaller < 0 || o.Rate > 0 && o.Burst < 1 {
		return errors.New("set limits: one is negative, or a rate has no burst")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l.options.Store(&o)
	return nil
}

// LimitStats are numbers about callers.
type LimitStats struct {
	Callers        int    `json:"callers"` // remembered now
	Refused        uint64 `json:"refused"`
	StreamsRefused uint64 `json:"streams_refused"`
}

// Stats returns the numbers of now.
func (l *Limiter) Stats() LimitStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LimitStats{Callers: len(l.buckets), Refused: l.refused.Load(), StreamsRefused: l.streams.Load()}
}

// keyOf is whom a request counts for; "" is nobody: in open mode, who sits at this machine and could read its files.
func (l *Limiter) keyOf(r *http.Request, c *devices.Caller) string {
	if c != nil && c.Proof != "" {
		return "caller " + c.Subject
	}
	addr := l.options.Load().Proxies.Address(r)
	if c != nil && (addr.IsLoopback() || !addr.IsValid()) {
		return ""
	}
	return networkOf(addr)
}

// take takes a token of a caller's. left is what remains, and again how long until there is one.
func (l *Limiter) take(key string, o *LimitOptions) (left int, again time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := o.Now()
	b, known := l.buckets[key]
	switch {
	case known:
		b = o.filled(b, now)
	case len(l.buckets) >= maxBuckets:
		l.forget(now, o)
		fallthrough
	default:
		b = bucket{float64(o.Burst), now}
	}
	if ok = b.tokens >= 1; ok {
		b.tokens--
	} else {
		again = time.Duration((1 - b.tokens) / o.Rate * float64(time.Second))
		l.refused.Add(1)
	}
	l.buckets[key] = b
	return int(b.tokens), again, ok
}

func (o *LimitOptions) filled(b bucket, now time.Time) bucket {
	return bucket{min(b.tokens+max(0, now.Sub(b.at).Seconds())*o.Rate, float64(o.Burst)), now}
}

// forget drops the callers who have asked nothing for so long that their bucket is full, and one more where there are
// none: whoever fills the list with addresses has more of them than it could hold.
func (l *Limiter) forget(now time.Time, o *LimitOptions) {
	for key, b := range l.buckets {
		if o.filled(b, now).tokens >= float64(o.Burst) {
			delete(l.buckets, key)
		}
	}
	for key := range l.buckets {
		if len(l.buckets) < maxBuckets {
			return
		}
		delete(l.buckets, key)
	}
}

// windowSeconds is how long an empty bucket takes to fill.
func (o *LimitOptions) windowSeconds() int { return max(1, int(float64(o.Burst)/o.Rate)) }

// describe tells the caller where they stand (draft-ietf-httpapi-ratelimit-headers-10 sections 3 and 4).
func (o *LimitOptions) describe(h http.Header, left int) {
	h.Set("RateLimit-Policy", fmt.Sprintf(`"requests";q=%d;w=%d`, o.Burst, o.windowSeconds()))
	h.Set("RateLimit", fmt.Sprintf(`"requests";r=%d;t=%d`, left, int(float64(o.Burst-left)/o.Rate)))
}

// allow takes a request into account, and says no where there are too many.
func (l *Limiter) allow(h http.Header, r *http.Request, c *devices.Caller) (again time.Duration, err error) {
	if l == nil {
		return 0, nil
	}
	o := l.options.Load()
	if o.Rate == 0 {
		return 0, nil
	}
	key := l.keyOf(r, c)
	if key == "" {
		return 0, nil
	}
	left, again, ok := l.take(key, o)
	if h != nil {
		o.describe(h, left)
	}
	if !ok {
		return again, devices.Errorf(devices.Exhausted, "", "too many requests: %g a second and %d at once are for one caller", o.Rate, o.Burst)
	}
	return 0, nil
}

// limitRate bounds what one caller asks of the API. Health and the page are for everybody at any time, and who opens a
// stream is asked by AdmitStream, as an EventSource must not be told no.
func (a *API) limitRate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isStreamOpened := r.Method != http.MethodPut
		if !strings.HasPrefix(r.URL.Path, "/api/") && (!strings.HasPrefix(r.URL.Path, "/stream/") || isStreamOpened) {
			next.ServeHTTP(w, r)
			return
		}
		var who *devices.Caller
		if c, err := a.callerOf(r); err == nil {
			who = &c
		}
		again, err := a.options.Limiter.allow(w.Header(), r, who)
		if err != nil {
			p := problem.Of(err)
			p.RetryAfter = again
			p.Write(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// admit takes a stream of a caller's into account; what it returns begins to count it, and ends that. Streams that are
// admitted at one moment may pass the bound by as many.
func (l *Limiter) admit(r *http.Request, c *devices.Caller) (begin func() (end func()), err error) {
	if _, err := l.allow(nil, r, c); err != nil {
		return nil, err
	}
	if l == nil || c.Proof == "" {
		return func() func() { return func() {} }, nil
	}
	most := l.options.Load().StreamsPerCaller
	l.mu.Lock()
	defer l.mu.Unlock()
	if most > 0 && l.open[c.Subject] >= most {
		l.streams.Add(1)
		return nil, devices.Errorf(devices.Exhausted, "", "%d streams of one caller are open", most)
	}
	return func() func() {
		l.count(c.Subject, 1)
		return func() { l.count(c.Subject, -1) }
	}, nil
}

func (l *Limiter) count(subject string, by int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[subject] += by; l.open[subject] == 0 {
		delete(l.open, subject)
	}
}
