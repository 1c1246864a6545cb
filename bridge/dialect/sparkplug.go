package dialect

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/devices"
)

// Names of metrics that are about the session and not about the device. Source: Sparkplug 3.0, chapter 6.
const (
	bdSeqMetric     = "bdSeq"
	nodeControl     = "Node Control/"
	deviceControl   = "Device Control/"
	rebirthMetric   = "Node Control/Rebirth"
	sparkplugPrefix = "spBv1.0/"
)

// decodeSparkplug makes the decoder of one type of message. Source: Eclipse Sparkplug 3.0. A birth names a device's
// metrics and gives them aliases; data may hold the aliases alone. What cannot be read without a birth that we have not
// seen is left out, and the node is asked for a new one.
func decodeSparkplug(kind sparkKind) decoder {
	return func(in *input, out *Result) bool {
		p := &out.spark
		if reason := readSparkplug(in.payload, p); reason != None {
			return out.decline(reason)
		}
		// Section 6.4: every payload has its time, but a death, which was written when its session began, the session's number.
		hasNumber := false
		if kind == nodeDeath {
			_, hasNumber = p.bdSeq()
		}
		if len(in.payload) == 0 {
			return out.decline(Empty)
		}
		if p.at == 0 && !hasNumber {
			return out.decline(Declined)
		}
		m := sparkMessage{in: in, out: out, payload: p, group: in.level("group"), node: in.level("node"), device: in.level("device")}
		in.router.sparkplug.apply(kind, &m)
		clear(p.metrics) // they point into the payload
		return true
	}
}

type sparkKind uint8

const (
	nodeBirth sparkKind = iota
	nodeData
	nodeDeath
	deviceBirth
	deviceData
	deviceDeath
)

// sparkMessage is a payload with what its topic said.
type sparkMessage struct {
	in                  *input
	out                 *Result
	payload             *sparkPayload
	group, node, device string // device is "" for the node itself
}

// readings makes a reading of the metrics of each time, history apart, in the order of time.
func (m *sparkMessage) readings(kind Kind, d *sparkDevice) {
	metrics := m.payload.metrics
	for i := range metrics {
		if metrics[i].at == 0 {
			metrics[i].at = m.payload.at
		}
	}
	slices.SortStableFunc(metrics, func(a, b sparkMetric) int {
		if order := cmp.Compare(a.at, b.at); order != 0 || a.historical == b.historical {
			return order
		}
		if a.historical {
			return -1
		}
		return 1
	})
	for i := 0; i < len(metrics); {
		first := i
		for i < len(metrics) && metrics[i].at == metrics[first].at && metrics[i].historical == metrics[first].historical {
			i++
		}
		if m.out.full() {
			m.out.Dropped += len(metrics) - first
			return
		}
		m.reading(kind, d, metrics[first:i])
	}
	if len(metrics) == 0 && kind == Birth {
		m.out.begin(m.in).reading.At = m.payload.at
		m.out.endAs(m.in, Birth)
	}
}

func (m *sparkMessage) reading(kind Kind, d *sparkDevice, metrics []sparkMetric) {
	c := m.out.begin(m.in)
	c.reading.At, c.reading.Historical = metrics[0].at, metrics[0].historical
	for i := range metrics {
		metric := &metrics[i]
		name := string(metric.name)
		switch {
		case !metric.has || name == bdSeqMetric || strings.HasPrefix(name, nodeControl) || strings.HasPrefix(name, deviceControl):
		case !utf8.Valid(metric.name) || metric.value.kind == devices.Text && !utf8.Valid(metric.value.text) || len(c.reading.Metrics) >= maxReadingMetrics:
			c.dropped++
		case isCoordinate(name, "latitude"):
			d.half(&d.lat, metric)
			c.lat, c.lon = d.lat, d.lon
		case isCoordinate(name, "longitude"):
			d.half(&d.lon, metric)
			c.lat, c.lon = d.lat, d.lon
		default:
			c.metric(metric.name, &metric.value)
		}
	}
	if (c.lat.state == absent) != (c.lon.state == absent) { // the other half has not been said yet
		c.lat, c.lon = coordinate{}, coordinate{}
	}
	if kind == Birth {
		m.out.endAs(m.in, Birth)
		return
	}
	m.out.end(m.in)
}

// isCoordinate tells whether the last part of a metric's name is that word: there is no standard name of a position, and
// this is what most use.
func isCoordinate(name, word string) bool {
	return strings.EqualFold(name[strings.LastIndexByte(name, '/')+1:], word)
}

// half remembers a half of a position: a node reports what changed, and a ship that sails north says no longitude.
func (d *sparkDevice) half(to *coordinate, m *sparkMetric) {
	if n, ok := m.value.numeric(); ok {
		*to = coordinate{given, n}
	}
}

// status adds a status of the node, or of the device that the name adds to it.
func (m *sparkMessage) status(device string, status devices.Status) {
	kept := m.in.device
	defer func() { m.in.device = kept }()
	names := []string{m.group, m.node}
	if device != "" {
		names = append(names, device)
	}
	id, err := devices.JoinDeviceID(names...)
	if err != nil {
		m.out.Dropped++
		return
	}
	m.in.device = id
	m.out.addStatus(m.in, status).At = m.payload.at
}

// decodeSparkplugState reads the state of a host application, which is no device: JSON, or a word in older versions.
func decodeSparkplugState(in *input, out *Result) bool {
	if !in.nameDeviceText("host:" + in.level("host")) {
		return out.reject(BadDevice)
	}
	switch word := bytes.TrimSpace(in.payload); string(word) {
	case "ONLINE":
		out.addStatus(in, devices.Online).Aside = true
		return out.named(Presence)
	case "OFFLINE":
		out.addStatus(in, devices.Offline).Aside = true
		return out.named(Presence)
	}
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	online := root.get("online")
	if !online.is(boolNode) {
		return out.decline(BadStatus)
	}
	status := devices.Offline
	if online.isTrue() {
		status = devices.Online
	}
	m := out.addStatus(in, status)
	l := root.get("timestamp").leaf()
	m.At, _ = l.unixMillis()
	m.Aside = true
	return out.named(Presence)
}
