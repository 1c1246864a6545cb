package bridge

import (
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// maxCleared bounds the cleared metrics that a device remembers, against a device that clears names without end. Past
// it the one cleared longest ago is forgotten.
const maxCleared = 16

// Bytes of a frame. fixedBytes is more than all members but the metrics take, without the texts of id and fleet; with a
// bound instead of the true length, whether a metric fits does not depend on the digits of a position.
const (
	fixedBytes       = 400
	numberBytes      = 25 // the longest number: -0.0000012345678901234567
	punctuationBytes = 2  // the colon and the comma of a metric
)

// metric is a value with its time. A cleared one has a Null value and keeps its time.
type metric struct {
	name  string
	value devices.Value
	at    int64
	// nameBytes is the length of the name in JSON, bytes that of the whole member: the exact one, or more where the
	// value is a number that was not written yet.
	nameBytes, bytes int
	exact            bool
}

func (m *metric) isHeld() bool { return m.value.Kind != devices.Null }

// mergeMetric takes a sane metric unless a newer one is held, which it tells with false.
func (s *state) mergeMetric(d *device, in *devices.Metric, at int64) bool {
	i, found := slices.BinarySearchFunc(d.metrics, in.Name, func(m metric, name string) int {
		return strings.Compare(m.name, name)
	})
	if found && at < d.metrics[i].at {
		return false
	}
	if in.Value.Kind == devices.Null {
		if !found {
			s.insertMetric(d, i, in.Name)
		}
		d.clearMetric(i, at)
		d.forgetCleared()
		return true
	}
	if !found || !d.metrics[i].isHeld() {
		if d.countMetrics() >= devices.MaxMetrics {
			s.counters.add(reasonMetricLimit)
			return true
		}
	}
	if !found {
		s.insertMetric(d, i, in.Name)
	}
	s.setMetric(d, i, in.Value, at)
	return true
}

func (s *state) setMetric(d *device, i int, v devices.Value, at int64) {
	m := &d.metrics[i]
	switch {
	case v.Kind != devices.Text:
		v.Text = ""
	case m.value.Kind == devices.Text && m.value.Text == v.Text:
		v = m.value
	default:
		v = devices.TextValue(strings.Clone(v.Text)) // the payload it was cut from must not live as long as the device
	}
	m.value, m.at = v, at
	s.measure(m)
	if s.fits(d) {
		return
	}
	// What held the name before is older than the truth, so the name goes rather than an old value stay.
	s.counters.add(reasonAssetBytes)
	d.clearMetric(i, at)
	d.forgetCleared()
}

// measure sets the bytes of a metric, without writing numbers.
func (s *state) measure(m *metric) {
	m.exact = true
	m.bytes = m.nameBytes + punctuationBytes
	switch m.value.Kind {
	case devices.Null:
		m.bytes = 0
	case devices.Text:
		m.bytes += s.jsonBytes(m.value.Text)
	case devices.Number:
		m.exact = false
		m.bytes += numberBytes
	default:
		m.bytes += len("false")
	}
}

// fits tells whether the asset keeps its limit of bytes. Whether it does depends on what is held only, not on when it
// is asked: numbers are written, to be measured exactly, where the quick bound is above the limit.
func (s *state) fits(d *device) bool {
	if d.metricBytes() <= d.room {
		return true
	}
	for i := range d.metrics {
		m := &d.metrics[i]
		if m.isHeld() && !m.exact {
			s.measureExactly(m)
		}
	}
	return d.metricBytes() <= d.room
}

// measureExactly lets the encoder of assets write the metric, so that there is one truth about the length of numbers.
func (s *state) measureExactly(m *metric) {
	empty := devices.Asset{}
	without := len(empty.AppendJSON(s.scratch[:0])) + len(`,"metrics":{}`)
	empty.Metrics = append(s.metrics[:0], devices.Metric{Name: m.name, Value: m.value})
	s.scratch = empty.AppendJSON(s.scratch[:0])
	m.bytes = len(s.scratch) - without + 1 // and a comma
	m.exact = true
}

// jsonBytes is the length of a text as JSON.
func (s *state) jsonBytes(text string) int {
	s.scratch = devices.AppendJSONString(s.scratch[:0], text)
	return len(s.scratch)
}

func (s *state) insertMetric(d *device, i int, name string) {
	name = strings.Clone(name)
	d.metrics = slices.Insert(d.metrics, i, metric{name: name, nameBytes: s.jsonBytes(name)})
}

func (d *device) clearMetric(i int, at int64) {
	m := &d.metrics[i]
	m.value, m.at, m.bytes, m.exact = devices.Value{}, at, 0, true
}

func (d *device) countMetrics() int {
	n := 0
	for i := range d.metrics {
		if d.metrics[i].isHeld() {
			n++
		}
	}
	return n
}

func (d *device) metricBytes() int {
	n := 0
	for i := range d.metrics {
		n += d.metrics[i].bytes
	}
	return n
}

// forgetCleared keeps the number of cleared metrics within its bound.
func (d *device) forgetCleared() {
	if len(d.metrics) <= maxCleared {
		return
	}
	cleared, oldest := 0, -1
	for i := range d.metrics {
		m := &d.metrics[i]
		if m.isHeld() {
			continue
		}
		cleared++
		if oldest < 0 || m.at < d.metrics[oldest].at {
			oldest = i
		}
	}
	if cleared > maxCleared {
		d.metrics = slices.Delete(d.metrics, oldest, oldest+1)
	}
}
