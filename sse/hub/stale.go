package hub

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/fleetcast/fleetcast/devices"
)

// Stale is an asset, and when it was last heard.
type Stale struct {
	Device   devices.DeviceID
	Fleet    devices.FleetID
	Status   string
	Received int64 // unix ms
}

// Stalest returns the assets that were not heard for longest, the stalest first. It looks at every asset: it is for people
// who look for what is wrong, not for what asks every second.
func (h *Hub) Stalest(limit int) []Stale {
	oldest := func(a, b Stale) int {
		return cmp.Or(cmp.Compare(a.Received, b.Received), cmp.Compare(a.Device.String(), b.Device.String()))
	}
	var found []Stale
	shorten := func() {
		slices.SortFunc(found, oldest)
		found = found[:min(len(found), limit)]
	}
	for _, t := range h.tables {
		t.mu.RLock()
		for _, r := range t.named.sorted {
			if r.frame == nil {
				continue
			}
			found = append(found, Stale{r.device, r.fleet.id, statusOf(r.frame), receivedOf(r.frame)})
			if len(found) >= 2*limit+1000 {
				shorten()
			}
		}
		t.mu.RUnlock()
	}
	shorten()
	return found
}

// receivedOf cuts the time of receipt out of an asset's JSON, as statusOf does the status.
func receivedOf(frame []byte) (ms int64) {
	_, rest, _ := bytes.Cut(frame, []byte(`,"received":`))
	for _, c := range rest {
		if c < '0' || c > '9' {
			break
		}
		ms = ms*10 + int64(c-'0')
	}
	return ms
}
