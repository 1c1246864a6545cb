package bus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// MemoryOptions are the bounds of an in-memory bus. Each is of one partition, and 0 stands for its default.
type MemoryOptions struct {
	Partitions int // 1

	// The inlet holds what no owner has consumed yet; at either bound it refuses, and the doors withhold their acks.
	MaxInletEntries int // 100,000
	MaxInletBytes   int // 64 MiB, estimated

	// Tombstones and events are what a viewer that comes back is told of; the floor rises over what is pruned.
	MaxTombstones int           // 100,000
	TombstoneAge  time.Duration // 7 days
	MaxEvents     int           // 10,000

	// Trails, besides what owners say of each device's: the trail without a new block for longest loses its oldest first.
	MaxTrailBytes int           // 64 MiB
	TrailAge      time.Duration // of the last block; 7 days

	// FeedBuffer is how many batches a feed may be behind. Then it gets a new snapshot in their place.
	FeedBuffer int // 64
}

// The defaults of MemoryOptions.
const (
	defaultInletEntries = 100_000
	defaultInletBytes   = 64 << 20
	defaultTombstones   = 100_000
	defaultTombstoneAge = 7 * 24 * time.Hour
	defaultEvents       = 10_000
	defaultTrailBytes   = 64 << 20
	defaultTrailAge     = 7 * 24 * time.Hour
	defaultFeedBuffer   = 64
)

func (o MemoryOptions) withDefaults() (MemoryOptions, error) {
	if o.Partitions > MaxPartitions {
		return o, devices.Errorf(devices.Invalid, "partitions", "are more than %d", MaxPartitions)
	}
	for _, n := range []struct {
		name    string
		value   *int
		instead int
	}{
		{"partitions", &o.Partitions, 1},
		{"inlet entries", &o.MaxInletEntries, defaultInletEntries},
		{"inlet bytes", &o.MaxInletBytes, defaultInletBytes},
		{"tombstones", &o.MaxTombstones, defaultTombstones},
		{"events", &o.MaxEvents, defaultEvents},
		{"trail bytes", &o.MaxTrailBytes, defaultTrailBytes},
		{"feed buffer", &o.FeedBuffer, defaultFeedBuffer},
	} {
		if *n.value < 0 {
			return o, devices.Errorf(devices.Invalid, n.name, "is negative")
		}
		if *n.value == 0 {
			*n.value = n.instead
		}
	}
	if o.TombstoneAge < 0 {
		return o, devices.Errorf(devices.Invalid, "tombstone age", "is negative")
	}
	if o.TombstoneAge == 0 {
		o.TombstoneAge = defaultTombstoneAge
	}
	if o.TrailAge < 0 {
		return o, devices.Errorf(devices.Invalid, "trail age", "is negative")
	}
	if o.TrailAge == 0 {
		o.TrailAge = defaultTrailAge
	}
	return o, nil
}

// Memory is the bus of one process. It is as durable as the process: a restart begins with new epochs and nothing in
// it. It starts no goroutine; every method runs in its caller's.
type Memory struct {
	partitions []*partition
	live       liveDoors
	edges      liveEdges
	log        Log // nil where nothing is kept outside the process
	closing    sync.Once
	closed     chan struct{}
}

var _ Bus = (*Memory)(nil)

// NewMemory returns an empty bus.
func NewMemory(o MemoryOptions) (*Memory, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Memory{closed: make(chan struct{})}
	for i := range o.Partitions {
		m.partitions = append(m.partitions, newPartition(m, i, &o))
	}
	return m, nil
}

// Partitions implements Inlet.
func (m *Memory) Partitions() int { return len(m.partitions) }

// Append implements Inlet. It never waits. An Append that is larger than a whole inlet is refused as TooLarge, since
// trying it again would never help.
func (m *Memory) Append(ctx context.Context, a Append) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if a.Door == 0 {
		return devices.Errorf(devices.Invalid, "door", "is missing in an append")
	}
	shares, err := m.split(a.Entries)
	if err != nil {
		return err
	}
	if m.log != nil {
		return m.appendLogged(ctx, a, shares)
	}
	for i := range shares { // in ascending order, as everybody who locks more than one
		shares[i].partition.mu.Lock()
		defer shares[i].partition.mu.Unlock()
	}
	for i := range shares {
		s := &shares[i]
		if s.Fresh, err = s.partition.admitEntries(a.Door, a.Seq, len(s.Entries), s.bytes); err != nil {
			return err
		}
	}
	// A bus with a log under it writes the entries here (see Pending) and goes on when they are kept: what stands above
	// has changed nothing, and nobody reads what stands below before.
	now := time.Now().UnixMilli()
	for i := range shares {
		if s := &shares[i]; s.Fresh {
			s.partition.applyEntries(a.Door, a.Seq, s.Entries, now)
		}
	}
	return nil
}

// split gives every partition that an Append touches its share, in the order of the partitions.
func (m *Memory) split(entries []Entry) ([]Share, error) {
	for i := range entries {
		if err := entries[i].Check(); err != nil {
			return nil, err
		}
	}
	if len(entries) == 0 {
		return nil, nil
	}
	if len(m.partitions) == 1 {
		return []Share{{partition: m.partitions[0], Entries: entries, bytes: entriesBytes(entries)}}, nil
	}
	parts := make([][]Entry, len(m.partitions))
	for i := range entries {
		p := entries[i].Fleet.Partition(len(m.partitions))
		parts[p] = append(parts[p], entries[i])
	}
	var shares []Share
	for p, part := range parts {
		if len(part) > 0 {
			shares = append(shares, Share{Partition: p, partition: m.partitions[p], Entries: part, bytes: entriesBytes(part)})
		}
	}
	return shares, nil
}

// Own implements Owner. Those who wait are served in the order in which they came.
func (m *Memory) Own(ctx context.Context, partition int) (Lease, error) {
	p, err := m.partition(partition)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-p.free:
		return p.lease()
	case <-m.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Watch implements Watcher. The feed costs nothing to anybody while nobody reads it.
func (m *Memory) Watch(ctx context.Context, partition int) (Feed, error) {
	p, err := m.partition(partition)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return p.watch()
}

func (m *Memory) partition(i int) (*partition, error) {
	if i < 0 || i >= len(m.partitions) {
		return nil, devices.Errorf(devices.Invalid, "partition", "%d is none of %d", i, len(m.partitions))
	}
	return m.partitions[i], nil
}

// Close implements Bus. It does not wait, since the bus has started nothing.
func (m *Memory) Close() error {
	m.closing.Do(func() {
		close(m.closed)
		for _, p := range m.partitions {
			p.close()
		}
	})
	return nil
}

// MemoryStats are what the bus holds now and what it has counted since it began, over all partitions.
type MemoryStats struct {
	// Held now.
	InletEntries, InletBytes, Devices, Tombstones, Events, Feeds, Trails, TrailBytes, Commands, CommandBytes int

	// Counted.
	Entries           uint64 // kept in an inlet
	AppendsRepeated   uint64 // shares of Appends that were there already and were not kept twice
	AppendsFull       uint64 // refused: the inlet is full
	AppendsTooLarge   uint64 // refused: larger than a whole inlet
	AppendsDisordered uint64 // refused: a door's number was below its last
	Batches, Beats    uint64
	FeedsBehind       uint64 // times that a feed lost its batches and gets a snapshot in their place
	TombstonesAged    uint64 // pruned because of their age
	TombstonesOver    uint64 // pruned because of their number
	EventsOver        uint64 // pruned because of their number
	TrailsAged        uint64 // blocks of trails that had no new one for too long
	TrailsOver        uint64 // blocks of trails that were pruned because of their bytes
}

// Stats returns the numbers of now, partition by partition, not of one instant.
func (m *Memory) Stats() MemoryStats {
	var sum MemoryStats
	for _, p := range m.partitions {
		p.addStats(&sum)
	}
	return sum
}

// errDisordered tells a door that a number came back after a later one: the bus cannot know whether it has it.
var errDisordered = errors.New("a later append of the door was kept before it")
