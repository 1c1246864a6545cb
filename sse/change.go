package sse

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/hub"
)

// Filter is what a stream shows, as JSON says it: in a change of the view, and in what is sent over WebSocket. A member
// that is absent stands for what the stream was opened with, and null for no such filter.
type Filter struct {
	BBox    json.RawMessage `json:"bbox,omitempty"`
	Fleets  json.RawMessage `json:"fleets,omitempty"`
	Devices json.RawMessage `json:"devices,omitempty"`
	Fields  json.RawMessage `json:"fields,omitempty"`
	Every   json.RawMessage `json:"every,omitempty"`
}

// change is a Filter with its number.
type change struct {
	Seq *uint64 `json:"seq"`
	Filter
}

// DecodeStrict reads one JSON value whose members are all known. Its error is Invalid.
func DecodeStrict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			return devices.Errorf(devices.Invalid, "body", "is more than one JSON value")
		}
		return nil
	}
	if told, ok := errors.AsType[*devices.Error](err); ok {
		return told
	}
	return &devices.Error{Kind: devices.Invalid, Field: "body", Detail: "is not the JSON object that is read here: a member is unknown, of another type or not well formed", Err: err}
}

// Query is the filter alone, within the scope.
func (f *Filter) Query(scope devices.Scope) (hub.Query, error) { return f.over(hub.Query{}, scope) }

// over is the query that the filter makes of base, within the scope.
func (f *Filter) over(base hub.Query, scope devices.Scope) (hub.Query, error) {
	q := base
	for _, read := range [...]func(*hub.Query) error{f.fleets, f.devices, f.bbox, f.fields, f.every} {
		if err := read(&q); err != nil {
			return hub.Query{}, err
		}
	}
	err := narrow(&q, scope)
	return q, err
}

// list reads a list of names; it is not empty, since to the hub none is all.
func list[T any](raw json.RawMessage, name string, most int, into *[]T) error {
	if raw == nil {
		return nil
	}
	var l []T
	if err := json.Unmarshal(raw, &l); err != nil {
		if told, ok := errors.AsType[*devices.Error](err); ok {
			return told
		}
		return devices.Errorf(devices.Invalid, name, "is no list of names")
	}
	switch {
	case l != nil && len(l) == 0:
		return devices.Errorf(devices.Invalid, name, "is empty; leave it out, or say null for all")
	case len(l) > most:
		return devices.Errorf(devices.Invalid, name, "has more than %d names", most)
	}
	*into = l
	return nil
}

func (f *Filter) fleets(q *hub.Query) error { return list(f.Fleets, "fleets", MaxFleets, &q.Fleets) }

func (f *Filter) devices(q *hub.Query) error {
	return list(f.Devices, "devices", MaxDevices, &q.Devices)
}

func (f *Filter) fields(q *hub.Query) (err error) {
	var names []string
	if err = list(f.Fields, "fields", maxFields, &names); err == nil && f.Fields != nil {
		q.Fields, err = devices.ParseProjection(names)
	}
	return err
}

func (f *Filter) bbox(q *hub.Query) (err error) {
	if f.BBox == nil {
		return nil
	}
	var text string
	if json.Unmarshal(f.BBox, &text) == nil && f.BBox[0] == '"' { // as the query of a stream has it
		q.BBox, err = devices.ParseBBox(text)
		return err
	}
	var edges []float64
	if json.Unmarshal(f.BBox, &edges) != nil || edges != nil && len(edges) != 4 {
		return devices.Errorf(devices.Invalid, "bbox", "is not [west,south,east,north]")
	}
	q.BBox = devices.BBox{}
	if edges != nil {
		q.BBox, err = devices.NewBBox(edges[0], edges[1], edges[2], edges[3])
	}
	return err
}

func (f *Filter) every(q *hub.Query) error {
	if f.Every == nil {
		return nil
	}
	var ms *uint32
	if json.Unmarshal(f.Every, &ms) != nil {
		return wrongEvery()
	}
	q.Every = 0
	if ms == nil {
		return nil
	}
	if q.Every = time.Duration(*ms) * time.Millisecond; q.Every < MinEvery || q.Every > MaxEvery {
		return wrongEvery()
	}
	return nil
}

func wrongEvery() error {
	return devices.Errorf(devices.Invalid, "every", "is no whole number of milliseconds from %d to %d", MinEvery.Milliseconds(), MaxEvery.Milliseconds())
}

// narrow leaves of a query what the scope may see. A filter of which nothing is left is refused rather than empty: to the
// hub, no fleet is every fleet.
func narrow(q *hub.Query, scope devices.Scope) error {
	left := scope.Narrow(q.Fleets)
	if left.IsEmpty() {
		return devices.Errorf(devices.Forbidden, "", "none of these fleets is yours to see")
	}
	if !left.IsAll() {
		q.Fleets = left.Fleets()
	}
	return nil
}
