package audit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Entry is something that somebody did.
type Entry struct {
	At     int64            `json:"at"` // unix ms
	By     string           `json:"by"`
	Proof  string           `json:"proof,omitempty"` // the session, key or user that the proof hangs on; never the proof
	Role   string           `json:"role"`
	Action string           `json:"action"` // the method and the route, such as DELETE /api/devices/{id}
	Target string           `json:"target,omitempty"`
	Device devices.DeviceID `json:"device,omitzero"`
	Fleet  devices.FleetID  `json:"fleet,omitzero"`
	// Command and Name are of a command that was sent.
	Command devices.CommandID `json:"command,omitzero"`
	Name    string            `json:"name,omitempty"`
}

// kind is that of the records. Their ids are in the order of time.
const kind store.Kind = "audit"

// The bounds of a log.
const (
	DefaultMax  = 10_000 // entries; above them the oldest go
	maxTarget   = 256    // bytes
	maxGathered = 200    // entries of one commit
	spare       = 50     // of the oldest that go with a commit, beyond those that must
	commitBound = 5 * time.Second
)

// Log is the list. Its methods may be called concurrently. It is made by New and runs in Run, once.
type Log struct {
	store store.Store
	max   int
	log   *slog.Logger
	queue chan *pending
	lost  atomic.Uint64

	mu   sync.RWMutex // guards what follows
	ids  []string     // sorted
	held map[string]Entry
}

type pending struct {
	entry Entry
	done  chan error
}

// New wires a log of at most max entries; 0 stands for DefaultMax. It starts nothing.
func New(s store.Store, most int, log *slog.Logger) *Log {
	if most <= 0 {
		most = DefaultMax
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Log{store: s, max: most, log: log, queue: make(chan *pending, maxGathered), held: map[string]Entry{}}
}

// Lost is how many entries could not be kept.
func (l *Log) Lost() uint64 { return l.lost.Load() }

// Run keeps and follows entries until ctx ends.
func (l *Log) Run(ctx context.Context) error {
	var following sync.WaitGroup
	following.Go(func() { l.follow(ctx) })
	defer following.Wait()
	for {
		select {
		case first := <-l.queue:
			l.commit(ctx, l.gather(first))
		case <-ctx.Done():
			return nil
		}
	}
}

// Record keeps an entry, and returns when it is as durable as the store makes things. What cannot be kept is counted.
func (l *Log) Record(ctx context.Context, e Entry) error {
	if e.At == 0 {
		e.At = time.Now().UnixMilli()
	}
	e.Target = strings.ToValidUTF8(e.Target[:min(len(e.Target), maxTarget)], "")
	ctx, cancel := context.WithTimeout(ctx, commitBound)
	defer cancel()
	p := &pending{entry: e, done: make(chan error, 1)}
	err := error(nil)
	select {
	case l.queue <- p:
		select {
		case err = <-p.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		l.lost.Add(1)
		return fmt.Errorf("record %s: %w", e.Action, err)
	}
	return nil
}

// gather takes what else waits.
func (l *Log) gather(first *pending) []*pending {
	all := []*pending{first}
	for len(all) < maxGathered {
		select {
		case p := <-l.queue:
			all = append(all, p)
		default:
			return all
		}
	}
	return all
}

func (l *Log) commit(ctx context.Context, all []*pending) {
	ops := make([]store.Op, 0, len(all)+spare)
	for _, p := range all {
		value, err := json.Marshal(&p.entry)
		if err != nil {
			p.done <- err
			continue
		}
		ops = append(ops, store.Op{Kind: kind, ID: newID(p.entry.At), Value: value})
	}
	for _, id := range l.oldest(len(all)) {
		ops = append(ops, store.Op{Kind: kind, ID: id})
	}
	ctx, cancel := context.WithTimeout(ctx, commitBound)
	defer cancel()
	_, err := l.store.Commit(ctx, ops)
	if err != nil {
		l.log.WarnContext(ctx, "what people did could not be recorded", "entries", len(all), "error", err)
	}
	for _, p := range all {
		select {
		case p.done <- err:
		default: // it has its error already
		}
	}
}

// oldest are the entries that must go where more come.
func (l *Log) oldest(more int) []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	over := len(l.ids) + more - l.max
	if over <= 0 {
		return nil
	}
	return slices.Clone(l.ids[:min(over+spare, len(l.ids), store.MaxOps-more)])
}

// newID is in the order of time, and of chance within a millisecond.
func newID(at int64) string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%015d-%s", at, hex.EncodeToString(b[:]))
}

func (l *Log) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := l.followOnce(ctx)
		if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
			return
		}
		l.log.WarnContext(ctx, "the audit log is not followed, trying again", "error", err)
		timer := time.NewTimer(time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

func (l *Log) followOnce(ctx context.Context) error {
	feed, err := l.store.Watch(ctx, kind)
	if err != nil {
		return err
	}
	defer feed.Close()
	for {
		u, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		l.take(&u)
	}
}

func (l *Log) take(u *store.Update) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u.Snapshot {
		clear(l.held)
	}
	for i := range u.Records {
		r := &u.Records[i]
		var e Entry
		if r.Value == nil || json.Unmarshal(r.Value, &e) != nil {
			delete(l.held, r.ID)
			continue
		}
		l.held[r.ID] = e
	}
	l.ids = l.ids[:0]
	for id := range l.held {
		l.ids = append(l.ids, id)
	}
	slices.Sort(l.ids)
}

// Query chooses entries.
type Query struct {
	By     string
	Action string
	Device devices.DeviceID
	After  string // Next of the page before
	Limit  int
}

// List returns entries, the newest first, and what After is for those that follow; "" where there are none.
func (l *Log) List(q Query) (entries []Entry, next string) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	last := ""
	for _, id := range slices.Backward(l.ids) {
		e := l.held[id]
		switch {
		case q.After != "" && id >= q.After:
		case q.By != "" && e.By != q.By, q.Action != "" && e.Action != q.Action, !q.Device.IsZero() && e.Device != q.Device:
		case len(entries) == q.Limit:
			return entries, last
		default:
			entries, last = append(entries, e), id
		}
	}
	return entries, ""
}
