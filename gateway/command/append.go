package command

import (
	"context"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// appender is a door of its own at the inlet: one Append at a time, which is repeated under its number until it is kept,
// refused, or given up.
type appender struct {
	inlet bus.Inlet
	id    bus.DoorID
	turn  chan *uint64 // holds the last number while nobody appends
}

func newAppender(inlet bus.Inlet) appender {
	a := appender{inlet: inlet, id: bus.NewDoorID(), turn: make(chan *uint64, 1)}
	a.turn <- new(uint64)
	return a
}

const (
	appendPause  = 50 * time.Millisecond
	appendPauses = 5 // doublings
)

func (a *appender) append(ctx context.Context, entries []bus.Entry) error {
	var seq *uint64
	select {
	case seq = <-a.turn:
	case <-ctx.Done():
		return errNotKept(ctx.Err())
	}
	defer func() { a.turn <- seq }()
	*seq++
	for try := 0; ; try++ {
		err := a.inlet.Append(ctx, bus.Append{Door: a.id, Seq: *seq, Entries: entries})
		switch {
		case err == nil:
			return nil
		case isRefused(err):
			return err
		case ctx.Err() != nil:
			return errNotKept(err)
		}
		pause(ctx, appendPause<<min(try, appendPauses))
	}
}

// isRefused tells whether repeating an Append is of no use.
func isRefused(err error) bool {
	switch devices.KindOf(err) {
	case devices.Invalid, devices.TooLarge, devices.Conflict:
		return true
	default:
		return false
	}
}

func errNotKept(err error) error {
	return &devices.Error{Kind: devices.Unavailable, Detail: "it is not known whether the command was kept; try again", Err: err}
}
