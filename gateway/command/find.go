package command

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// Get returns a command, or an error of the kind NotFound. One that another process took in a moment ago is waited for.
func (d *Desk) Get(ctx context.Context, id devices.CommandID) (*Row, error) {
	ctx, cancel := context.WithTimeout(ctx, findFor)
	defer cancel()
	for {
		d.mu.RLock()
		r, changed := d.rows[id], d.changed
		if r == nil {
			r = d.accepted[id]
		}
		d.mu.RUnlock()
		if r != nil {
			return r, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, devices.Errorf(devices.NotFound, "", "there is no such command")
		}
	}
}

// State returns the state of a device's command, where it is known here.
func (d *Desk) State(device devices.DeviceID, fleet devices.FleetID, id devices.CommandID) (devices.CommandState, bool) {
	r := d.known(id)
	if r == nil || r.Device != device || r.Fleet != fleet {
		return 0, false
	}
	return r.State, true
}

// Query chooses commands.
type Query struct {
	Scope  devices.Scope    // whose commands may be seen
	Device devices.DeviceID // zero: of every device
	State  devices.CommandState
	After  string // Next of the page before
	Limit  int
}

// List returns commands, the newest first, and what After is for those that follow; "" where there are none.
func (d *Desk) List(q Query) (rows []*Row, next string, err error) {
	after, err := parseMark(q.After)
	if err != nil {
		return nil, "", err
	}
	var page newest
	d.each(q.Device, func(r *Row) {
		if !q.Scope.Sees(r.Fleet) || q.State != 0 && r.State != q.State || q.After != "" && !after.before(r) {
			return
		}
		heap.Push(&page, r)
		if len(page) > q.Limit+1 {
			heap.Pop(&page)
		}
	})
	slices.SortFunc(page, func(a, b *Row) int { return compare(b, a) })
	if len(page) > q.Limit {
		page = page[:q.Limit]
		last := page[len(page)-1]
		next = strconv.FormatInt(last.Accepted, 10) + "." + last.ID.String()
	}
	return page, next, nil
}

// each calls f for the commands of a device, or all.
func (d *Desk) each(device devices.DeviceID, f func(*Row)) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	rows := d.rows
	if !device.IsZero() {
		rows = d.devices[device]
	}
	for _, r := range rows {
		f(r)
	}
	for _, r := range d.accepted {
		if device.IsZero() || r.Device == device {
			if time.Since(r.since) < acceptedFor {
				f(r)
			}
		}
	}
}

// mark is the place of a command in a list.
type mark struct {
	accepted int64
	id       string
}

func parseMark(s string) (mark, error) {
	if s == "" {
		return mark{}, nil
	}
	at, id, _ := strings.Cut(s, ".")
	accepted, err := strconv.ParseInt(at, 10, 64)
	if _, bad := devices.ParseCommandID(id); err != nil || bad != nil {
		return mark{}, devices.Errorf(devices.Invalid, "after", "is not what a list gave as next")
	}
	return mark{accepted, id}, nil
}

// before tells whether the command stands behind the mark in a list whose newest is first.
func (m mark) before(r *Row) bool {
	return cmp.Or(cmp.Compare(r.Accepted, m.accepted), cmp.Compare(r.ID.String(), m.id)) < 0
}

func compare(a, b *Row) int {
	return cmp.Or(cmp.Compare(a.Accepted, b.Accepted), cmp.Compare(a.ID.String(), b.ID.String()))
}

// newest is a heap of the newest commands, the oldest of them in front.
type newest []*Row

func (n newest) Len() int           { return len(n) }
func (n newest) Less(i, j int) bool { return compare(n[i], n[j]) < 0 }
func (n newest) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }

// Push implements heap.Interface.
func (n *newest) Push(x any) { *n = append(*n, x.(*Row)) }

// Pop implements heap.Interface.
func (n *newest) Pop() any {
	old := *n
	r := old[len(old)-1]
	*n = old[:len(old)-1]
	return r
}
