package registry

import (
	"context"
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// MaxPage bounds a page of a list.
const MaxPage = 1000

// Query selects devices. Zero members select nothing out.
type Query struct {
	Fleets []devices.FleetID
	Status Status
	Search string // a part of the id, the name or a value of the metadata, whatever the case
	// Metadata are members that a device must have, with these values.
	Metadata map[string]string
	After    string // the id that the page begins behind
	Limit    int    // at most MaxPage; 0 is MaxPage
}

// Devices returns a page of devices by id. next is the After of the next page, and "" where there is none.
func (r *Registry) Devices(q Query) (page []*Device, next string) {
	limit := q.Limit
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	search := strings.ToLower(q.Search)
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	i, found := slices.BinarySearch(r.dir.ids, q.After)
	if found {
		i++
	}
	for _, name := range r.dir.ids[i:] {
		id, err := devices.ParseDeviceID(name)
		if err != nil {
			continue
		}
		d := r.dir.devices[id]
		if d == nil || !q.matches(d, search) {
			continue
		}
		if len(page) == limit {
			return page, page[limit-1].ID.String()
		}
		page = append(page, d)
	}
	return page, ""
}

func (q *Query) matches(d *Device, search string) bool {
	switch {
	case len(q.Fleets) > 0 && !slices.Contains(q.Fleets, d.Fleet):
		return false
	case q.Status != "" && d.Status != q.Status:
		return false
	case !q.hasMetadata(d):
		return false
	case search == "":
		return true
	case strings.Contains(strings.ToLower(d.ID.String()), search), strings.Contains(strings.ToLower(d.Name), search):
		return true
	}
	for _, v := range d.Metadata {
		if strings.Contains(strings.ToLower(v), search) {
			return true
		}
	}
	return false
}

func (q *Query) hasMetadata(d *Device) bool {
	for name, value := range q.Metadata {
		if got, ok := d.Metadata[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// Device returns a device of now.
func (r *Registry) Device(id devices.DeviceID) (*Device, bool) {
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	d, ok := r.dir.devices[id]
	return d, ok
}

// Lookup asks the store for a device, for where this process may be behind it. It returns ErrNoDevice where there is none.
func (r *Registry) Lookup(ctx context.Context, id devices.DeviceID) (*Device, error) {
	d, at, err := load[Device](ctx, r, KindDevice, id.String(), ErrNoDevice)
	if err != nil {
		return nil, err
	}
	d.Revision = at
	return d, nil
}

// FleetView is a fleet with how many devices it has.
type FleetView struct {
	*Fleet
	Devices int
}

// Fleet returns a fleet of now.
func (r *Registry) Fleet(id devices.FleetID) (FleetView, bool) {
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	f, ok := r.dir.fleets[id]
	return FleetView{f, r.dir.counts[id]}, ok
}

// Fleets returns a page of fleets by id.
func (r *Registry) Fleets(after string, limit int) (page []FleetView, next string) {
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	ids := pageOf(r.dir.fleets, after, devices.FleetID.String)
	for _, id := range ids {
		if len(page) == limit {
			return page, page[limit-1].ID.String()
		}
		page = append(page, FleetView{r.dir.fleets[id], r.dir.counts[id]})
	}
	return page, ""
}

// Strangers returns a page of quarantined devices by id.
func (r *Registry) Strangers(after string, limit int) (page []*Stranger, next string) {
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	for _, id := range pageOf(r.dir.strangers, after, devices.DeviceID.String) {
		if len(page) == limit {
			return page, page[limit-1].ID.String()
		}
		page = append(page, r.dir.strangers[id])
	}
	return page, ""
}

// Stranger returns a quarantined device.
func (r *Registry) Stranger(id devices.DeviceID) (*Stranger, bool) {
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	s, ok := r.dir.strangers[id]
	return s, ok
}

// Credential returns a credential of now, of any kind.
func (r *Registry) Credential(name string) (*Credential, bool) {
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	c, ok := r.dir.credentials[name]
	return c, ok
}

// Credentials returns a page of the credentials that are no device's, by name.
func (r *Registry) Credentials(after string, limit int) (page []*Credential, next string) {
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	var names []string
	for name, c := range r.dir.credentials {
		if c.Kind != ForDevice && name > after {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if len(page) == limit {
			return page, page[limit-1].Name
		}
		page = append(page, r.dir.credentials[name])
	}
	return page, ""
}

// pageOf sorts the keys behind after. Fleets, strangers and credentials are few.
func pageOf[K comparable, V any](m map[K]V, after string, name func(K) string) []K {
	var keys []K
	for k := range m {
		if name(k) > after {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b K) int { return strings.Compare(name(a), name(b)) })
	return keys
}
