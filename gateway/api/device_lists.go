package api

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
)

var deviceListing = listing[*registry.Device]{
	id:   func(d *registry.Device) string { return d.ID.String() },
	text: func(d *registry.Device) []string { return append(slices.Collect(maps.Values(d.Metadata)), d.Name) },
	keys: map[string]func(*registry.Device) sortKey{
		"name":    func(d *registry.Device) sortKey { return byText(d.Name) },
		"fleet":   func(d *registry.Device) sortKey { return byText(d.Fleet.String()) },
		"status":  func(d *registry.Device) sortKey { return byText(string(d.Status)) },
		"created": func(d *registry.Device) sortKey { return byTime(d.Created) },
		"updated": func(d *registry.Device) sortKey { return byTime(d.Updated) },
	},
}

var strangerListing = listing[*registry.Stranger]{
	id:   func(s *registry.Stranger) string { return s.ID.String() },
	text: func(s *registry.Stranger) []string { return []string{s.Fleet, s.Address, s.Via} },
	keys: map[string]func(*registry.Stranger) sortKey{
		"fleet": func(s *registry.Stranger) sortKey { return byText(s.Fleet) },
		"seen":  func(s *registry.Stranger) sortKey { return byTime(s.Seen) },
	},
}

// parseMetadata reads name:value, several times.
func parseMetadata(given []string) (map[string]string, error) {
	if len(given) > registry.MaxMetadata {
		return nil, devices.Errorf(devices.Invalid, "metadata", "is given more than %d times", registry.MaxMetadata)
	}
	var out map[string]string
	for _, text := range given {
		name, value, ok := strings.Cut(text, ":")
		if !ok || name == "" {
			return nil, devices.Errorf(devices.Invalid, "metadata", "is not name:value")
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = value
	}
	return out, nil
}

// listDevices answers {"devices":[…],"next":"…"}.
func (a *API) listDevices(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	q, values, err := parseDevices(r, "limit", "after", "sort")
	if err != nil {
		return err
	}
	answer := struct {
		Devices []any  `json:"devices"`
		Next    string `json:"next,omitempty"`
	}{Devices: []any{}}
	if q.Status == registry.Quarantined {
		if !c.Scope.IsAll() { // whose they will be nobody knows
			return devices.Errorf(devices.Forbidden, "status", "quarantined needs a proof for all fleets")
		}
		found, next, err := a.strangersOf(&q, values)
		if err != nil {
			return err
		}
		for _, s := range found {
			answer.Devices = append(answer.Devices, viewStranger(s))
		}
		answer.Next = next
		return writeValue(w, http.StatusOK, answer)
	}
	found, next, err := a.devicesOf(c, q, values)
	if err != nil {
		return err
	}
	for _, d := range found {
		answer.Devices = append(answer.Devices, a.viewDevice(d))
	}
	answer.Next = next
	return writeValue(w, http.StatusOK, answer)
}

func (a *API) strangersOf(q *registry.Query, values url.Values) ([]*registry.Stranger, string, error) {
	list, err := strangerListing.parse(values)
	if err != nil {
		return nil, "", err
	}
	all, _ := a.options.Registry.Strangers("", registry.DefaultMaxStrangers)
	all = slices.DeleteFunc(all, func(s *registry.Stranger) bool {
		isOther := func(f devices.FleetID) bool { return f.String() == s.Fleet }
		return len(q.Fleets) > 0 && !slices.ContainsFunc(q.Fleets, isOther)
	})
	page, next := strangerListing.page(&list, all)
	return page, next, nil
}

// devicesOf is a page of the devices that the caller may see. By id it costs a page; otherwise all that are asked for.
func (a *API) devicesOf(c *devices.Caller, q registry.Query, values url.Values) (found []*registry.Device, next string, err error) {
	list, err := deviceListing.parse(values)
	if err != nil {
		return nil, "", err
	}
	left := c.Scope.Narrow(q.Fleets)
	if left.IsEmpty() {
		return nil, "", nil
	}
	q.Fleets = left.Fleets()
	if !list.isSorted() {
		q.After, q.Limit = list.after, list.limit
		found, next = a.options.Registry.Devices(q)
		return found, next, nil
	}
	for q.Limit = registry.MaxPage; ; q.After = next {
		var page []*registry.Device
		page, next = a.options.Registry.Devices(q)
		if found = append(found, page...); next == "" {
			break
		}
	}
	list.search = "" // was looked for there
	found, next = deviceListing.page(&list, found)
	return found, next, nil
}
