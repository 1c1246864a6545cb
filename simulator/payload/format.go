package payload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/tracker"
)

// Device is what a format needs to know of who speaks.
type Device struct {
	Fleet string
	Name  string // as the simulator calls it
	Index int    // its number in the world

	ID     string // as the gateway calls it
	Topic  string // of fixes
	Status string // of online and offline; "" where the format has none
	Will   string // of the last will
}

// Message is what is written.
type Message struct {
	tracker.Fix

	// Stamp says that At is the instant at which the device meant to speak, and that the payload should say so: viewers
	// measure from it. Formats without a place for that leave it out.
	Stamp bool
}

// Format is one way to write a fix. It is immutable.
type Format struct {
	Name  string
	About string
	// Topic is the template of the topic, the one under which gateways look for the format unless they are told another, with {fleet}, {device} and {id}, the format's own number of a device; Status
	// and Will likewise, "" where there is none.
	Topic, Status, Will string
	// Retain says that fixes are retained, as that maker's are.
	Retain bool

	id     func(d *Device) string // its own number of a device; nil is the name
	known  string                 // template of the id by which a gateway knows the device
	append func(dst []byte, d *Device, m *Message) []byte
	will   func(dst []byte, unix int64) []byte // nil: offline
}

// formats are all that there are, the gateway's own first.
var formats = []*Format{
	&native, &ownTracks, &teltonika, &traccar, &geoJSON, &nmea, &senML, &homeAssistant, &shadow, &meshtastic, &chirpStack, &tts, &hfp,
}

// Names are the formats' names.
func Names() (names []string) {
	for _, f := range formats {
		names = append(names, f.Name)
	}
	return names
}

// ByName returns a format.
func ByName(name string) (*Format, error) {
	i := slices.IndexFunc(formats, func(f *Format) bool { return f.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("find format %q: there are %s", name, strings.Join(Names(), ", "))
	}
	return formats[i], nil
}

// WithTopic returns the format with another template for its topic.
func (f *Format) WithTopic(template string) *Format {
	other := *f
	other.Topic = template
	return &other
}

// Native is the gateway's own JSON, on its own topics.
func Native() *Format { return &native }

// Device returns a device that speaks this format.
func (f *Format) Device(fleet, name string, index int) Device {
	d := Device{Fleet: fleet, Name: name, Index: index}
	own := name
	if f.id != nil {
		own = f.id(&d)
	}
	fill := strings.NewReplacer("{fleet}", fleet, "{device}", name, "{id}", own)
	d.Topic, d.Status, d.Will = fill.Replace(f.Topic), fill.Replace(f.Status), fill.Replace(f.Will)
	d.ID = strings.ReplaceAll(fill.Replace(f.known), "/", ":") // a name that spans levels
	return d
}

// Append writes a fix of a device.
func (f *Format) Append(dst []byte, d *Device, m *Message) []byte { return f.append(dst, d, m) }

// AppendWill writes the last will of a connection that is made at a time in unix seconds.
func (f *Format) AppendWill(dst []byte, unix int64) []byte {
	if f.will != nil {
		return f.will(dst, unix)
	}
	return append(dst, "offline"...)
}

// Numbers are written as their makers write them: decimals that are fixed, no exponents.

func fixed(dst []byte, n float64, decimals int) []byte {
	return strconv.AppendFloat(dst, n, 'f', decimals, 64)
}

// member writes ,"name":number.
func member(dst []byte, name string, n float64, decimals int) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":`...)
	return fixed(dst, n, decimals)
}

// digits is a number of a device, of so many decimal digits, that begins with a prefix as its maker's do.
func digits(prefix string, index, length int) string {
	return fmt.Sprintf("%s%0*d", prefix, length-len(prefix), index)
}

const (
	kmh   = 3.6
	knots = 3600.0 / 1852
)
