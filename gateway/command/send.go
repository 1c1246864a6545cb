package command

import (
	"cmp"
	"encoding/json"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// send gives commands to the door, and plans what is to become of them. Those of one device go one after another.
func (d *Dispatcher) send(due []*try, now time.Time) {
	errs := make([]error, len(due))
	if d.width == 1 {
		for i, t := range due {
			errs[i] = d.deliver(t, now)
		}
	} else {
		d.deliverTogether(due, errs, now)
	}
	for i, t := range due {
		d.plan(t, d.settle(t, errs[i], now))
	}
}

// deliverTogether gives the commands of several devices at once to a door that waits.
func (d *Dispatcher) deliverTogether(due []*try, errs []error, now time.Time) {
	of := map[devices.DeviceID][]int{}
	for i, t := range due {
		of[t.row.Device] = append(of[t.row.Device], i)
	}
	next := make(chan []int)
	var sending sync.WaitGroup
	for range min(d.width, len(of)) {
		sending.Go(func() {
			for commands := range next {
				for _, i := range commands {
					errs[i] = d.deliver(due[i], now)
				}
			}
		})
	}
	for i, t := range due { // the oldest first, which a map does not know
		if commands := of[t.row.Device]; commands[0] == i {
			next <- commands
		}
	}
	close(next)
	sending.Wait()
}

// errUnsent says that a command was not given to the door, nor will be.
var errUnsent = devices.Errorf(devices.Invalid, "", "is not to be sent")

// deliver gives a command to the door. It may be called for several at once.
func (d *Dispatcher) deliver(t *try, now time.Time) error {
	if t.arrived.Load() || now.UnixMilli() >= t.row.Expires {
		return errUnsent
	}
	order, err := orderOf(t.row)
	if err != nil {
		d.log.Warn("a command cannot be read and is not sent", "error", err)
		return errUnsent
	}
	span := d.trace.Start("command send", trace.Producer, t.row.Trace, time.Now(), trace.Text("fleetcast.command", order.ID.String()),
		trace.Text("fleetcast.device", order.Device.String()), trace.Text("fleetcast.fleet", order.Fleet.String()))
	order.Trace = cmp.Or(span.Context(), t.row.Trace)
	err = d.door.Deliver(order, func(state devices.CommandState, unconfirmed bool) {
		if state >= devices.CommandDelivered {
			t.arrived.Store(true)
			d.stats[statDelivered].Add(1)
			d.kick() // there may be room for another
		}
		d.seen.note(order, state, unconfirmed)
	})
	tell(span, err)
	return err
}

// settle counts what came of a command, and returns when it is worth to try it again; the zero time: when somebody listens.
func (d *Dispatcher) settle(t *try, err error, now time.Time) time.Time {
	switch {
	case err == nil:
		if t.away {
			d.stats[statAgain].Add(1)
		}
		d.stats[statSent].Add(1)
		t.away = true
	case devices.KindOf(err) == devices.NotFound:
		d.stats[statNobody].Add(1)
		if d.pause > 0 {
			return now.Add(d.pause)
		}
	case devices.KindOf(err) == devices.Invalid: // it is of no use any more: the owner will say so
	default:
		d.stats[statRefused].Add(1)
		return now.Add(tryAgain)
	}
	return time.Time{}
}

func tell(span *trace.Span, err error) {
	switch {
	case span == nil:
	case err == nil:
		span.End(time.Now())
	default:
		span.Fail(time.Now(), devices.KindOf(err).String())
	}
}

// orderOf makes what is sent of a row: the payload is {"id","name","params","expires"}.
func orderOf(r *Row) (*Order, error) {
	c, err := devices.ParseCommand(r.Data)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(struct {
		ID      devices.CommandID `json:"id"`
		Name    string            `json:"name"`
		Params  json.RawMessage   `json:"params,omitempty"`
		Expires int64             `json:"expires"`
	}{c.ID, c.Name, c.Params, c.Expires})
	if err != nil {
		return nil, err
	}
	under := "fleets/" + c.Fleet.String() + "/devices/" + c.Device.String()
	return &Order{
		ID: c.ID, Device: c.Device, Fleet: c.Fleet, Payload: payload, Expires: time.UnixMilli(c.Expires),
		Topic: under + "/commands/" + c.ID.String(), Reply: under + "/replies/" + c.ID.String(),
	}, nil
}
