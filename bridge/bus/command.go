package bus

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// CommandOrder is the body of KindCommand: a person's command as it enters. When it is of no use any more counts from
// the time of the entry, or from At where that is just before it.
type CommandOrder struct {
	ID     devices.CommandID
	Name   string
	Params []byte // JSON; nil where there are none
	At     int64  // when it was accepted, by the clock of who did, unix ms
	TTL    int64  // ms
	By     string // who sent it
}

// CommandReport is the body of KindCommandState: what a door saw of a command.
type CommandReport struct {
	ID    devices.CommandID
	State devices.CommandState // CommandSent and above, but not CommandExpired, which is the owner's to say
	// Unconfirmed: it was sent in a way that nobody acknowledges.
	Unconfirmed bool
	Truncated   bool   // the device's result is left out, since it is long or no JSON
	Result      []byte // JSON; of CommandDone and CommandFailed
	Error       string
}

// CommandRow is what a bus keeps of a command for owners, doors and edges: the newest word of its owner. Rows are a table
// beside the devices' records, not a part of them: a record is written with every message of a device, and a door or an
// edge can follow the table without following the fleet.
type CommandRow struct {
	ID     devices.CommandID
	Device devices.DeviceID
	Fleet  devices.FleetID
	Data   []byte // opaque to the bus, at most MaxCommandRowBytes; nil: the command is forgotten
	// Trace is the span that goes on with the command; nil where it is not traced. It is not changed.
	Trace *trace.Context
}

// MaxCommandRowBytes bounds the data of a row.
const MaxCommandRowBytes = 48 << 10

// Commands is where doors and edges follow what became of commands. They need not watch the partition, nor share a
// process with its owner.
type Commands interface {
	// FollowCommands follows the commands of a partition. The feed's first update is whole. ctx bounds the call, not the
	// feed.
	FollowCommands(ctx context.Context, partition int) (CommandFeed, error)
}

// CommandFeed is for one goroutine. It tells the newest word of each command and not every word: what changed twice
// between two calls of Next is told once. So it needs no queue, and nobody is ever too slow for it.
type CommandFeed interface {
	// Next waits for what changed. The rows are shared and must not be changed. It returns ErrClosed after Close and when
	// the bus closes; after any other error it may be called again.
	Next(ctx context.Context) (CommandUpdate, error)
	// Close ends the feed; Next returns ErrClosed from then on. It may be called twice.
	Close()
}

// CommandUpdate is what changed.
type CommandUpdate struct {
	Whole bool // Rows are all that there are, in no order; what is not among them is gone
	Rows  []CommandRow
}

// Check tells whether a bus takes the row.
func (r *CommandRow) Check() error {
	switch {
	case r.ID.IsZero() || r.Device.IsZero() || r.Fleet.IsZero():
		return devices.Errorf(devices.Invalid, "command", "names no command, device or fleet")
	case len(r.Data) > MaxCommandRowBytes:
		return devices.Errorf(devices.Invalid, "command", "has more than %d bytes", MaxCommandRowBytes)
	}
	return nil
}

func (o *CommandOrder) check() error {
	switch {
	case o == nil || o.ID.IsZero():
		return devices.Errorf(devices.Invalid, "command", "is missing in an entry")
	case o.TTL < 1 || o.TTL > devices.MaxCommandTTL:
		return devices.Errorf(devices.Invalid, "ttl", "is not from 1 to %d ms", devices.MaxCommandTTL)
	case len(o.By) > devices.MaxCommandByBytes || !utf8.ValidString(o.By):
		return devices.Errorf(devices.Invalid, "by", "is no text or longer than %d bytes", devices.MaxCommandByBytes)
	}
	if err := devices.CheckCommandName(o.Name); err != nil {
		return err
	}
	return checkCommandValue("params", o.Params)
}

func (r *CommandReport) check() error {
	switch {
	case r == nil || r.ID.IsZero():
		return devices.Errorf(devices.Invalid, "command", "is missing in an entry")
	case r.State < devices.CommandSent || r.State > devices.CommandFailed:
		return devices.Errorf(devices.Invalid, "state", "is none that a door sees")
	case len(r.Error) > devices.MaxCommandErrorBytes || !utf8.ValidString(r.Error):
		return devices.Errorf(devices.Invalid, "error", "is no text or longer than %d bytes", devices.MaxCommandErrorBytes)
	}
	return checkCommandValue("result", r.Result)
}

func checkCommandValue(field string, value []byte) error {
	switch {
	case len(value) > devices.MaxCommandValueBytes:
		return devices.Errorf(devices.Invalid, field, "has more than %d bytes", devices.MaxCommandValueBytes)
	case len(value) > 0 && !json.Valid(value):
		return devices.Errorf(devices.Invalid, field, "is no JSON")
	}
	return nil
}

// AppendCommandRow appends the bytes of a row, by the rules of wire.go.
func AppendCommandRow(dst []byte, r *CommandRow) []byte {
	if r.Trace != nil {
		dst = appendTrace(append(dst, tagCommand|tracedCommandVersion), r.Trace)
	} else {
		dst = append(dst, tagCommand|wireVersion)
	}
	dst = appendText(dst, r.ID.String())
	dst = appendText(dst, r.Device.String())
	dst = appendText(dst, r.Fleet.String())
	return appendBlob(dst, r.Data)
}

// DecodeCommandRow reads what AppendCommandRow wrote. It shares no memory with b.
func DecodeCommandRow(b []byte) (CommandRow, error) {
	r := openWireUpTo(b, tagCommand, tracedCommandVersion)
	var traced *trace.Context
	if r.version == tracedCommandVersion {
		traced = r.trace()
	}
	row := CommandRow{Trace: traced, ID: r.command(), Device: r.device(), Fleet: r.fleet(), Data: r.blob("data", MaxCommandRowBytes)}
	r.end()
	if r.err != nil {
		return CommandRow{}, fmt.Errorf("decode command: %w", r.err)
	}
	return row, nil
}

func appendBlob(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendOrder(dst []byte, o *CommandOrder) []byte {
	dst = appendText(dst, o.ID.String())
	dst = appendText(dst, o.Name)
	dst = appendBlob(dst, o.Params)
	dst = binary.AppendVarint(dst, o.At)
	dst = binary.AppendVarint(dst, o.TTL)
	return appendText(dst, o.By)
}

// Flags of a report.
const (
	flagUnconfirmed = 1 << iota
	flagTruncated
	knownReportFlags = 1<<iota - 1
)

func appendReport(dst []byte, r *CommandReport) []byte {
	dst = append(appendText(dst, r.ID.String()), byte(r.State))
	var flags byte
	if r.Unconfirmed {
		flags |= flagUnconfirmed
	}
	if r.Truncated {
		flags |= flagTruncated
	}
	dst = append(dst, flags)
	dst = appendBlob(dst, r.Result)
	return appendText(dst, r.Error)
}

func (r *wireReader) order() *CommandOrder {
	return &CommandOrder{
		ID: r.command(), Name: string(r.text("name", devices.MaxCommandNameBytes)), Params: r.blob("params", devices.MaxCommandValueBytes),
		At: r.varint("at"), TTL: r.varint("ttl"), By: string(r.text("by", devices.MaxCommandByBytes)),
	}
}

func (r *wireReader) report() *CommandReport {
	out := &CommandReport{ID: r.command(), State: devices.CommandState(r.byte("state"))}
	flags := r.byte("flags")
	if flags&^byte(knownReportFlags) != 0 {
		r.fail(ErrWireMalformed, "flags")
	}
	out.Unconfirmed, out.Truncated = flags&flagUnconfirmed != 0, flags&flagTruncated != 0
	out.Result, out.Error = r.blob("result", devices.MaxCommandValueBytes), string(r.text("error", devices.MaxCommandErrorBytes))
	return out
}

func (r *wireReader) command() devices.CommandID {
	id, err := devices.ParseCommandID(string(r.text("command", devices.MaxIDBytes)))
	if err != nil {
		r.fail(ErrWireMalformed, "command")
	}
	return id
}

// blob is nil where it has no bytes.
func (r *wireReader) blob(what string, limit int) []byte {
	return append([]byte(nil), r.text(what, limit)...)
}

// commandTable is the rows of a partition, with those who follow them. It has no lock; the partition's guards it. How
// many rows there are is the owner's to bound.
type commandTable struct {
	rows  map[devices.CommandID]CommandRow
	bytes int
	feeds map[*memoryCommandFeed]struct{}
}

func newCommandTable() commandTable {
	return commandTable{rows: make(map[devices.CommandID]CommandRow), feeds: make(map[*memoryCommandFeed]struct{})}
}

func (t *commandTable) apply(rows []CommandRow) {
	for i := range rows {
		r := &rows[i]
		t.bytes += len(r.Data) - len(t.rows[r.ID].Data)
		if r.Data == nil {
			delete(t.rows, r.ID)
		} else {
			t.rows[r.ID] = *r
		}
	}
}

// show tells who follows. It never waits.
func (t *commandTable) show(rows []CommandRow) {
	if len(rows) == 0 {
		return
	}
	for f := range t.feeds {
		f.note(rows)
	}
}

func (t *commandTable) all() []CommandRow {
	out := make([]CommandRow, 0, len(t.rows))
	for _, r := range t.rows {
		out = append(out, r)
	}
	return out
}

// maxCommandChanges bounds what a feed notes for one who does not read: commands that come and go.
const maxCommandChanges = 50_000

// memoryCommandFeed is a feed of the in-memory bus. What it notes is at most one row of each command that changed.
type memoryCommandFeed struct {
	p    *partition
	wake chan struct{}

	// guarded by p.mu
	whole   bool
	changed map[devices.CommandID]CommandRow // as they were told: of one that is forgotten only its names are left
	ended   bool
}

func (f *memoryCommandFeed) note(rows []CommandRow) {
	for i := range rows {
		if !f.whole {
			f.changed[rows[i].ID] = rows[i]
		}
	}
	if len(f.changed) > maxCommandChanges { // the table is shorter by now
		clear(f.changed)
		f.whole = true
	}
	wake(f.wake)
}

// Next implements CommandFeed.
func (f *memoryCommandFeed) Next(ctx context.Context) (CommandUpdate, error) {
	for {
		if err := ctx.Err(); err != nil {
			return CommandUpdate{}, err
		}
		if u, ok, err := f.take(); err != nil || ok {
			return u, err
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
		}
	}
}

func (f *memoryCommandFeed) take() (u CommandUpdate, ok bool, err error) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	switch {
	case f.ended:
		return u, false, ErrClosed
	case f.whole:
		f.whole = false
		return CommandUpdate{Whole: true, Rows: f.p.state.commands.all()}, true, nil
	case len(f.changed) == 0:
		return u, false, nil
	}
	u.Rows = make([]CommandRow, 0, len(f.changed))
	for _, r := range f.changed {
		u.Rows = append(u.Rows, r)
	}
	clear(f.changed)
	return u, true, nil
}

// Close implements CommandFeed.
func (f *memoryCommandFeed) Close() {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	delete(f.p.state.commands.feeds, f)
	f.end()
}

// end is called with the lock held.
func (f *memoryCommandFeed) end() {
	f.ended = true
	wake(f.wake)
}

// FollowCommands implements Commands.
func (m *Memory) FollowCommands(ctx context.Context, partition int) (CommandFeed, error) {
	p, err := m.partition(partition)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	f := &memoryCommandFeed{p: p, wake: make(chan struct{}, 1), whole: true, changed: make(map[devices.CommandID]CommandRow)}
	p.state.commands.feeds[f] = struct{}{}
	return f, nil
}
