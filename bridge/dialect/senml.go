package dialect

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/fleetcast/fleetcast/devices"
)

// maxSenMLRecords bounds the records of a pack.
const maxSenMLRecords = MaxReadings

// senmlRecord is one record as it stands, in either form. Source: RFC 8428, sections 4 and 6 (the labels).
type senmlRecord struct {
	BaseName  *string  `cbor:"-2,keyasint"`
	BaseTime  *float64 `cbor:"-3,keyasint"`
	BaseUnit  *string  `cbor:"-4,keyasint"`
	BaseValue *float64 `cbor:"-5,keyasint"`
	Version   *float64 `cbor:"-1,keyasint"`
	Name      *string  `cbor:"0,keyasint"`
	Unit      *string  `cbor:"1,keyasint"`
	Value     *float64 `cbor:"2,keyasint"`
	Text      *string  `cbor:"3,keyasint"`
	Bool      *bool    `cbor:"4,keyasint"`
	Time      *float64 `cbor:"6,keyasint"`
}

// newestSenML is the version that we read. RFC 8428 section 4.4: a pack of a later one is not to be understood.
const newestSenML = 10

// senmlCBOR bounds what is read: the nesting of a pack is two, the labels are thirteen. The library checks that the whole
// is well-formed before it takes memory for a length.
var senmlCBOR = func() cbor.DecMode {
	mode, err := cbor.DecOptions{MaxNestedLevels: 8, MaxArrayElements: maxSenMLRecords, MaxMapPairs: 64}.DecMode()
	if err != nil {
		panic(err) // constants: the tests cannot pass
	}
	return mode
}()

// decodeSenML reads SenML packs in JSON and CBOR. Source: RFC 8428. The base name is the device's, the name the metric's;
// without a base name the device is the topic's, or the name itself where it is a URN. A pack may hold many devices and
// times; records of one device and one time are one reading. Units tell what is an asset's: lat, lon, m, m/s, deg, %EL.
func decodeSenML(in *input, out *Result) bool {
	if len(in.payload) == 0 {
		return out.decline(Empty)
	}
	var records []senmlRecord
	var reason Reason
	if in.payload[0]&0xe0 == 0x80 { // RFC 8949 section 3: an array; no JSON begins so
		records, reason = out.senmlFromCBOR(in)
	} else {
		records, reason = out.senmlFromJSON(in)
	}
	switch {
	case reason == TooManyMembers:
		return out.reject(reason)
	case reason != None:
		return out.decline(reason)
	case len(records) == 0:
		return out.decline(Declined)
	}
	values, reason := out.resolve(in, records)
	if reason != None {
		return out.reject(reason)
	}
	out.senmlReadings(in, values)
	return true
}

func (r *Result) senmlFromCBOR(in *input) ([]senmlRecord, Reason) {
	var records []senmlRecord
	err := senmlCBOR.Unmarshal(in.payload, &records)
	if wrongType, ok := errors.AsType[*cbor.UnmarshalTypeError](err); ok && wrongType != nil {
		r.Dropped++ // a value of a type that we have no use for; the others were read
		err = nil
	}
	if tooMany, ok := errors.AsType[*cbor.MaxArrayElementsError](err); ok && tooMany != nil {
		return nil, TooManyMembers
	}
	if err != nil {
		return nil, BadSyntax
	}
	return records, None
}

func (r *Result) senmlFromJSON(in *input) ([]senmlRecord, Reason) {
	root, reason := r.document(in)
	if reason != None {
		return nil, reason
	}
	if !root.is(arrayNode) {
		return nil, NotObject
	}
	var records []senmlRecord
	for v := root.first(); v.exists(); v = v.next() {
		if len(records) >= maxSenMLRecords {
			return nil, TooManyMembers
		}
		if !v.is(objectNode) {
			return nil, Declined
		}
		record := senmlRecord{
			BaseName: textOf(v.get("bn")), BaseTime: numberOf(v.get("bt")), BaseUnit: textOf(v.get("bu")), BaseValue: numberOf(v.get("bv")),
			Version: numberOf(v.get("bver")), Name: textOf(v.get("n")), Unit: textOf(v.get("u")), Value: numberOf(v.get("v")),
			Text: textOf(v.get("vs")), Time: numberOf(v.get("t")),
		}
		if b := v.get("vb"); b.is(boolNode) {
			is := b.isTrue()
			record.Bool = &is
		}
		records = append(records, record)
	}
	return records, None
}

func textOf(v value) *string {
	if !v.is(textNode) {
		return nil
	}
	s := string(v.text())
	return &s
}

func numberOf(v value) *float64 {
	if !v.is(numberNode) {
		return nil
	}
	n, ok := v.number()
	if !ok {
		return nil
	}
	return &n
}

// senmlValue is a record with all that the ones before it say for it.
type senmlValue struct {
	device devices.DeviceID
	metric string
	unit   string
	at     int64
	leaf   leaf
}

// relativeTime bounds the times that count from now. RFC 8428 section 4.5.3.
const relativeTime = 1 << 28

func (r *Result) resolve(in *input, records []senmlRecord) ([]senmlValue, Reason) {
	values := make([]senmlValue, 0, len(records))
	var base senmlRecord
	for i := range records {
		record := &records[i]
		override(&base.BaseName, record.BaseName)
		override(&base.BaseTime, record.BaseTime)
		override(&base.BaseUnit, record.BaseUnit)
		override(&base.BaseValue, record.BaseValue)
		if record.Version != nil && *record.Version > newestSenML {
			return nil, Declined
		}
		v := senmlValue{unit: or(record.Unit, or(base.BaseUnit, "")), at: in.senmlTime(or(base.BaseTime, 0) + or(record.Time, 0))}
		switch {
		case record.Value != nil:
			v.leaf = leaf{kind: devices.Number, num: or(base.BaseValue, 0) + *record.Value}
			if math.IsNaN(v.leaf.num) || math.IsInf(v.leaf.num, 0) { // CBOR has words for them
				r.Dropped++
				continue
			}
		case record.Text != nil:
			v.leaf = leaf{kind: devices.Text, text: []byte(*record.Text)}
		case record.Bool != nil:
			v.leaf = leaf{kind: devices.Bool}
			if *record.Bool {
				v.leaf.num = 1
			}
		default: // a sum, data, or base fields alone
			continue
		}
		var ok bool
		if v.device, v.metric, ok = in.senmlName(or(base.BaseName, ""), or(record.Name, "")); !ok {
			return nil, BadDevice
		}
		values = append(values, v)
	}
	return values, None
}

func override[T any](to **T, from *T) {
	if from != nil {
		*to = from
	}
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// senmlName tells whose a record is, and what it is called.
func (in *input) senmlName(base, name string) (devices.DeviceID, string, bool) {
	owner := strings.TrimRight(base, ":/-_.")
	switch {
	case owner == "" && strings.HasPrefix(name, "urn:"):
		owner, name = name, ""
	case owner == "":
		return in.device, name, true
	}
	device, err := devices.JoinDeviceID(strings.Split(owner, "/")...)
	return device, name, err == nil
}

// senmlTime makes unix ms of seconds, which count from now where they are few; 0 stands for now.
func (in *input) senmlTime(seconds float64) int64 {
	switch {
	case seconds == 0 || math.IsNaN(seconds) || math.Abs(seconds) > mostMillis/1000:
		return 0
	case seconds < relativeTime:
		return max(in.now().UnixMilli()+int64(math.Round(seconds*1000)), 1)
	}
	return int64(math.Round(seconds * 1000))
}

func (r *Result) senmlReadings(in *input, values []senmlValue) {
	slices.SortStableFunc(values, func(a, b senmlValue) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.device.String(), b.device.String()))
	})
	for i := range values {
		v := &values[i]
		first := i == 0 || values[i-1].at != v.at || values[i-1].device != v.device
		if first {
			in.device = v.device
			r.begin(in).reading.At = v.at
		}
		r.build.senml(v)
		if i == len(values)-1 || values[i+1].at != v.at || values[i+1].device != v.device {
			r.end(in)
		}
	}
	if len(r.Messages) == 0 {
		r.named(Telemetry)
	}
}

// senmlNames are metrics of records that have a unit and no name.
var senmlNames = map[string]string{
	"Cel": "temperature", "%RH": "humidity", "V": "voltage", "A": "current", "W": "power", "Pa": "pressure", "lx": "illuminance", "": "value",
}

// senml stores a value by its unit. Source: RFC 8428 section 12.1 and RFC 8798. Metres and degrees are an asset's only
// where the name does not say that they are something else.
func (c *collector) senml(v *senmlValue) {
	r := c.reading
	named := func(names ...string) bool { return v.metric == "" || slices.Contains(names, v.metric) }
	measured := v.leaf.kind == devices.Number
	switch {
	case measured && v.unit == "lat":
		c.coordinate(&c.lat, &v.leaf)
	case measured && v.unit == "lon":
		c.coordinate(&c.lon, &v.leaf)
	case measured && v.unit == "%EL":
		c.measure(devices.FieldBattery, &r.Battery, &v.leaf)
	case measured && v.unit == "m" && named("alt", "altitude"):
		c.measure(devices.FieldAltitude, &r.Altitude, &v.leaf)
	case measured && v.unit == "m/s" && named("speed", "velocity"):
		c.measure(devices.FieldSpeed, &r.Speed, &v.leaf)
	case measured && v.unit == "km/h" && named("speed", "velocity"):
		c.set(devices.FieldSpeed, &r.Speed, v.leaf.num*mpsPerKMH)
	case measured && v.unit == "deg" && named("heading", "course"):
		c.measure(devices.FieldHeading, &r.Heading, &v.leaf)
	default:
		name := v.metric
		if name == "" {
			if name = senmlNames[v.unit]; name == "" {
				name = v.unit
			}
		}
		c.metric([]byte(strings.ReplaceAll(name, "/", ".")), &v.leaf)
	}
}
