package store

import (
	"context"
	"errors"
	"io"

	"github.com/fleetcast/fleetcast/devices"
)

// Kind names a collection of records, for example "device". It is a short word of lower-case letters.
type Kind string

// Revision counts the commits of a store; it only grows. 0 is before the first.
type Revision uint64

// Record is one thing that is kept.
type Record struct {
	Kind     Kind
	ID       string   // unique in its kind; at most MaxIDBytes bytes of UTF-8 without control characters
	Revision Revision // of the commit that wrote it last
	Value    []byte   // opaque; at most MaxValueBytes. nil in a Change: the record is deleted
}

// Bounds of what is committed.
const (
	MaxIDBytes    = 512
	MaxValueBytes = 64 << 10
	MaxOps        = 1_000 // of one commit; an import is several
)

// Op is one write of a commit.
type Op struct {
	Kind  Kind
	ID    string
	Value []byte // nil deletes; deleting what is not there changes nothing and is no error
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
	// store takes are Invalid. Any other error means that the commit may or may not have happened. A key stands in a
	// commit at most once.
	Commit(ctx context.Context, ops []Op) (Revision, error)
	// Get returns a record, or an error of kind NotFound.
	Get(ctx context.Context, kind Kind, id string) (Record, error)
	// List returns at most limit records of a kind whose id is greater than after, in the order of their ids' bytes.
	List(ctx context.Context, kind Kind, after string, limit int) ([]Record, error)
	// Watch follows the records of the kinds. The feed's first update is a snapshot. ctx bounds the call, not the feed.
	Watch(ctx context.Context, kinds ...Kind) (Feed, error)
	io.Closer // ends every feed with ErrClosed; may be called twice
}

// Feed is the change log of some kinds, for one goroutine.
type Feed interface {
	// Next waits for the next update. It returns ErrClosed after Close and when the store closes.
	Next(ctx context.Context) (Update, error)
	// Close ends the feed; Next returns ErrClosed from then on. It may be called twice.
	Close()
}

// Update is a step of the change log. Between two snapshots every commit that touches the kinds is one update, in order;
// where the store cannot give that (the reader was away too long, a path was cut), it gives another snapshot instead.
type Update struct {
	Snapshot bool // Records are all that there are, and what is not among them is gone
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
