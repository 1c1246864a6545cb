package store

import (
	"context"
	"errors"
	"io"

	"github.com/fleetcast/fleetcast/devices"
)

// Kind names a collection of records, for example "device". It is a word of at most MaxKindBytes lower-case letters.
type Kind string

// Revision orders the commits of a store; it only grows, not always by one, and fits 53 bits. 0 is before the first.
type Revision uint64

// Record is one thing that is kept.
type Record struct {
	Kind     Kind
	ID       string   // unique in its kind; 1 to MaxIDBytes bytes of UTF-8 without control characters
	Revision Revision // of the commit that wrote it last
	Value    []byte   // opaque, not to be changed; at most MaxValueBytes. nil in an Update: the record is deleted
}

// Bounds of what is committed and of what is asked for.
const (
	MaxKindBytes   = 32
	MaxIDBytes     = 512
	MaxValueBytes  = 64 << 10
	MaxOps         = 1_000 // of one commit; an import is several
	MaxCommitBytes = 4 << 20
	MaxList        = 1_000 // records of one List
	// DefaultMaxRecords is how many records a store holds where its options do not say otherwise: what people configure
	// has a bound as everything has, though one that is above all that the limits of the kinds let come.
	DefaultMaxRecords = 1_000_000
)

// Op is one write of a commit.
type Op struct {
	Kind  Kind
	ID    string
	Value []byte // nil deletes; deleting what is not there is no error, and may be told as if it had been
	If    Condition
}

// Condition is what must hold of a record before the commit. The zero value asks nothing.
type Condition struct {
	Absent   bool     // there is no such record
	Revision Revision // it was last written by just this commit; 0 asks nothing
}

// Store keeps records. All methods may be called concurrently, and what one caller's Commit returned is seen by every
// later Get and List of that process.
type Store interface {
	// Commit writes all or nothing and returns the revision of the commit, once it is as durable as the store makes
	// things. A condition that does not hold is a devices.Error of kind Conflict whose Field is "kind/id"; ops that no
	// store takes are Invalid or TooLarge (see CheckOps), and a store that is full says Exhausted. Any other error means
	// that the commit may or may not have happened; one of kind Unavailable that the store is away. A key stands in a
	// commit at most once. The ops are not kept.
	Commit(ctx context.Context, ops []Op) (Revision, error)
	// Get returns a record, or an error of kind NotFound.
	Get(ctx context.Context, kind Kind, id string) (Record, error)
	// List returns at most limit records of a kind, and at most MaxList, whose id is greater than after, in the order of
	// their ids' bytes. Fewer than both mean that there are no more.
	List(ctx context.Context, kind Kind, after string, limit int) ([]Record, error)
	// Watch follows the records of one kind or more. The feed's first update is a snapshot. It costs nothing to anybody
	// while nobody reads it. ctx bounds the call, not the feed.
	Watch(ctx context.Context, kinds ...Kind) (Feed, error)
	io.Closer // ends every feed with ErrClosed; may be called twice
}

// Feed is the change log of some kinds, for one goroutine.
type Feed interface {
	// Next waits for the next update, also while the store is away. It returns ErrClosed after Close and when the store
	// closes. After any other error it may be called again.
	Next(ctx context.Context) (Update, error)
	// Close ends the feed; Next returns ErrClosed from then on. It may be called twice.
	Close()
}

// Update is a step of the change log. Between two snapshots every commit that touches the kinds is one update, in order;
// where the store cannot give that (the reader was away too long, a path was cut), it gives another snapshot instead.
// Commits of other kinds move the revision too: an update without records tells of one or more of them, so that who waits
// for a revision need not know what it touched.
//
// The revision of a snapshot is below that of the update before it only where the store lost commits, in a failover or
// by a backup that was restored.
type Update struct {
	Snapshot bool // Records are all that there are, in no order, and what is not among them is gone
	Revision Revision
	Records  []Record // shared by all feeds: not to be changed
}

// The errors of every store.
var (
	// ErrClosed: the store or the feed was closed.
	ErrClosed = errors.New("store: closed")
	// ErrNotFound is what Get returns; it has the kind NotFound.
	ErrNotFound = &devices.Error{Kind: devices.NotFound, Detail: "there is no such record"}
)
