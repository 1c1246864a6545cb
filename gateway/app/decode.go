package app

import (
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/bridge"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
)

// Decoding says what a message becomes, and why: what `gateway decode` and POST /api/decode answer.
type Decoding struct {
	Rule    string `json:"rule"`    // the mapping's name, or the template of the topic; "" where nothing took it
	Dialect string `json:"dialect"` // the preset, or "mapping"
	Kind    string `json:"kind"`
	Reason  string `json:"reason,omitempty"` // why it is rejected
	// Device and Fleet are those of the topic.
	Device string `json:"device,omitempty"`
	Fleet  string `json:"fleet,omitempty"`
	// Dropped counts the members that were left out of a message that was taken.
	Dropped int `json:"dropped"`
	// Hygiene is what the bridge would do, a line for each reading that changes an asset.
	Hygiene []Judgement `json:"hygiene"`
	// Readings are the payload's own times and values, in the asset's units.
	Readings []DecodedReading `json:"readings"`
	// Requests are the topics of messages that the format wants sent back.
	Requests []string `json:"requests,omitempty"`
}

// Judgement is what the bridge does with a reading of a device of which it knows nothing yet but this payload.
type Judgement struct {
	Reading int `json:"reading"` // its place in readings
	bridge.Verdict
}

// DecodedReading is what a message says about one device. What it does not say is absent; null deletes.
type DecodedReading struct {
	Device     string         `json:"device"`
	Fleet      string         `json:"fleet"`
	Status     string         `json:"status,omitempty"`
	At         int64          `json:"at,omitempty"` // unix ms, as the device claims
	Lat        *float64       `json:"lat,omitempty"`
	Lon        *float64       `json:"lon,omitempty"`
	Altitude   *float64       `json:"altitude,omitempty"`
	Speed      *float64       `json:"speed,omitempty"`
	Heading    *float64       `json:"heading,omitempty"`
	Accuracy   *float64       `json:"accuracy,omitempty"`
	Battery    *float64       `json:"battery,omitempty"`
	Historical bool           `json:"historical,omitempty"`
	Cleared    []string       `json:"cleared,omitempty"`
	Metrics    map[string]any `json:"metrics,omitempty"`
}

// Decode says what a message becomes with every preset on, and own mappings before them. Each call is alone: it knows
// nothing of the calls before. received is the time of its receipt; settings say what of a fleet's readings is believed, and
// may be nil for the defaults.
func (o *Options) Decode(topic string, payload []byte, received time.Time, settings func(devices.FleetID) *devices.HygieneSettings) (Decoding, error) {
	router, err := dialect.New(dialect.Options{
		OwnTracksFleet: o.Fleet.OwnTracksFleet, Presets: o.everyPreset(), Mappings: o.Dialects.Mappings, Anywhere: true,
		Now: func() time.Time { return received },
	})
	if err != nil {
		return Decoding{}, fmt.Errorf("build dialects: %w", err)
	}
	d := Decoding{Kind: rejected, Hygiene: []Judgement{}, Readings: []DecodedReading{}}
	route, reason := router.Route(topic)
	if route == nil {
		d.Reason = reason.String()
		return d, nil
	}
	var result dialect.Result
	route.Decode(payload, &result)
	d.Rule, d.Dialect, d.Dropped = result.Rule(), result.Dialect(), result.Dropped
	if result.Kind == dialect.Rejected {
		if !route.Device().IsZero() {
			d.Device, d.Fleet = route.Device().String(), route.Fleet().String()
		}
		d.Reason = result.Reason.String()
		return d, nil
	}
	d.Kind, d.Device, d.Fleet = result.Kind.String(), result.Device.String(), result.Fleet.String()
	if settings == nil {
		settings = func(devices.FleetID) *devices.HygieneSettings { return nil }
	}
	d.judge(&result, received.UnixMilli(), settings)
	for i := range result.Requests {
		d.Requests = append(d.Requests, result.Requests[i].Topic)
	}
	return d, nil
}

// rejected is the kind of what is not understood.
const rejected = "reject"

// everyPreset is all of them, with the fleets that were chosen.
func (o *Options) everyPreset() []dialect.PresetChoice {
	all := dialect.AllPresets()
	for i := range all {
		for _, chosen := range o.Dialects.Presets {
			if chosen.Name == all[i].Name {
				all[i] = chosen
			}
		}
	}
	return all
}

func (d *Decoding) judge(result *dialect.Result, received int64, settings func(devices.FleetID) *devices.HygieneSettings) {
	pasts := map[devices.DeviceID]*bridge.Past{}
	for i := range result.Messages {
		m := &result.Messages[i]
		d.Readings = append(d.Readings, decodedReading(m))
		kept := m.Keep()
		if kept == nil {
			continue
		}
		past := pasts[m.Device]
		if past == nil {
			past = new(bridge.Past)
			pasts[m.Device] = past
		}
		d.Hygiene = append(d.Hygiene, Judgement{Reading: i, Verdict: bridge.Judge(past, kept, settings(m.Fleet), received)})
	}
}

func decodedReading(m *dialect.Message) DecodedReading {
	out := DecodedReading{Device: m.Device.String(), Fleet: m.Fleet.String(), At: m.At}
	if m.Reading == nil {
		out.Status = m.Status.String()
		out.Metrics = map[string]any{"online": m.Status == devices.Online}
		return out
	}
	r := m.Reading
	out.At, out.Historical = r.At, r.Historical
	for _, f := range []struct {
		field devices.Fields
		name  string
		to    **float64
		value float64
	}{
		{devices.FieldPosition, "lat", &out.Lat, r.Lat},
		{devices.FieldPosition, "lon", &out.Lon, r.Lon},
		{devices.FieldAltitude, "altitude", &out.Altitude, r.Altitude},
		{devices.FieldSpeed, "speed", &out.Speed, r.Speed},
		{devices.FieldHeading, "heading", &out.Heading, r.Heading},
		{devices.FieldAccuracy, "accuracy", &out.Accuracy, r.Accuracy},
		{devices.FieldBattery, "battery", &out.Battery, r.Battery},
	} {
		switch {
		case r.Has.Has(f.field):
			value := f.value
			*f.to = &value
		case r.Cleared.Has(f.field):
			out.Cleared = append(out.Cleared, f.name)
		}
	}
	for i := range r.Metrics {
		if out.Metrics == nil {
			out.Metrics = make(map[string]any, len(r.Metrics))
		}
		out.Metrics[r.Metrics[i].Name] = plain(&r.Metrics[i].Value)
	}
	return out
}

func plain(v *devices.Value) any {
	switch v.Kind {
	case devices.Number:
		return v.Num
	case devices.Text:
		return v.Text
	case devices.Bool:
		return v.IsTrue()
	case devices.Null:
	}
	return nil
}
