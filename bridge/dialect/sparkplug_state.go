package dialect

import (
	"strings"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// Limits of what is remembered of Sparkplug nodes. Beyond them data is read as far as it names its metrics.
const (
	MaxSparkplugNodes   = 4096
	MaxSparkplugDevices = 1024    // of a node
	MaxSparkplugAliases = 250_000 // of all nodes; some 30 MB
	// rebirthEvery is how often a node is asked to introduce itself again, at most.
	rebirthEvery = time.Minute
)

// Request is a message that a format wants sent back. The door publishes it at QoS 0, not retained, where it has a way to
// the device: to the external broker, or to the client. Where it has none it counts it.
type Request struct {
	Topic   string
	Payload []byte
}

// SparkplugStats is a reading of the counters of Sparkplug's sessions. Nodes and Aliases are what is held now.
type SparkplugStats struct {
	Nodes          int    `json:"nodes"`
	Aliases        int    `json:"aliases"`
	Births         uint64 `json:"births"`
	StaleDeaths    uint64 `json:"stale_deaths"`    // of a session before the present one: they say nothing
	UnknownAliases uint64 `json:"unknown_aliases"` // metrics left out for want of a birth
	SequenceGaps   uint64 `json:"sequence_gaps"`
	Rebirths       uint64 `json:"rebirths"`      // requests made
	RebirthsHeld   uint64 `json:"rebirths_held"` // requests not made, since the last is less than a minute ago
	Refused        uint64 `json:"refused"`       // nodes, devices and aliases above the limits
}

// sparkplug is what is known of the sessions of Sparkplug nodes. A session is the door's: with several doors that share a
// subscription each sees a part of a node's messages, so doors for Sparkplug must not share (see deploy/docs/limits.md).
type sparkplug struct {
	now func() time.Time

	mu    sync.Mutex
	nodes map[string]*sparkNode // guarded by mu, as are the nodes
	stats SparkplugStats        // guarded by mu
}

type sparkNode struct {
	born    bool
	bdSeq   uint64
	hasBD   bool
	seq     uint64
	aliases map[uint64]sparkAlias
	devices map[string]*sparkDevice // "" is the node itself
	asked   time.Time
}

type sparkAlias struct {
	device   string
	name     string
	datatype uint64
}

type sparkDevice struct {
	online   bool
	lat, lon coordinate
}

// SparkplugStats returns the counters of Sparkplug's sessions.
func (r *Router) SparkplugStats() SparkplugStats {
	s := &r.sparkplug
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Nodes = len(s.nodes)
	return stats
}

// apply takes a message into its node's session and makes its readings.
func (s *sparkplug) apply(kind sparkKind, m *sparkMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.node(m.group + "/" + m.node)
	switch kind {
	case nodeBirth:
		s.nodeBirth(n, m)
	case nodeDeath:
		s.nodeDeath(n, m)
	case deviceDeath:
		m.out.Kind = Presence
		s.follow(n, m)
		s.device(n, m.device).online = false
		m.status(m.device, devices.Offline)
	case deviceBirth:
		s.follow(n, m)
		s.learn(n, m)
		s.birth(n, m)
	case nodeData, deviceData:
		m.out.Kind = Telemetry
		s.follow(n, m)
		s.resolve(n, m)
		m.readings(Telemetry, s.device(n, m.device))
	}
}

// node returns what is known of a node. One for which there is no place is forgotten after the message.
func (s *sparkplug) node(name string) *sparkNode {
	if n := s.nodes[name]; n != nil {
		return n
	}
	n := &sparkNode{aliases: map[uint64]sparkAlias{}, devices: map[string]*sparkDevice{}}
	if len(s.nodes) >= MaxSparkplugNodes && !s.evict() {
		s.stats.Refused++
		n.asked = s.now() // who cannot be remembered is not asked again and again
		return n
	}
	if s.nodes == nil {
		s.nodes = map[string]*sparkNode{}
	}
	s.nodes[strings.Clone(name)] = n
	return n
}

// evictTries bounds the search for a node that is gone.
const evictTries = 32

func (s *sparkplug) evict() bool {
	tries := 0
	for name, n := range s.nodes {
		if !n.born {
			s.stats.Aliases -= len(n.aliases)
			delete(s.nodes, name)
			return true
		}
		if tries++; tries >= evictTries {
			break
		}
	}
	return false
}

func (s *sparkplug) device(n *sparkNode, name string) *sparkDevice {
	if d := n.devices[name]; d != nil {
		return d
	}
	d := new(sparkDevice)
	if len(n.devices) >= MaxSparkplugDevices {
		s.stats.Refused++
		return d
	}
	n.devices[strings.Clone(name)] = d
	return d
}

func (s *sparkplug) nodeBirth(n *sparkNode, m *sparkMessage) {
	s.stats.Births++
	s.forget(n)
	n.born, n.seq = true, m.payload.seq
	n.bdSeq, n.hasBD = m.payload.bdSeq()
	s.learn(n, m)
	s.birth(n, m)
}

func (s *sparkplug) birth(n *sparkNode, m *sparkMessage) {
	d := s.device(n, m.device)
	d.online = true
	m.out.Kind = Birth
	m.readings(Birth, d)
	m.status(m.device, devices.Online)
}

// nodeDeath ends a session, if it is the present one: the broker may deliver the death of a connection after the birth of
// the next. Without a birth there is nothing to compare, and the node is gone.
func (s *sparkplug) nodeDeath(n *sparkNode, m *sparkMessage) {
	m.out.Kind = Presence
	if bdSeq, ok := m.payload.bdSeq(); n.born && n.hasBD && (!ok || bdSeq != n.bdSeq) {
		s.stats.StaleDeaths++
		return
	}
	m.status("", devices.Offline)
	for name, d := range n.devices {
		if d.online && name != "" {
			m.status(name, devices.Offline)
		}
		d.online = false
	}
	s.forget(n)
	n.born = false
}

// forget drops what the births of a session said.
func (s *sparkplug) forget(n *sparkNode) {
	s.stats.Aliases -= len(n.aliases)
	clear(n.aliases)
}

// bdSeq is the number of the session that a birth or a death of a node is of.
func (p *sparkPayload) bdSeq() (uint64, bool) {
	for i := range p.metrics {
		if metric := &p.metrics[i]; string(metric.name) == bdSeqMetric && metric.whole {
			return uint64(metric.value.num), true
		}
	}
	return 0, false
}

// follow holds a message to the one before it: seq counts up to 255 and begins again at 0.
func (s *sparkplug) follow(n *sparkNode, m *sparkMessage) {
	switch expected := (n.seq + 1) & 0xff; {
	case !n.born:
		s.ask(n, m)
	case m.payload.hasSeq && m.payload.seq != expected:
		s.stats.SequenceGaps++
		s.ask(n, m)
	}
	n.seq = m.payload.seq
}

// learn notes the aliases of a birth.
func (s *sparkplug) learn(n *sparkNode, m *sparkMessage) {
	for i := range m.payload.metrics {
		metric := &m.payload.metrics[i]
		if !metric.hasAlias || len(metric.name) == 0 {
			continue
		}
		if _, known := n.aliases[metric.alias]; !known {
			if s.stats.Aliases >= MaxSparkplugAliases || len(metric.name) > devices.MaxMetricNameBytes {
				s.stats.Refused++
				continue
			}
			s.stats.Aliases++
		}
		n.aliases[metric.alias] = sparkAlias{device: strings.Clone(m.device), name: string(metric.name), datatype: metric.datatype}
	}
}

// resolve gives the metrics of a message their names and types.
func (s *sparkplug) resolve(n *sparkNode, m *sparkMessage) {
	unknown := false
	for i := range m.payload.metrics {
		metric := &m.payload.metrics[i]
		if len(metric.name) > 0 || !metric.hasAlias {
			continue
		}
		known, ok := n.aliases[metric.alias]
		if !ok || known.device != m.device {
			s.stats.UnknownAliases++
			m.out.Dropped++
			metric.has, unknown = false, true
			continue
		}
		metric.name = []byte(known.name)
		if metric.datatype == 0 {
			metric.datatype = known.datatype
			metric.sign()
		}
	}
	if unknown {
		s.ask(n, m)
	}
}

// ask requests a new birth, at most once a minute.
func (s *sparkplug) ask(n *sparkNode, m *sparkMessage) {
	now := s.now()
	if !n.asked.IsZero() && now.Sub(n.asked) < rebirthEvery {
		s.stats.RebirthsHeld++
		return
	}
	n.asked = now
	s.stats.Rebirths++
	m.out.Requests = append(m.out.Requests, Request{
		Topic: sparkplugPrefix + m.group + "/NCMD/" + m.node, Payload: rebirthRequest(now),
	})
}
