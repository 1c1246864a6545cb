package registry

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// directory is the records of this package as of a revision, in memory. Its methods may be called concurrently; only
// the goroutine of Run applies.
type directory struct {
	mu          sync.RWMutex // guards what follows
	loaded      bool
	revision    store.Revision
	devices     map[devices.DeviceID]*Device
	fleets      map[devices.FleetID]*Fleet
	credentials map[string]*Credential
	strangers   map[devices.DeviceID]*Stranger
	counts      map[devices.FleetID]int // of devices
	ids         []string                // of the devices, sorted: what lists are paged by
	unreadable  int                     // records that could not be read
	feeds       map[*Feed]struct{}

	settings atomic.Uint64 // counts the changes of fleets; read at the rate of messages
}

func newDirectory() *directory {
	d := &directory{feeds: map[*Feed]struct{}{}}
	d.clear()
	return d
}

func (d *directory) clear() {
	d.devices, d.fleets = map[devices.DeviceID]*Device{}, map[devices.FleetID]*Fleet{}
	d.credentials, d.strangers = map[string]*Credential{}, map[devices.DeviceID]*Stranger{}
	d.counts, d.ids, d.unreadable = map[devices.FleetID]int{}, nil, 0
}

// news is what an update changed, for those who follow.
type news struct {
	devices  map[devices.DeviceID]bool // true: it was deleted, whether or not it is there again
	fleets   map[devices.FleetID]struct{}
	accounts map[string]struct{} // whose principal may be another now
	all      bool                // the first snapshot: anything may have changed
}

func newNews() news {
	return news{devices: map[devices.DeviceID]bool{}, fleets: map[devices.FleetID]struct{}{}, accounts: map[string]struct{}{}}
}

// apply takes an update of the store's change log and tells the followers.
func (d *directory) apply(u store.Update) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := newNews()
	n.all = !d.loaded
	if u.Snapshot {
		d.applySnapshot(&u, &n)
	} else {
		var added []string
		gone := false
		for i := range u.Records {
			d.applyRecord(&u.Records[i], &n, &added, &gone)
		}
		d.sortIDs(added, gone)
	}
	d.loaded, d.revision = true, u.Revision
	for f := range d.feeds {
		f.offer(&n)
	}
}

// applySnapshot replaces everything. What differs from before is news, so that a path that was cut costs followers no
// more than what changed meanwhile.
func (d *directory) applySnapshot(u *store.Update, n *news) {
	there := make(map[string]struct{}, len(u.Records))
	for i := range u.Records {
		there[keyOf(u.Records[i].Kind, u.Records[i].ID)] = struct{}{}
	}
	var missing []store.Record
	miss := func(kind store.Kind, id string) {
		if _, ok := there[keyOf(kind, id)]; !ok {
			missing = append(missing, store.Record{Kind: kind, ID: id})
		}
	}
	for id := range d.devices {
		miss(KindDevice, id.String())
	}
	for id := range d.fleets {
		miss(KindFleet, id.String())
	}
	for name := range d.credentials {
		miss(KindCredential, name)
	}
	for id := range d.strangers {
		miss(KindStranger, id.String())
	}
	d.unreadable = 0
	var added []string
	gone := false
	for i := range missing {
		d.applyRecord(&missing[i], n, &added, &gone)
	}
	for i := range u.Records {
		d.applyRecord(&u.Records[i], n, &added, &gone)
	}
	d.sortIDs(added, gone)
}

func (d *directory) applyRecord(r *store.Record, n *news, added *[]string, gone *bool) {
	switch r.Kind {
	case KindDevice:
		d.applyDevice(r, n, added, gone)
	case KindFleet:
		d.applyFleet(r, n)
	case KindCredential:
		d.applyCredential(r, n)
	case KindStranger:
		d.applyStranger(r)
	}
}

// decode reads the value of a record; a record that another version wrote badly is as good as none.
func decode[T any](d *directory, r *store.Record, check func(*T) bool) *T {
	if r.Value == nil {
		return nil
	}
	v := new(T)
	if err := json.Unmarshal(r.Value, v); err != nil || !check(v) {
		d.unreadable++
		return nil
	}
	return v
}

func (d *directory) applyDevice(r *store.Record, n *news, added *[]string, gone *bool) {
	id, err := devices.ParseDeviceID(r.ID)
	if err != nil {
		d.unreadable++
		return
	}
	before := d.devices[id]
	after := decode(d, r, func(v *Device) bool { return v.ID == id && !v.Fleet.IsZero() })
	switch {
	case before == nil && after == nil:
		return
	case after == nil:
		delete(d.devices, id)
		*gone = true
	default:
		after.Revision = r.Revision
		d.devices[id] = after
		if before == nil {
			*added = append(*added, r.ID)
		}
	}
	d.count(before, -1)
	d.count(after, 1)
	if before != nil && after != nil && before.equal(after) && before.Created == after.Created {
		return
	}
	deleted := before != nil && (after == nil || before.Created != after.Created)
	n.devices[id] = n.devices[id] || deleted
	if before == nil && after.Auto {
		return // it was let in as what it is now, or nobody was asked
	}
	if before == nil || after == nil || before.Fleet != after.Fleet || before.Status != after.Status || !before.Limits.equal(after.Limits) {
		n.accounts[accountOf(ForDevice, r.ID)] = struct{}{}
	}
}

func (d *directory) count(v *Device, by int) {
	if v == nil {
		return
	}
	if d.counts[v.Fleet] += by; d.counts[v.Fleet] == 0 {
		delete(d.counts, v.Fleet)
	}
}

func (d *directory) applyFleet(r *store.Record, n *news) {
	id, err := devices.ParseFleetID(r.ID)
	if err != nil {
		d.unreadable++
		return
	}
	before := d.fleets[id]
	after := decode(d, r, func(v *Fleet) bool { return v.ID == id })
	if before == nil && after == nil {
		return
	}
	if before.equal(after) {
		after.Revision = r.Revision
		d.fleets[id] = after
		return
	}
	n.fleets[id] = struct{}{}
	defer d.settings.Add(1)
	if after == nil {
		delete(d.fleets, id)
	} else {
		after.Revision = r.Revision
		d.fleets[id] = after
	}
	if d.counts[id] > 0 && !limitsOf(before).equal(limitsOf(after)) {
		n.all = true // the rates of all its devices
	}
}

func limitsOf(f *Fleet) *Limits {
	if f == nil {
		return nil
	}
	return f.Limits
}

func (d *directory) applyCredential(r *store.Record, n *news) {
	before := d.credentials[r.ID]
	after := decode(d, r, func(v *Credential) bool { return v.Name == r.ID })
	if after == nil {
		delete(d.credentials, r.ID)
	} else {
		after.Revision = r.Revision
		d.credentials[r.ID] = after
		if before.equal(after) {
			return
		}
		n.accounts[accountOf(after.Kind, r.ID)] = struct{}{}
	}
	if before != nil {
		n.accounts[accountOf(before.Kind, r.ID)] = struct{}{}
	}
}

func (d *directory) applyStranger(r *store.Record) {
	id, err := devices.ParseDeviceID(r.ID)
	if err != nil {
		d.unreadable++
		return
	}
	if after := decode(d, r, func(v *Stranger) bool { return v.ID == id }); after != nil {
		after.Revision = r.Revision
		d.strangers[id] = after
	} else {
		delete(d.strangers, id)
	}
}

// sortIDs keeps the list of ids: once an update, so that an import does not move it for every device.
func (d *directory) sortIDs(added []string, gone bool) {
	if gone {
		d.ids = slices.DeleteFunc(d.ids, func(id string) bool {
			parsed, err := devices.ParseDeviceID(id)
			return err != nil || d.devices[parsed] == nil
		})
	}
	if len(added) == 0 {
		return
	}
	slices.Sort(added)
	if n := len(d.ids); n == 0 || strings.Compare(d.ids[n-1], added[0]) < 0 {
		d.ids = append(d.ids, added...)
		return
	}
	merged := make([]string, 0, len(d.ids)+len(added))
	i, j := 0, 0
	for i < len(d.ids) && j < len(added) {
		if d.ids[i] < added[j] {
			merged = append(merged, d.ids[i])
			i++
		} else {
			merged = append(merged, added[j])
			j++
		}
	}
	d.ids = append(append(merged, d.ids[i:]...), added[j:]...)
}

func (l *Limits) equal(o *Limits) bool {
	if l == nil || o == nil {
		return l == o
	}
	return *l == *o
}

// accountOf is the stable name of who stands behind a credential, unique over the kinds.
func accountOf(kind CredentialKind, name string) string { return string(kind) + "/" + name }
