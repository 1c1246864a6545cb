package sse

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/hub"
)

// Bounds of a stream's query.
const (
	// MaxFleets and MaxDevices bound the filter. Each name costs an entry in the hub's index for as long as the stream is
	// open, and a filter of ten thousand ids is an attack or a mistake: a fleet is the unit of subscription.
	MaxFleets  = 100
	MaxDevices = 1000
	// MinEvery and MaxEvery bound the view's own tick.
	MinEvery = 100 * time.Millisecond
	MaxEvery = 60 * time.Second
	// MaxLastEventID bounds the position that a client brings, in bytes. What is longer is not one of ours; the client
	// gets a snapshot.
	MaxLastEventID = 4 << 10
	// maxFields bounds the list of members, which has far fewer names than that.
	maxFields = 512
	// maxBBox bounds the text of four numbers.
	maxBBox = 256
)

// request is a stream that was asked for.
type request struct {
	query       hub.Query
	format      hub.Format
	lastEventID string
	coding      *coding // how the format is packed; nil for not at all
	caller      *devices.Caller
	watch       func(end func()) (unwatch func())
}

// parseRequest reads what r asks for. Its error is a devices.Error of kind Invalid with the parameter's name.
//
// Nothing about the position is ever an error: any answer but 200 ends an EventSource for good (WHATWG 9.2.3), and the
// browser repeats a position that the page never saw. The header wins over the query, where a client that had to open a
// new EventSource puts the position: the browser's own reconnection repeats that URL with an ever older one in it.
func parseRequest(r *http.Request) (request, error) {
	req, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return request{}, err
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" { // WHATWG 9.2.4
		req.lastEventID = id
	}
	if len(req.lastEventID) > MaxLastEventID {
		req.lastEventID = ""
	}
	return req, nil
}

// parser collects one query; seen holds the single-valued parameters that it met.
type parser struct {
	request
	seen map[string]bool
}

func parseQuery(raw string) (request, error) {
	p := parser{request: request{format: Plain}, seen: make(map[string]bool, 4)}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return request{}, devices.Errorf(devices.Invalid, "query", "has a name that is not well encoded")
		}
		if err := p.parameter(name, value); err != nil {
			return request{}, err
		}
	}
	return p.request, nil
}

func (p *parser) parameter(name, escaped string) error {
	value, err := url.QueryUnescape(escaped)
	switch {
	case name == "last_event_id":
		p.lastEventID = value // "" where it is not well encoded: garbage is a snapshot
	case err != nil:
		return devices.Errorf(devices.Invalid, name, "is not well encoded")
	}
	switch name {
	case "ticket": // was looked at by who admits
		return nil
	case "fleet":
		return p.fleet(value)
	case "device":
		return p.device(value)
	case "bbox", "fields", "every", "format", "last_event_id":
		if p.seen[name] {
			return devices.Errorf(devices.Invalid, name, "is given more than once")
		}
		p.seen[name] = true
		return p.single(name, value)
	}
	return devices.Errorf(devices.Invalid, name, "is no parameter of this stream; there are fleet, device, bbox, fields, every, format, last_event_id")
}

func (p *parser) single(name, value string) error {
	switch name {
	case "bbox":
		return p.bbox(value)
	case "fields":
		return p.fields(value)
	case "every":
		return p.every(value)
	case "format":
		return p.formatName(value)
	}
	return nil
}

// The ids of a view live as long as the view: they must not hold on to the memory of the request that they are cut from.

func (p *parser) fleet(value string) error {
	if len(p.query.Fleets) == MaxFleets {
		return devices.Errorf(devices.Invalid, "fleet", "is given more than %d times", MaxFleets)
	}
	id, err := devices.ParseFleetID(strings.Clone(value))
	if err != nil {
		return err
	}
	p.query.Fleets = append(p.query.Fleets, id)
	return nil
}

func (p *parser) device(value string) error {
	if len(p.query.Devices) == MaxDevices {
		return devices.Errorf(devices.Invalid, "device", "is given more than %d times", MaxDevices)
	}
	id, err := devices.ParseDeviceID(strings.Clone(value))
	if err != nil {
		return err
	}
	p.query.Devices = append(p.query.Devices, id)
	return nil
}

func (p *parser) bbox(value string) (err error) {
	if len(value) > maxBBox {
		return devices.Errorf(devices.Invalid, "bbox", "is longer than %d bytes", maxBBox)
	}
	p.query.BBox, err = devices.ParseBBox(value)
	return err
}

func (p *parser) fields(value string) (err error) {
	if len(value) > maxFields {
		return devices.Errorf(devices.Invalid, "fields", "is longer than %d bytes", maxFields)
	}
	p.query.Fields, err = devices.ParseProjection(strings.Split(value, ","))
	return err
}

func (p *parser) every(value string) error {
	ms, err := strconv.ParseUint(value, 10, 32)
	d := time.Duration(ms) * time.Millisecond
	if err != nil || d < MinEvery || d > MaxEvery {
		return devices.Errorf(devices.Invalid, "every", "is no whole number of milliseconds from %d to %d", MinEvery.Milliseconds(), MaxEvery.Milliseconds())
	}
	p.query.Every = d
	return nil
}

func (p *parser) formatName(value string) error {
	switch value {
	case "sse":
		p.format = Plain
	case "batch":
		p.format = Batch
	default:
		return devices.Errorf(devices.Invalid, "format", "is none of sse, batch")
	}
	return nil
}
