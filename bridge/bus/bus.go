package bus

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// Bus is a whole bus. Each user names the part that it needs: a door Inlet, a bridge Owner, an edge Watcher.
// All methods may be called concurrently.
type Bus interface {
	Inlet
	Owner
	Watcher
	Doors
	Edges
	Trails
	Commands
	io.Closer // ends every lease and feed with ErrClosed; waits for what it started; may be called twice
}

// Inlet is the doors' (and, for what people do to a device, the edges') way in.
type Inlet interface {
	// Partitions is the number of partitions, fixed for the life of the store.
	Partitions() int
	// Append makes the entries part of their partitions' inlets, each in its fleet's partition, in the order given. It
	// returns when all of them are as durable as the bus makes them; an error means that some may be missing, and the
	// same Append may be repeated: what was kept before is not kept twice. The bus sets ID and Time of the entries
	// that it keeps and does not keep the slice. A full inlet refuses the whole Append with ErrInletFull.
	//
	// A door has one Append under way at a time and repeats a failed one before its next, or gives it up for good: one
	// whose Seq is below the door's last is refused with a Conflict error, since the bus no longer knows whether it has
	// it. ID and Time are set in what owners read; the given slice is only read. An entry that fails Entry.Check makes
	// the whole Append fail with an Invalid error, and repeating that is of no use.
	Append(ctx context.Context, a Append) error
}

// Append is a door's numbered message to the inlet.
type Append struct {
	Door    DoorID
	Seq     uint64 // grows by at least one from Append to Append of a door, and is kept when one is repeated
	Entries []Entry
}

// DoorID names one run of one door; it is random.
type DoorID uint64

// Owner is the bridges' side: the right to own a partition.
type Owner interface {
	// Own waits until the caller is the one owner of the partition and returns its lease. It returns ctx's error when
	// ctx ends first.
	Own(ctx context.Context, partition int) (Lease, error)
}

// Lease is the ownership of a partition. Its methods are for one goroutine, but Read may run beside Publish.
// When the lease is lost, Read and Publish return ErrLost from then on.
type Lease interface {
	// State yields the record of every device and tombstone of the partition, as the last publish left them. It may be
	// ranged over once, before the first Read.
	State() iter.Seq[Record]
	// Commands returns the rows of the partition's commands, as the last publish left them, in no order. It may be called
	// once, before the first Read.
	Commands() []CommandRow
	// Config is the highest Flush.Config that a publish of the partition had before Own. Who goes on there applies as much
	// before it reads: else an entry that is late would bring back what the owner before had removed for good.
	Config() uint64
	// Events returns the events that are retained, the oldest first, and where the partition stands. It is for the time
	// before the first Publish: what Publish adds, its caller knows.
	Events(ctx context.Context) ([]VersionedEvent, Position, error)
	// Read returns the next entries of the inlet in order, at most max of them, beginning after what the last publish
	// of any owner consumed. It waits until there is at least one, or ctx ends.
	Read(ctx context.Context, max int) ([]Entry, error)
	// Publish commits in one step: records and frames into the state, the offset, the inlet's consumed position, and
	// the batch to everybody who watches. It returns the position after it. A Flush without changes and events moves no
	// offset; it is published as a beat all the same. Publish keeps the byte slices of the Flush, which must not change
	// afterwards, but not the slices that hold them. Tombstones are pruned by the bus, by age and by number, and trails by
	// their bytes and by age.
	Publish(ctx context.Context, f *Flush) (Position, error)
	// Wanted is closed when the partition is to go to another bridge: its owner publishes what it has applied and releases
	// it. nil: it never is.
	Wanted() <-chan struct{}
	// Release gives the partition up, so that the next owner need not wait. Entries that were read and not published
	// are read again by that owner. It may be called twice and after ErrLost.
	Release(ctx context.Context) error
}

// Flush is what an owner publishes at the end of a window.
type Flush struct {
	// Consumed: the inlet is consumed up to here; 0 where nothing was read yet. It does not move back, and beyond what
	// this lease has read it is refused, since that would lose what nobody has seen.
	Consumed EntryID
	Time     int64 // the owner's clock, unix ms
	// Config is the revision of what people configure that the owner had applied to its state, all up to it; 0 says
	// nothing. The bus keeps the highest of a partition, for the next owner.
	Config uint64
	// Trails are closed before the changes are made: a removal among those drops them again with all that the trail had.
	Trails  []TrailBlock
	Changes []Change
	// Events are published with the change of their device, in one step however large the flush: its record knows of them.
	Events []Event
	// Commands are rows of the partition's table of commands. Where a bus commits a large flush in parts, they come after
	// the events: an event may then be told twice, but none is missing of what the table says.
	Commands []CommandRow
	// Traces go on with the batch, at most MaxTraces of them; nothing keeps them.
	Traces []Traced
	// Erased are devices, at most MaxErased, of which the partition is to keep no event of before; a flush that has any moves
	// the offset. Changes and Commands say what becomes of the rest: a removal and rows that are forgotten.
	Erased []devices.DeviceID
}

// HasContent tells whether the flush moves the offset.
func (f *Flush) HasContent() bool { return len(f.Changes)+len(f.Events)+len(f.Erased) > 0 }

// Traced is a span that goes on with what is told of a device.
type Traced struct {
	Device  devices.DeviceID
	Fleet   devices.FleetID
	Context trace.Context
}

// Change is the new state of one device, or its removal.
type Change struct {
	Device devices.DeviceID
	Fleet  devices.FleetID
	Frame  []byte // the asset's JSON; nil where the device is removed from the fleet
	Record []byte // the owner's own record, opaque to the bus, kept with a tombstone too. Not part of a batch
	// Lat and Lon are the position in degrees where HasPosition says that there is one, for edges that filter by place.
	Lat, Lon    float64
	HasPosition bool
	// Notes are all that is kept beside the device's frame for people to look up; a change without any says that there are
	// none. They are no news for who watches the device. Their memory is as that of the frame.
	Notes []Note
}

// Note is something of a device that people look up by its id or list by its time, such as an alert. Where it changes,
// an Event tells it. It is the state's: any edge has it, however late it came.
type Note struct {
	Name string // as the events': alert
	ID   string // unique among the notes of its name
	At   int64  // by which it is listed, unix ms
	Data []byte // JSON, one line
}

// Removed tells whether the change is a removal.
func (c *Change) Removed() bool { return c.Frame == nil }

// Record is what an owner kept of a device.
type Record struct {
	Device  devices.DeviceID
	Fleet   devices.FleetID
	Data    []byte // as given in Change.Record; the bus's memory: copy what you change
	Removed bool   // a tombstone
}

// Event is something that happened once and is never conflated: an alert, a command's new state.
type Event struct {
	Name   string // the event's name in the stream: alert, command
	Device devices.DeviceID
	Fleet  devices.FleetID
	Data   []byte // JSON, one line, with an id of its own for deduplication
}

// Watcher is the edges' side.
type Watcher interface {
	// Watch follows a partition. The feed's first update is a snapshot. ctx bounds the call, not the feed.
	Watch(ctx context.Context, partition int) (Feed, error)
}

// Feed is the updates of one partition, for one goroutine. Between two snapshots the batches have every offset exactly
// once, in order, beginning after the snapshot's; where the bus cannot give that (the reader was too slow, a path was
// cut), it gives another snapshot instead. Batches without content (beats) repeat the last offset.
type Feed interface {
	// Next waits for the next update. The update is shared by all feeds and must not be changed. It returns ErrClosed
	// after Close and when the bus closes.
	Next(ctx context.Context) (Update, error)
	// Close ends the feed; Next returns ErrClosed from then on. It may be called twice.
	Close()
}

// Update is one of its two members.
type Update struct {
	Snapshot *Snapshot
	Batch    *Batch
}

// Batch is all that changed in a partition in one flush, published together.
type Batch struct {
	Partition int
	Position  Position // after the batch
	Time      int64    // when it was published, the owner's clock, unix ms
	LagMS     int64    // the age of the oldest entry that the inlet held unread when it was published
	Floor     Floor
	Changes   []Change
	Events    []Event
	Traces    []Traced           // nearly always none
	Erased    []devices.DeviceID // whose events of before are no longer kept; nearly always none
}

// IsBeat tells whether the batch has no content and so no offset of its own.
func (b *Batch) IsBeat() bool { return len(b.Changes)+len(b.Events)+len(b.Erased) == 0 }

// Floor says how far back a resume can be answered: an older position needs a reset.
type Floor struct {
	Tombstones uint64 // every removal after this offset is still held
	Events     uint64 // every event after this offset is still held
}

// Snapshot is the state of a partition at a position.
type Snapshot struct {
	Partition int
	Position  Position
	Time      int64
	LagMS     int64
	Floor     Floor
	Devices   []Versioned // live devices and tombstones, in no order
	Events    []VersionedEvent
}

// Versioned is a change with the offset of the batch that made it.
type Versioned struct {
	Change // without Record
	Offset uint64
}

// VersionedEvent is an event with the offset of its batch; a snapshot has them in order.
type VersionedEvent struct {
	Event
	Offset uint64
}

// The errors of every bus.
var (
	// ErrClosed: the bus or the feed was closed.
	ErrClosed = errors.New("bus: closed")
	// ErrLost: another owner holds the partition now.
	ErrLost = errors.New("bus: lease lost")
	// ErrInletFull: the inlet is at its bound; the door must withhold its acks and try again.
	ErrInletFull = &devices.Error{Kind: devices.Unavailable, Detail: "the inlet is full"}
)
