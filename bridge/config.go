package bridge

import (
	"context"
	"time"
)

// Config says how far this process has what people configure. A bridge commits with each flush how far its state is, and
// one that takes over is as far before it reads: else an entry that was late would bring back a device that the owner
// before had removed because people deleted it.
type Config interface {
	// Applied is a revision of the store such that all up to it is, from now on, in what this process says: in Settings,
	// and in what those who follow are handed.
	Applied() uint64
	// Wait waits until Applied is at least as much, or ctx ends.
	Wait(ctx context.Context, revision uint64) error
}

// configTimeout is how long a new owner waits. A store that lost commits may never come to a revision that it gave out,
// and a partition without an owner would be the worse fault.
const configTimeout = 5 * time.Second

// catchUp waits until this process has what the owners before had applied.
func (p *partition) catchUp(ctx context.Context, revision uint64) {
	if p.opts.Config == nil || revision == 0 {
		return
	}
	waiting, cancel := context.WithTimeout(ctx, configTimeout)
	defer cancel()
	if err := p.opts.Config.Wait(waiting, revision); err != nil && ctx.Err() == nil {
		p.counters.add(reasonConfigLate)
		p.log.Warn("what people configured is behind what the last owner had applied; going on", "revision", revision, "applied", p.opts.Config.Applied())
	}
}

// adopt brings the state to where this process is, and notes for the next flush how far that is: Applied is asked first,
// so that all up to it is in the news that are taken then.
func (o *ownership) adopt() {
	if o.opts.Config != nil {
		o.state.config = o.opts.Config.Applied()
	}
	o.state.refreshRules()
	if o.feed != nil {
		o.followNews()
	}
}
