package prove

import (
	"context"
	"fmt"
	"time"
)

// Fault is something that happens to the installation.
type Fault struct {
	Name string
	// Break makes the fault and returns when it has happened: a process that it kills is gone.
	Break func(ctx context.Context) error
	// Mend ends it, where it does not end by itself, and may return before all is well. It may be nil.
	Mend func(ctx context.Context) error
	// Loses says that an installation that is not durable has forgotten everything after Break.
	Loses bool
}

// Recovery is what happened around one fault. Times are since Break began.
type Recovery struct {
	Fault   string        `json:"fault"`
	Began   time.Duration `json:"began_ns"` // since the run's start
	Broken  time.Duration `json:"broken_ns"`
	Mended  time.Duration `json:"mended_ns"`
	Ready   time.Duration `json:"ready_ns"`   // every edge is ready
	Whole   time.Duration `json:"whole_ns"`   // and all that is owed is there, at every viewer too
	Devices time.Duration `json:"devices_ns"` // and the devices are connected
	Twice   bool          `json:"twice"`      // it happened again in the middle of the recovery
	OK      bool          `json:"ok"`
}

const (
	// twiceIn is of how many faults one is made again before the installation has recovered from it.
	twiceIn = 5
	// maxTwiceAfter is how long after the mending at most.
	maxTwiceAfter = 500 * time.Millisecond
)

// makeFaults makes faults at random moments until ctx ends or there were enough.
func (r *run) makeFaults(ctx context.Context) error {
	o := &r.options
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for n := 0; o.FaultCount == 0 || n < o.FaultCount; n++ {
		// Uniform from a half to one and a half of the mean; counted from the recovery, since what is silent during one
		// has to have something to say again.
		timer.Reset(o.FaultEvery/2 + time.Duration(r.rand.Int64N(int64(o.FaultEvery)+1)))
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		f := &o.Faults[r.rand.IntN(len(o.Faults))]
		if err := r.makeFault(context.WithoutCancel(ctx), f); err != nil {
			return err
		}
	}
	return nil
}

// makeFault makes one fault, waits for the recovery and looks for everything that was promised before. A share of the
// devices is silent meanwhile, since a newer message would hide a loss.
func (r *run) makeFault(ctx context.Context, f *Fault) error {
	began := time.Now()
	rec := Recovery{Fault: f.Name, Began: r.now(), Twice: r.rand.IntN(twiceIn) == 0}
	for _, i := range r.rand.Perm(len(r.devices))[:r.quietDevices()] {
		r.devices[i].setQuiet(true)
	}
	defer r.endQuiet()
	if err := r.breakAndMend(ctx, f, began, &rec); err != nil {
		return err
	}
	if rec.Twice {
		timer := time.NewTimer(time.Duration(r.rand.Int64N(int64(maxTwiceAfter))))
		<-timer.C
		if err := r.breakAndMend(ctx, f, began, &rec); err != nil {
			return err
		}
	}
	owed := r.ledger.Owed() // also what was acknowledged since: it is promised as well
	ready, cancel := context.WithTimeout(ctx, r.options.Settle)
	defer cancel()
	if !until(ready, func() bool { return r.isReady(ready) }) {
		r.ledger.Breach(Unrecovered, "the installation is not ready %v after %s", r.options.Settle, f.Name)
		r.keep(rec)
		return fmt.Errorf("recover from %s: %w", f.Name, errUnrecovered)
	}
	rec.Ready = time.Since(began)
	rec.OK = r.audit(ctx, owed)
	rec.Whole = time.Since(began)
	r.awaitDevices(ctx)
	rec.Devices = time.Since(began)
	r.keep(rec)
	return nil
}

func (r *run) breakAndMend(ctx context.Context, f *Fault, began time.Time, rec *Recovery) error {
	r.eras.begin()
	err := f.Break(ctx)
	r.eras.end(r.ledger.NextEra(f.Loses))
	if !r.options.Durable {
		r.ids.clear()
	}
	r.faults.Add(1)
	if err != nil {
		return fmt.Errorf("make fault %s: %w", f.Name, err)
	}
	rec.Broken = time.Since(began)
	if f.Mend != nil {
		if err := f.Mend(ctx); err != nil {
			return fmt.Errorf("mend fault %s: %w", f.Name, err)
		}
	}
	rec.Mended = time.Since(began)
	return nil
}

func (r *run) quietDevices() int {
	return min(int(float64(len(r.devices))*float64(r.options.QuietShare)+0.5), len(r.devices))
}

func (r *run) endQuiet() {
	for i := range r.devices {
		r.devices[i].setQuiet(false)
	}
}

// awaitDevices waits until the devices that are not silent are connected.
func (r *run) awaitDevices(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.options.Settle)
	defer cancel()
	if !until(ctx, func() bool {
		for i := range r.devices {
			if d := &r.devices[i]; !d.quiet.Load() && !d.connected.Load() {
				return false
			}
		}
		return true
	}) {
		r.ledger.Breach(Unrecovered, "devices are not connected again")
	}
}

func (r *run) keep(rec Recovery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recoveries = append(r.recoveries, rec)
}
