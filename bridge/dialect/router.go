package dialect

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// Options configure a Router.
type Options struct {
	// OwnTracksFleet is the fleet of OwnTracks devices, whose topics name none. The zero value stands for "owntracks".
	OwnTracksFleet devices.FleetID
	// Presets are the formats that are understood; none stands for DefaultPresets.
	Presets []PresetChoice
	// Anywhere also tries formats on topics that are nobody's, where their topics are everybody's own choice: for people who
	// look what a message is.
	Anywhere bool
	// Mappings are read before the presets.
	Mappings []Mapping
	// Now is the clock, for formats that tell times relative to it. Nil: the system's.
	Now func() time.Time
}

// Router knows which decoder reads a topic. All methods may be called concurrently.
type Router struct {
	rows  []boundRow // the most specific first
	names *interner
	texts *interner
	now   func() time.Time

	sparkplug sparkplug
	taken     map[string]*atomic.Uint64 // by dialect: see Taken. The map is not changed
}

type boundRow struct {
	row
	preset   string
	rule     string // what people know it by; "" is the template
	fleet    fleetRule
	template template
	taken    *atomic.Uint64 // the router's, of its preset
}

// New returns a router. It starts nothing. An error is a devices.Error of kind Invalid that names what of the options is
// wrong.
func New(o Options) (*Router, error) {
	rows, err := o.rows()
	if err != nil {
		return nil, err
	}
	r, err := newRouter(append(mappingRows(o.Mappings), rows...))
	if err == nil && o.Now != nil {
		r.now, r.sparkplug.now = o.Now, o.Now
	}
	return r, err
}

func newRouter(rows []boundRow) (*Router, error) {
	r := &Router{names: newInterner(), texts: newInterner(), now: time.Now, taken: map[string]*atomic.Uint64{}}
	r.sparkplug.now = time.Now
	for _, each := range rows {
		t, err := parseTemplate(each.row.template)
		if err != nil {
			return nil, err
		}
		each.template = t
		if len(each.id) == 0 && !each.unnamed && t.has("device") {
			each.id = []string{"device"}
		}
		if each.fleet.level != "" && !t.has(each.fleet.level) {
			return nil, devices.Errorf(devices.Invalid, "fleet", "{%s} is no level of %s", each.fleet.level, t.text)
		}
		if r.taken[each.preset] == nil {
			r.taken[each.preset] = new(atomic.Uint64)
		}
		each.taken = r.taken[each.preset]
		r.rows = append(r.rows, each)
	}
	slices.SortStableFunc(r.rows, func(a, b boundRow) int {
		switch {
		case a.template.moreSpecific(&b.template):
			return -1
		case b.template.moreSpecific(&a.template):
			return 1
		}
		return 0
	})
	return r, nil
}

// Taken are the messages that each dialect took, those that it then rejected included; every dialect that is turned on is
// there. A dialect is a preset's name, or "mapping" for what people wrote themselves.
func (r *Router) Taken() map[string]uint64 {
	out := make(map[string]uint64, len(r.taken))
	for dialect, n := range r.taken {
		out[dialect] = n.Load()
	}
	return out
}

// Route is what a topic says: whose it is and who reads its payloads. It is made once a topic and may be kept and
// shared; it shares the memory of the topic that it was made from.
type Route struct {
	router     *Router
	candidates []candidate
}

type candidate struct {
	row      *boundRow
	device   devices.DeviceID
	fleet    devices.FleetID
	captures []string
}

// Route finds the route of a topic. The reason is not None where there is none. Give it a topic that may be kept, not
// one that lies in a packet.
func (r *Router) Route(topic string) (*Route, Reason) {
	if topic == "" || len(topic) > MaxTopicBytes || strings.Count(topic, "/") >= MaxTopicLevels {
		return nil, BadTopic
	}
	route, reason := &Route{router: r}, UnknownTopic
	for i := range r.rows {
		captures, ok := r.rows[i].template.match(topic)
		if !ok {
			continue
		}
		c, ok := r.rows[i].bind(captures)
		if !ok {
			reason = BadName
			continue
		}
		route.candidates = append(route.candidates, c)
	}
	if len(route.candidates) == 0 {
		return nil, reason
	}
	return route, None
}

// bind turns the captures of a topic into ids. It tells whether they are valid ones.
func (b *boundRow) bind(captures []string) (candidate, bool) {
	c := candidate{row: b, captures: captures}
	fleet, ok := b.fleet.of(&b.template, captures)
	if !ok {
		return candidate{}, false
	}
	c.fleet = fleet
	if len(b.id) == 0 { // the payload says whose it is
		return c, true
	}
	levels := make([]string, 0, len(b.id))
	for i, name := range b.id {
		level, _ := b.template.capture(captures, name)
		spread := b.template.isRest(name)
		if strings.Contains(level, ":") && (spread || i < len(b.id)-1) {
			// ann:x/phone and ann/x:phone would be one device; only the last of a fixed number of levels may hold the joint.
			return candidate{}, false
		}
		if spread {
			levels = append(levels, strings.Split(level, "/")...)
		} else {
			levels = append(levels, level)
		}
	}
	device, err := devices.JoinDeviceID(levels...)
	if err != nil {
		return candidate{}, false
	}
	c.device = device
	return c, true
}

// Device is the device that the topic names; zero where it names none and the payload does.
func (r *Route) Device() devices.DeviceID { return r.candidates[0].device }

// Fleet is the fleet that the topic names.
func (r *Route) Fleet() devices.FleetID { return r.candidates[0].fleet }

// Decode reads a payload that came on the route's topic into out, whose earlier content is gone. It may be called
// concurrently, each goroutine with a Result of its own. It keeps nothing of the payload.
func (r *Route) Decode(payload []byte, out *Result) {
	out.reset()
	if len(payload) > MaxPayloadBytes {
		out.reject(TooLarge)
		return
	}
	in := &out.in // not on the stack: the decoder is known only at run time, so it would be allocated
	*in = input{payload: payload, names: r.router.names, texts: r.router.texts, router: r.router}
	defer func() {
		if recover() != nil { // one payload must not cost the others' connection
			out.reject(Panicked)
		}
		out.forget()
	}()
	r.decode(in, out)
}

func (r *Route) decode(in *input, out *Result) {
	for i := range r.candidates {
		c := &r.candidates[i]
		in.device, in.fleet, in.topic = c.device, c.fleet, c
		if c.row.decode(in, out) {
			out.taker = c.row
			c.row.taken.Add(1)
			if out.speaksOf(c.device) {
				out.Device, out.Fleet = c.device, c.fleet
			}
			if out.Kind != Rejected {
				out.Reason = None // of one that declined before
			}
			return
		}
	}
	if out.Reason == None {
		out.Reason = Declined
	}
}
