package dialect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// Options configure a Router.
type Options struct {
	// OwnTracksFleet is the fleet of OwnTracks devices, whose topics name none. The zero value stands for "owntracks".
	OwnTracksFleet devices.FleetID
}

// Router knows which decoder reads a topic. All methods may be called concurrently.
type Router struct {
	rows  []boundRow // the most specific first
	names *interner
	texts *interner
}

type boundRow struct {
	row
	template template
}

// New returns a router for every format that is understood. It starts nothing.
func New(o Options) (*Router, error) {
	if o.OwnTracksFleet.IsZero() {
		fleet, err := devices.ParseFleetID("owntracks")
		if err != nil {
			return nil, fmt.Errorf("name owntracks fleet: %w", err)
		}
		o.OwnTracksFleet = fleet
	}
	return newRouter(table(o))
}

func newRouter(rows []row) (*Router, error) {
	r := &Router{names: newInterner(), texts: newInterner()}
	for _, each := range rows {
		t, err := parseTemplate(each.template)
		if err != nil {
			return nil, err
		}
		if len(each.id) == 0 {
			each.id = []string{"device"}
		}
		r.rows = append(r.rows, boundRow{each, t})
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

// Route is what a topic says: whose it is and who reads its payloads. It is made once a topic and may be kept and
// shared; it shares the memory of the topic that it was made from.
type Route struct {
	router     *Router
	candidates []candidate
}

type candidate struct {
	device devices.DeviceID
	fleet  devices.FleetID
	named  bool // the topic itself names the fleet
	tail   string
	decode decoder
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
	c := candidate{fleet: b.fleet, decode: b.decode}
	c.tail, _ = b.template.capture(captures, "kind")
	if name, ok := b.template.capture(captures, "fleet"); ok {
		fleet, err := devices.ParseFleetID(name)
		if err != nil {
			return candidate{}, false
		}
		c.fleet, c.named = fleet, true
	}
	levels := make([]string, len(b.id))
	for i, name := range b.id {
		levels[i], _ = b.template.capture(captures, name)
		if i < len(b.id)-1 && strings.Contains(levels[i], ":") {
			// ann:x/phone and ann/x:phone would be one device; only the last level may hold the joint.
			return candidate{}, false
		}
	}
	device, err := devices.JoinDeviceID(levels...)
	if err != nil {
		return candidate{}, false
	}
	c.device = device
	return c, true
}

// Device is the device that the topic names.
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
	*in = input{payload: payload, names: r.router.names, texts: r.router.texts}
	defer func() { in.payload = nil }()
	for i := range r.candidates {
		c := &r.candidates[i]
		in.device, in.fleet, in.tail = c.device, c.fleet, c.tail
		if c.decode(in, out) {
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
