package prove

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxWorst is how many devices a report names.
const maxWorst = 5

// Report is what a run found.
type Report struct {
	Seconds float64 `json:"seconds"`
	Devices int     `json:"devices"`
	Viewers int     `json:"viewers"`
	Prefix  string  `json:"prefix"`
	Seed    uint64  `json:"seed"`
	Durable bool    `json:"durable"`
	Totals
	HeldBack int64 `json:"held_back"` // turns at which a device's buffer was full
	Streams  int64 `json:"streams"`   // that viewers opened, over what is said below
	Moves    int64 `json:"moves"`     // of viewports, that were told to be whole
	Gone     int64 `json:"gone"`      // viewers that left for good
	Probes   int64 `json:"probes"`    // streams opened by audits: snapshots, and resumed ids
	Refusals int64 `json:"refusals"`  // answers that would have ended an EventSource
	Faults   int64 `json:"faults"`
	Audits   int64 `json:"audits"`
	Kept     int64 `json:"kept_after_faults"` // recoveries in which all that was owed was there

	ReadyP50 time.Duration `json:"ready_p50_ns"`
	ReadyMax time.Duration `json:"ready_max_ns"`
	WholeP50 time.Duration `json:"whole_p50_ns"`
	WholeMax time.Duration `json:"whole_max_ns"`

	Recoveries []Recovery       `json:"recoveries,omitempty"`
	Worst      []DeviceWorst    `json:"worst"`
	Opened     map[string]int64 `json:"streams_over,omitempty"`
	Answers    map[string]int64 `json:"refusal_answers,omitempty"`
	Breaches   map[Kind]int64   `json:"breaches"`
	Examples   []string         `json:"examples,omitempty"`
}

func (r *run) report() Report {
	counts, examples := r.ledger.Breaches()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := Report{
		Seconds: r.now().Seconds(), Devices: len(r.devices), Viewers: len(r.viewers), Prefix: r.names.prefix,
		Seed: r.options.Seed, Durable: r.options.Durable, Totals: r.ledger.Totals(), HeldBack: r.heldBack.Load(),
		Moves: r.moves.Load(), Opened: map[string]int64{}, Probes: r.probes.Load(), Refusals: r.refusals.Load(), Faults: r.faults.Load(),
		Audits: r.audits.Load(), Recoveries: r.recoveries, Worst: r.ledger.Worst(maxWorst), Answers: r.answers,
		Breaches: counts, Examples: examples,
	}
	for over := range r.opened {
		if n := r.opened[over].Load(); n > 0 {
			out.Opened[transport(over).String()] = n
			out.Streams += n
		}
	}
	for i := range r.viewers {
		if r.viewers[i].gone.Load() {
			out.Gone++
		}
	}
	var ready, whole []time.Duration
	for _, rec := range r.recoveries {
		if rec.OK {
			out.Kept++
		}
		ready, whole = append(ready, rec.Ready), append(whole, rec.Whole)
	}
	out.ReadyP50, out.ReadyMax = middle(ready)
	out.WholeP50, out.WholeMax = middle(whole)
	return out
}

func middle(d []time.Duration) (p50, most time.Duration) {
	if len(d) == 0 {
		return 0, 0
	}
	slices.Sort(d)
	return d[(len(d)-1)/2], d[len(d)-1]
}

// Breached is how many breaches there were.
func (r *Report) Breached() (n int64) {
	for _, c := range r.Breaches {
		n += c
	}
	return n
}

func (r *Report) err(o *Options) error {
	switch n := r.Breached(); {
	case n > 0:
		return fmt.Errorf("%w: %d breaches", ErrBreached, n)
	case r.Acked == 0 || r.Delivered == 0:
		return fmt.Errorf("%w: %d messages were acknowledged and %d delivered", ErrNothing, r.Acked, r.Delivered)
	case len(o.Faults) > 0 && r.Faults == 0:
		return fmt.Errorf("%w: no fault was made", ErrNothing)
	}
	return nil
}

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s "+format+"\n", append([]any{name}, args...)...)
	}
	line("run", "%.1f s, %d devices %s-…, %d viewers, seed %d, durable %v", r.Seconds, r.Devices, r.Prefix, r.Viewers, r.Seed, r.Durable)
	line("messages", "sent %d, acked %d, refused %d, turns with a full buffer %d", r.Sent, r.Acked, r.Refused, r.HeldBack)
	line("at viewers", "delivered %d, superseded %d, declared %d, not promised %d, not asked for %d, silently lost %d, overtaken %d",
		r.Delivered, r.Superseded, r.Declared, r.Unpromised, r.Unasked, r.Lost, r.Overtaken)
	line("streams", "opened %d, resets %d, removed %d, probes %d, refused %d", r.Streams, r.Resets, r.Removed, r.Probes, r.Refusals)
	for _, over := range slices.Sorted(maps.Keys(r.Opened)) {
		line("  over", "%s %d", over, r.Opened[over])
	}
	if r.Moves+r.Gone > 0 {
		line("viewers", "viewports moved %d times, %d viewers left for good", r.Moves, r.Gone)
	}
	for _, a := range slices.Sorted(maps.Keys(r.Answers)) {
		line("  answer", "%d times: %s", r.Answers[a], a)
	}
	line("faults", "%d, audits %d, kept after %d of %d recoveries", r.Faults, r.Audits, r.Kept, len(r.Recoveries))
	if len(r.Recoveries) > 0 {
		line("recovery", "ready p50 %v, max %v; all kept and shown p50 %v, max %v", round(r.ReadyP50), round(r.ReadyMax),
			round(r.WholeP50), round(r.WholeMax))
	}
	for _, d := range r.Worst {
		line("  worst", "%s-%d: lost %d, an acknowledged message was unseen for %v at most", cmp.Or(d.Prefix, r.Prefix), d.Device, d.Lost, round(d.Stale))
	}
	line("breaches", "%d", r.Breached())
	for _, k := range slices.Sorted(maps.Keys(r.Breaches)) {
		line("  "+string(k), "%d", r.Breaches[k])
	}
	for _, e := range r.Examples {
		line("  example", "%s", e)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
