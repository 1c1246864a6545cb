package bus

import (
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// partition is one partition of a bus: its inlet, its state, its owner and those who watch it.
//
// What changes it does so in three steps: admit says whether it may and changes nothing; then a bus that keeps a log
// writes it there; then apply, which cannot fail and depends on nothing but the partition, its arguments and the given
// time, so that reading a log again ends in the same partition; and show lets others see it. In memory the step in the
// middle is empty and the rest happens under one lock.
//
// One lock also is what makes the handover from snapshot to batches free of races: a feed is either told of a batch, or
// takes its snapshot after it. The price is that a snapshot of a large partition (20 ms for 100,000 devices) delays one
// Append or Publish.
type partition struct {
	index int
	count int // of partitions in the bus
	max   *MemoryOptions
	log   Log // as the bus's
	of    *Memory
	free  chan struct{} // holds one token while nobody owns the partition

	mu     sync.Mutex // guards what follows. Who locks several partitions does so in ascending order
	inlet  inlet
	doors  doors
	state  state
	feeds  map[*memoryFeed]struct{}
	owner  *memoryLease
	closed bool
	counts MemoryStats // only what is counted

	// What a log has admitted and not applied yet. Guarded by mu too.
	pendingEntries, pendingBytes int
	pendingDoors                 map[DoorID]struct{}
	pendingFlush                 bool
}

func newPartition(of *Memory, index int, o *MemoryOptions) *partition {
	p := &partition{
		index: index, count: o.Partitions, max: o, of: of,
		free:  make(chan struct{}, 1),
		doors: newDoors(),
		state: newState(Position{Epoch: NewEpoch()}),
		feeds: make(map[*memoryFeed]struct{}),
	}
	p.free <- struct{}{}
	return p
}

// admitEntries tells whether a share of an Append may come in, and whether it is new. The lock is held.
func (p *partition) admitEntries(door DoorID, seq uint64, entries, bytes int) (fresh bool, err error) {
	if p.closed {
		return false, ErrClosed
	}
	switch p.doors.compare(door, seq) {
	case seqRepeated:
		p.counts.AppendsRepeated++
		return false, nil
	case seqPassed:
		p.counts.AppendsDisordered++
		return false, &devices.Error{Kind: devices.Conflict, Field: "seq", Detail: "is out of order", Err: errDisordered}
	case seqNew:
	}
	if entries > p.max.MaxInletEntries || bytes > p.max.MaxInletBytes {
		p.counts.AppendsTooLarge++
		return false, devices.Errorf(devices.TooLarge, "append", "is larger than the inlet")
	}
	if p.inlet.len()+p.pendingEntries+entries > p.max.MaxInletEntries || p.inlet.bytes+p.pendingBytes+bytes > p.max.MaxInletBytes {
		p.counts.AppendsFull++
		return false, ErrInletFull
	}
	return true, nil
}

// applyEntries puts admitted entries into the inlet and wakes the owner. The lock is held.
func (p *partition) applyEntries(door DoorID, seq uint64, entries []Entry, now int64) {
	p.doors.note(door, seq)
	p.inlet.push(entries, now)
	p.counts.Entries += uint64(len(entries))
	if p.owner != nil {
		wake(p.owner.wake)
	}
}

// publish is the three steps of a flush.
func (p *partition) publish(l *memoryLease, f *Flush) (Position, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.admitFlush(l, f); err != nil {
		return Position{}, err
	}
	// Here a bus with a log under it waits, without the lock, until the flush and the time are kept: see publishLogged.
	b := p.applyFlush(f, time.Now().UnixMilli())
	p.show(b, f.Commands)
	return b.Position, nil
}

// admitFlush refuses a flush whole. The lock is held.
func (p *partition) admitFlush(l *memoryLease, f *Flush) error {
	if l.ended != nil {
		return l.ended
	}
	if f.Consumed > l.read { // which began at what was consumed before
		return devices.Errorf(devices.Invalid, "consumed", "is beyond what the owner has read")
	}
	for i := range f.Changes {
		c := &f.Changes[i]
		if err := CheckChange(c); err != nil {
			return err
		}
		// The place of a fleet is a hash that costs more than the rest, so it is checked where a device is new.
		if !p.state.has(c) && c.Fleet.Partition(p.count) != p.index {
			return devices.Errorf(devices.Invalid, "change", "is of a fleet in another partition")
		}
	}
	for i := range f.Trails {
		b := &f.Trails[i]
		if err := b.Check(); err != nil {
			return err
		}
		if b.Fleet.Partition(p.count) != p.index {
			return devices.Errorf(devices.Invalid, "trail", "is of a fleet in another partition")
		}
	}
	if err := p.checkEvents(f.Events); err != nil {
		return err
	}
	if err := f.CheckErased(); err != nil {
		return err
	}
	return p.checkCommands(f.Commands)
}

func (p *partition) checkEvents(events []Event) error {
	for i := range events {
		e := &events[i]
		if err := CheckEvent(e); err != nil {
			return err
		}
		if e.Fleet.Partition(p.count) != p.index {
			return devices.Errorf(devices.Invalid, "event", "is of a fleet in another partition")
		}
	}
	return nil
}

func (p *partition) checkCommands(rows []CommandRow) error {
	for i := range rows {
		r := &rows[i]
		if err := r.Check(); err != nil {
			return err
		}
		if r.Fleet.Partition(p.count) != p.index {
			return devices.Errorf(devices.Invalid, "command", "is of a fleet in another partition")
		}
	}
	return nil
}

// applyFlush moves the inlet, the state and the offset in one step and returns the batch. The lock is held.
func (p *partition) applyFlush(f *Flush, now int64) *Batch {
	p.inlet.trim(f.Consumed)
	b := p.state.apply(f, now)
	b.Partition = p.index
	b.LagMS = p.inlet.age(now)
	p.counts.TombstonesAged += p.state.pruneTombstonesBefore(now - p.max.TombstoneAge.Milliseconds())
	p.counts.TombstonesOver += p.state.pruneTombstonesOver(p.max.MaxTombstones)
	p.counts.EventsOver += p.state.pruneEventsOver(p.max.MaxEvents)
	p.counts.TrailsAged += p.state.trails.pruneBefore(now - p.max.TrailAge.Milliseconds())
	p.counts.TrailsOver += p.state.trails.pruneOver(p.max.MaxTrailBytes)
	b.Floor = p.state.floor
	if b.IsBeat() {
		p.counts.Beats++
	} else {
		p.counts.Batches++
	}
	return b
}

// show gives the batch to everybody who watches. It never waits. The lock is held.
func (p *partition) show(b *Batch, commands []CommandRow) {
	p.state.commands.show(commands)
	for f := range p.feeds {
		if !f.offer(b) {
			p.counts.FeedsBehind++
		}
	}
}

// snapshot is the state as it is now. The lock is held.
func (p *partition) snapshot() *Snapshot {
	s := p.state.snapshot()
	s.Partition = p.index
	s.LagMS = p.inlet.age(time.Now().UnixMilli())
	return s
}

// lease makes its caller, who took the token, the owner.
func (p *partition) lease() (Lease, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	p.owner = &memoryLease{p: p, wake: make(chan struct{}, 1), read: p.inlet.consumed, config: p.state.config}
	return p.owner, nil
}

func (p *partition) watch() (Feed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	f := newMemoryFeed(p, p.max.FeedBuffer)
	p.feeds[f] = struct{}{}
	return f, nil
}

// close ends the lease and the feeds, and lets go of all that the partition holds.
func (p *partition) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.owner != nil {
		p.owner.end(ErrClosed)
	}
	for f := range p.feeds {
		f.end()
	}
	for f := range p.state.commands.feeds {
		f.end()
	}
	p.inlet, p.state = inlet{}, newState(p.state.position)
}

func (p *partition) addStats(sum *MemoryStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum.InletEntries += p.inlet.len()
	sum.InletBytes += p.inlet.bytes
	sum.Tombstones += p.state.tombstones.Len()
	sum.Devices += len(p.state.held) - p.state.tombstones.Len()
	sum.Events += len(p.state.events)
	sum.Trails += len(p.state.trails.held)
	sum.TrailBytes += p.state.trails.bytes
	sum.Commands += len(p.state.commands.rows)
	sum.CommandBytes += p.state.commands.bytes
	sum.Feeds += len(p.feeds)

	sum.Entries += p.counts.Entries
	sum.AppendsRepeated += p.counts.AppendsRepeated
	sum.AppendsFull += p.counts.AppendsFull
	sum.AppendsTooLarge += p.counts.AppendsTooLarge
	sum.AppendsDisordered += p.counts.AppendsDisordered
	sum.Batches += p.counts.Batches
	sum.Beats += p.counts.Beats
	sum.FeedsBehind += p.counts.FeedsBehind
	sum.TombstonesAged += p.counts.TombstonesAged
	sum.TombstonesOver += p.counts.TombstonesOver
	sum.EventsOver += p.counts.EventsOver
	sum.TrailsAged += p.counts.TrailsAged
	sum.TrailsOver += p.counts.TrailsOver
}

// wake leaves a token for the one goroutine that waits on c, or is about to.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // there is one already
	}
}
