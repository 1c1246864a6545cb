package hub

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// ListQuery asks for a page of assets.
type ListQuery struct {
	Fleets []devices.FleetID // empty: every fleet
	Status string            // online, offline, unknown; "" for any
	After  string            // the id after which the page begins; "" for the first
	Limit  int               // how many at most; at least 1
}

// Ready tells whether the state of every partition is loaded.
func (h *Hub) Ready() bool {
	for _, t := range h.tables {
		if t.epoch() == 0 {
			return false
		}
	}
	return true
}

// Lag is how late the state may be: the largest lag of all partitions.
func (h *Hub) Lag() time.Duration {
	var lag time.Duration
	for _, t := range h.tables {
		lag = max(lag, t.lateness(time.Now()))
	}
	return lag
}

// Asset returns the JSON of one asset; the bytes are shared and must not be changed.
func (h *Hub) Asset(id devices.DeviceID) ([]byte, bool) {
	for _, t := range h.tables {
		t.mu.RLock()
		r := t.devices[id]
		var frame []byte
		if r != nil {
			frame = r.frame
		}
		t.mu.RUnlock()
		if frame != nil {
			return frame, true
		}
	}
	return nil, false
}

// Fleet returns the fleet of a device that is live.
func (h *Hub) Fleet(id devices.DeviceID) (devices.FleetID, bool) {
	for _, t := range h.tables {
		t.mu.RLock()
		r := t.devices[id]
		live := r != nil && r.frame != nil
		t.mu.RUnlock()
		if live {
			return r.fleet.id, true
		}
	}
	return devices.FleetID{}, false
}

// listed is an asset on its way into a page.
type listed struct {
	id    string
	frame []byte
}

func byID(a, b listed) int { return cmp.Compare(a.id, b.id) }

// Assets returns a page of assets by id, as JSON that is shared and must not be changed, and the After of the next page,
// "" where there is none. It looks at the assets behind After until the page is full, or at every one of the fleets that
// are named, and keeps no more than two pages of them.
func (h *Hub) Assets(q ListQuery) (frames [][]byte, next string) {
	page := make([]listed, 0, min(2*q.Limit+2, 4096))
	for _, t := range h.tables {
		page = t.list(q, page)
	}
	page = cut(page, q.Limit+1)
	if len(page) > q.Limit {
		page = page[:q.Limit]
		next = page[q.Limit-1].id
	}
	for _, a := range page {
		frames = append(frames, a.frame)
	}
	return frames, next
}

// cut sorts the page and keeps the first n.
func cut(page []listed, n int) []listed {
	slices.SortFunc(page, byID)
	return page[:min(n, len(page))]
}

func (t *table) list(q ListQuery, page []listed) []listed {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(q.Fleets) == 0 {
		return t.listNamed(q, page)
	}
	for i, id := range q.Fleets {
		f := t.fleets[id]
		if f == nil || slices.Contains(q.Fleets[:i], id) {
			continue
		}
		for _, r := range f.rows.sorted {
			if !q.takes(r) {
				continue
			}
			page = append(page, listed{r.device.String(), r.frame})
			if len(page) > 2*q.Limit+1 {
				page = cut(page, q.Limit+1)
			}
		}
	}
	return page
}

// listNamed adds the table's part of a page of all fleets: its first rows behind After.
func (t *table) listNamed(q ListQuery, page []listed) []listed {
	rows := t.named.sorted
	i, _ := slices.BinarySearchFunc(rows, q.After, func(r *row, after string) int { return cmp.Compare(r.device.String(), after) })
	for found := 0; i < len(rows) && found <= q.Limit; i++ {
		if r := rows[i]; q.takes(r) {
			page = append(page, listed{r.device.String(), r.frame})
			found++
		}
	}
	return page
}

func (q *ListQuery) takes(r *row) bool {
	return r.frame != nil && r.device.String() > q.After && (q.Status == "" || statusOf(r.frame) == q.Status)
}

// statusOf cuts the status out of an asset's JSON. Its first `,"status":"` is the member: what stands before it are
// strings, in which a quote is escaped.
func statusOf(frame []byte) string {
	const member = `,"status":"`
	_, rest, found := bytes.Cut(frame, []byte(member))
	if !found {
		return ""
	}
	return string(rest[:max(bytes.IndexByte(rest, '"'), 0)])
}
