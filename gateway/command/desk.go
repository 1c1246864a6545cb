package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// Bus is what of a bus commands need.
type Bus interface {
	bus.Inlet
	bus.Commands
}

// Desk knows the commands of all partitions, as their owners told last. Its methods may be called concurrently. It is made
// by NewDesk and runs in Run, once.
type Desk struct {
	bus  Bus
	log  *slog.Logger
	door appender

	mu         sync.RWMutex // guards what follows
	rows       map[devices.CommandID]*Row
	devices    map[devices.DeviceID]map[devices.CommandID]*Row
	partitions []partition
	accepted   map[devices.CommandID]*Row // by this desk, and not in the table yet
	changed    chan struct{}              // closed and replaced with every update
	followers  []func(ids []devices.CommandID)
}

type partition struct {
	loaded bool
	rows   map[devices.CommandID]struct{}
}

// Row is a command as the table has it. It is shared and must not be changed.
type Row struct {
	devices.Command        // without Params and Result
	Data            []byte // all of it, as JSON
	Trace           *trace.Context
	since           time.Time
}

// Bounds of a desk.
const (
	// acceptedFor is how long a command that this desk took in is shown before the table has it.
	acceptedFor = 10 * time.Second
	maxAccepted = 10_000
	// maxOpen is the owner's bound of commands that wait for a device: said here too, so that who sends hears it at once.
	maxOpen = 64
	// findFor is how long a command that is not known is waited for: another process may have taken it in just now.
	findFor = 500 * time.Millisecond
	// retryEvery is the pause before a feed that failed is opened again.
	retryEvery = time.Second
)

// NewDesk wires a desk. It starts nothing.
func NewDesk(b Bus, log *slog.Logger) *Desk {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &Desk{
		bus: b, log: log, door: newAppender(b), rows: map[devices.CommandID]*Row{}, devices: map[devices.DeviceID]map[devices.CommandID]*Row{},
		accepted: map[devices.CommandID]*Row{}, changed: make(chan struct{}),
	}
	for range b.Partitions() {
		d.partitions = append(d.partitions, partition{rows: map[devices.CommandID]struct{}{}})
	}
	return d
}

// Run follows all partitions until ctx ends or the bus is closed.
func (d *Desk) Run(ctx context.Context) error {
	var following sync.WaitGroup
	for p := range d.partitions {
		following.Go(func() { d.follow(ctx, p) })
	}
	following.Wait()
	return nil
}

func (d *Desk) follow(ctx context.Context, p int) {
	for ctx.Err() == nil {
		err := d.followOnce(ctx, p)
		if ctx.Err() != nil || errors.Is(err, bus.ErrClosed) {
			return
		}
		d.log.WarnContext(ctx, "commands are not followed, trying again", "partition", p, "error", err)
		pause(ctx, retryEvery)
	}
}

func (d *Desk) followOnce(ctx context.Context, p int) error {
	feed, err := d.bus.FollowCommands(ctx, p)
	if err != nil {
		return fmt.Errorf("follow commands: %w", err)
	}
	defer feed.Close()
	for {
		u, err := feed.Next(ctx)
		if err != nil {
			return fmt.Errorf("follow commands: %w", err)
		}
		d.take(p, &u)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// take makes the update part of what is known, and tells who follows.
func (d *Desk) take(p int, u *bus.CommandUpdate) {
	rows := make([]*Row, 0, len(u.Rows))
	for i := range u.Rows {
		rows = append(rows, readRow(&u.Rows[i]))
	}
	ids, followers := d.put(p, u.Whole, rows)
	for _, told := range followers {
		told(ids)
	}
}

// readRow returns a row, without Data where it is forgotten or cannot be read.
func readRow(r *bus.CommandRow) *Row {
	row := &Row{Command: devices.Command{ID: r.ID}}
	if c, err := devices.ParseCommand(r.Data); err == nil && c.ID == r.ID {
		c.Params, c.Result = nil, nil
		row.Command, row.Data, row.Trace = *c, r.Data, r.Trace
	}
	return row
}

func (d *Desk) put(p int, whole bool, rows []*Row) ([]devices.CommandID, []func([]devices.CommandID)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	part := &d.partitions[p]
	var ids []devices.CommandID
	if whole {
		for id := range part.rows {
			d.drop(id)
			ids = append(ids, id)
		}
		clear(part.rows)
		part.loaded = true
	}
	for _, r := range rows {
		ids = append(ids, r.ID)
		d.drop(r.ID)
		delete(part.rows, r.ID)
		if r.Data == nil {
			continue
		}
		delete(d.accepted, r.ID)
		part.rows[r.ID] = struct{}{}
		d.rows[r.ID] = r
		of := d.devices[r.Device]
		if of == nil {
			of = map[devices.CommandID]*Row{}
			d.devices[r.Device] = of
		}
		of[r.ID] = r
	}
	close(d.changed)
	d.changed = make(chan struct{})
	return ids, d.followers
}

// drop needs the lock.
func (d *Desk) drop(id devices.CommandID) {
	r := d.rows[id]
	if r == nil {
		return
	}
	delete(d.rows, id)
	of := d.devices[r.Device]
	delete(of, id)
	if len(of) == 0 {
		delete(d.devices, r.Device)
	}
}

// Request is a command that somebody may send.
type Request struct {
	Device devices.DeviceID
	Fleet  devices.FleetID // of the device
	Name   string
	Params []byte        // JSON; nil where there are none
	TTL    time.Duration // 0: DefaultTTL
	By     string        // who sends it
	// Key makes a repeated request the same command: of the same By, to the same device. "": each is another.
	Key string
}

// DefaultTTL and MaxTTL are how long a command is of use.
const (
	DefaultTTL = time.Minute
	MaxTTL     = devices.MaxCommandTTL * time.Millisecond
)

// Check tells what is wrong with a request.
func (r *Request) Check() error {
	if err := devices.CheckCommandName(r.Name); err != nil {
		return err
	}
	if r.TTL < 0 || r.TTL > MaxTTL {
		return devices.Errorf(devices.Invalid, "ttl", "is not from 1 s to %d s", int(MaxTTL/time.Second))
	}
	return nil
}

// Send takes a command in and returns it, with true where it was there already. When it returns without an error the
// inlet has it: whatever happens, it will be told how it ended. After an error of the kind Unavailable the inlet may have
// it all the same; a request with a Key may be repeated.
func (d *Desk) Send(ctx context.Context, r Request) (row *Row, repeated bool, err error) {
	if err := r.Check(); err != nil {
		return nil, false, err
	}
	if r.Params, err = devices.CompactCommandValue("params", r.Params); err != nil {
		return nil, false, err
	}
	ttl := r.TTL
	if ttl == 0 {
		ttl = DefaultTTL
	}
	id := devices.NewCommandID()
	if r.Key != "" {
		id = devices.CommandIDFor(r.By, r.Key, r.Device)
		if known := d.known(id); known != nil {
			return known, true, nil
		}
	}
	if d.open(r.Device) >= maxOpen {
		return nil, false, devices.Errorf(devices.Exhausted, "device", "has %d commands that wait for it", maxOpen)
	}
	now := time.Now()
	order := &bus.CommandOrder{
		ID: id, Name: r.Name, Params: r.Params, At: now.UnixMilli(), TTL: ttl.Milliseconds(), By: cut(r.By, devices.MaxCommandByBytes),
	}
	entry := bus.Entry{Device: r.Device, Fleet: r.Fleet, Kind: bus.KindCommand, Command: order, Trace: trace.From(ctx)}
	if err := d.door.append(ctx, []bus.Entry{entry}); err != nil {
		return nil, false, err
	}
	c := devices.Command{
		ID: id, Device: r.Device, Fleet: r.Fleet, Name: r.Name, Params: r.Params, State: devices.CommandAccepted,
		At: order.At, Accepted: order.At, Expires: order.At + order.TTL, By: order.By,
	}
	row = &Row{Command: c, Data: c.JSON(), since: now}
	row.Params = nil
	d.accept(row)
	return row, false, nil
}

// cut shortens a text to whole characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && s[most]&0xc0 == 0x80 {
		most--
	}
	return s[:most]
}

func (d *Desk) known(id devices.CommandID) *Row {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if r := d.rows[id]; r != nil {
		return r
	}
	return d.accepted[id]
}

// accept shows a command until the table has it.
func (d *Desk) accept(r *Row) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, old := range d.accepted {
		if len(d.accepted) >= maxAccepted || r.since.Sub(old.since) > acceptedFor {
			delete(d.accepted, id)
		}
	}
	if d.rows[r.ID] == nil {
		d.accepted[r.ID] = r
	}
}

// open counts the commands that wait for a device.
func (d *Desk) open(device devices.DeviceID) int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := 0
	for _, r := range d.devices[device] {
		if !r.State.IsFinal() {
			n++
		}
	}
	return n
}
