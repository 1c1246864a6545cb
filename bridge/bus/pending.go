package bus

import (
	"context"
	"errors"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// Log is what a bus in one process writes to before it shows anything: the step in the middle of partition's three. A
// bus that outlives its process is the in-memory one with a Log under it (NewLogged), so the rules of the inlet, of the
// state, of leases and of feeds stand in one place.
//
// Both methods run in the caller's goroutine and without a lock, and may wait. A Log admits each Pending, keeps it, and
// applies it, or drops it where it could not be kept; it applies in the order in which it admitted, since that is the
// order in which a log is read again.
type Log interface {
	Append(ctx context.Context, p *Pending) error
	Publish(ctx context.Context, p *Pending) error
}

// ErrPending says that something of the same door or partition stands between Admit and Apply. Admit again when that has ended.
var ErrPending = errors.New("bus: another one is pending")

// Pending is an Append or a Publish on its way into a bus with a Log. Its methods are for one goroutine at a time.
type Pending struct {
	memory *Memory

	// An Append. The shares are the Pending's own memory: they outlive a caller that does not wait.
	Door   DoorID
	Seq    uint64
	Shares []Share

	// A Publish.
	Flush     *Flush // nil for an Append
	Partition int
	lease     *memoryLease

	// Set by Admit.
	Time     int64    // by the bus's clock, unix ms
	Position Position // after the flush
}

// Share is the part of an Append that goes to one partition.
type Share struct {
	Partition int
	Entries   []Entry
	Fresh     bool    // set by Admit: it is not a repetition of what this partition has
	First     EntryID // set by Admit: the id that the first entry gets, where the share is fresh

	partition *partition
	bytes     int
}

// NewLogged returns an empty bus that hands every Append and Publish to log.
func NewLogged(o MemoryOptions, log Log) (*Memory, error) {
	m, err := NewMemory(o)
	if err != nil {
		return nil, err
	}
	m.log = log
	for _, p := range m.partitions {
		p.log = log
	}
	return m, nil
}

// Admit tells whether it may be kept, and reserves its place. It changes nothing that others see. Where it returns nil,
// Apply or Drop must follow.
func (p *Pending) Admit() error {
	p.Time = time.Now().UnixMilli()
	if p.Flush != nil {
		return p.admitFlush()
	}
	for i := range p.Shares { // in ascending order, as everybody who locks more than one
		p.Shares[i].partition.mu.Lock()
		defer p.Shares[i].partition.mu.Unlock()
	}
	for i := range p.Shares {
		s := &p.Shares[i]
		if _, busy := s.partition.pendingDoors[p.Door]; busy {
			return ErrPending
		}
		var err error
		if s.Fresh, err = s.partition.admitEntries(p.Door, p.Seq, len(s.Entries), s.bytes); err != nil {
			return err
		}
	}
	for i := range p.Shares {
		if s := &p.Shares[i]; s.Fresh {
			s.First = s.partition.inlet.last + EntryID(s.partition.pendingEntries) + 1
			s.partition.reserve(p.Door, len(s.Entries), s.bytes)
		}
	}
	return nil
}

func (p *Pending) admitFlush() error {
	part := p.memory.partitions[p.Partition]
	part.mu.Lock()
	defer part.mu.Unlock()
	if part.pendingFlush {
		return ErrPending
	}
	if err := part.admitFlush(p.lease, p.Flush); err != nil {
		return err
	}
	part.pendingFlush = true
	p.Position = part.state.position
	if p.Flush.HasContent() {
		p.Position.Offset++
	}
	return nil
}

// Moves tells whether there is anything to keep: a beat that consumes nothing, and an Append of which every share was
// there already, change nothing that a restart must know. It holds between Admit and Apply.
func (p *Pending) Moves() bool {
	if p.Flush != nil {
		part := p.memory.partitions[p.Partition]
		part.mu.Lock()
		defer part.mu.Unlock()
		return p.Flush.HasContent() || len(p.Flush.Trails) > 0 || len(p.Flush.Commands) > 0 || p.Flush.Consumed > part.inlet.consumed || p.Flush.Config > part.state.config
	}
	for i := range p.Shares {
		if p.Shares[i].Fresh {
			return true
		}
	}
	return false
}

// Config is the flush's where it is higher than what the partition has, and else 0. It holds between Admit and Apply.
func (p *Pending) Config() uint64 {
	part := p.memory.partitions[p.Partition]
	part.mu.Lock()
	defer part.mu.Unlock()
	if p.Flush.Config > part.state.config {
		return p.Flush.Config
	}
	return 0
}

// Apply makes it part of the bus and shows it.
func (p *Pending) Apply() {
	if p.Flush != nil {
		part := p.memory.partitions[p.Partition]
		part.mu.Lock()
		defer part.mu.Unlock()
		part.pendingFlush = false
		part.show(part.applyFlush(p.Flush, p.Time), p.Flush.Commands)
		return
	}
	for i := range p.Shares {
		if s := &p.Shares[i]; s.Fresh {
			s.partition.applyShare(p, s)
		}
	}
}

func (p *partition) applyShare(a *Pending, s *Share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reserve(a.Door, -len(s.Entries), -s.bytes)
	p.applyEntries(a.Door, a.Seq, s.Entries, a.Time)
}

// Drop gives up what Admit reserved.
func (p *Pending) Drop() {
	if p.Flush != nil {
		part := p.memory.partitions[p.Partition]
		part.mu.Lock()
		defer part.mu.Unlock()
		part.pendingFlush = false
		return
	}
	for i := range p.Shares {
		if s := &p.Shares[i]; s.Fresh {
			s.partition.mu.Lock()
			s.partition.reserve(p.Door, -len(s.Entries), -s.bytes)
			s.partition.mu.Unlock()
		}
	}
}

// reserve holds a place in the inlet for what is admitted and not applied, or gives it back. The lock is held.
func (p *partition) reserve(door DoorID, entries, bytes int) {
	p.pendingEntries += entries
	p.pendingBytes += bytes
	if entries < 0 {
		delete(p.pendingDoors, door)
		return
	}
	if p.pendingDoors == nil {
		p.pendingDoors = make(map[DoorID]struct{})
	}
	p.pendingDoors[door] = struct{}{}
}

// appendLogged hands an Append to the log.
func (m *Memory) appendLogged(ctx context.Context, a Append, shares []Share) error {
	if len(shares) == 0 {
		return nil
	}
	if len(m.partitions) == 1 { // then the share is still the caller's slice
		shares[0].Entries = append([]Entry(nil), shares[0].Entries...)
	}
	return m.log.Append(ctx, &Pending{memory: m, Door: a.Door, Seq: a.Seq, Shares: shares})
}

// publishLogged hands a flush to the log. What is wrong with it is found before it is encoded, and again by Admit.
func (p *partition) publishLogged(ctx context.Context, l *memoryLease, f *Flush) (Position, error) {
	pending := &Pending{memory: p.of, Flush: f, Partition: p.index, lease: l}
	if err := p.checkFlush(l, f, &pending.Position); err != nil {
		return Position{}, err
	}
	if err := p.log.Publish(ctx, pending); err != nil {
		return Position{}, err
	}
	return pending.Position, nil
}

// checkFlush admits without reserving, and says which position the flush would reach: the caller is the only one that
// moves it.
func (p *partition) checkFlush(l *memoryLease, f *Flush, at *Position) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.admitFlush(l, f); err != nil {
		return err
	}
	*at = p.state.position
	if f.HasContent() {
		at.Offset++
	}
	return nil
}

// errReplay says that what a log holds does not fit what was read of it before.
func errReplay(what string) error {
	return &devices.Error{Kind: devices.Internal, Detail: "the log does not fit its own state: " + what}
}
