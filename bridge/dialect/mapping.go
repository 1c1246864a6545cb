package dialect

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// Limits of mappings.
const (
	MaxMappings       = 256
	MaxMappingMetrics = devices.MaxMetrics
	maxPointerParts   = MaxTreeDepth
)

// A Node is a piece of the configuration, as the settings file has it: a text, a list, or a map.
type Node struct {
	Line    int
	Text    string
	List    []Node
	Members []Member
	Kind    NodeKind
}

// Member is a member of a map.
type Member struct {
	Key   string
	Line  int
	Value Node
}

// NodeKind is the type of a Node.
type NodeKind uint8

// The types of nodes.
const (
	TextNode NodeKind = iota
	ListNode
	MapNode
)

// A MappingError says what of a mapping cannot stand, and where.
type MappingError struct {
	Line   int
	Key    string // the path to it: mappings[0].speed.unit
	Detail string
}

// Error names the key.
func (e *MappingError) Error() string { return e.Key + ": " + e.Detail }

// A Mapping reads a JSON format without code: a template of topics, and where in the payload an asset's members are. It
// is made once, by ParseMappings, and may be shared.
type Mapping struct {
	name     string
	template string
	id       []string // levels of the topic that make the device's id, where device is nil
	device   pointer  // of the payload, where idInPayload
	inBody   bool     // the device is named in the payload
	pattern  []part   // else the device's id is this
	fleet    fleetRule
	fleetAt  pointer // of the payload, where fleetInBody
	fleetIn  bool
	kind     Kind // Rejected: it follows from what there is
	when     []condition
	each     pointer
	hasEach  bool
	time     *timeSource
	measures []measureSource
	metrics  []metricSource
	status   *statusSource
	rest     bool            // all other members are metrics
	used     map[string]bool // the names that rest would give to what is read already
}

// part is a piece of a device's id: text, or the level of that name.
type part struct{ text, level string }

// pointer is a JSON pointer (RFC 6901), taken apart.
type pointer []string

// name is what a metric of the value there would be called.
func (p pointer) name() string { return strings.Join(p, ".") }

// source is where a value comes from: the payload, or a constant.
type source struct {
	at       pointer
	fromRoot bool // not from the element that each is at
	constant *leaf
	unknown  []leaf
	factor   float64
	offset   float64
}

type condition struct {
	at     pointer
	equals []string
}

type timeSource struct {
	source
	read func(v *leaf) (int64, bool)
}

type measureSource struct {
	source
	field measureField
}

type metricSource struct {
	source
	name string
}

type statusSource struct {
	source
	online, offline []string
}

// ParseMappings reads the list of mappings of a settings file. An error is a *MappingError.
func ParseMappings(n Node) ([]Mapping, error) {
	p := &mappingParser{path: "mappings"}
	if n.Kind != ListNode {
		return nil, p.fail(n.Line, "is not a list of mappings")
	}
	if len(n.List) > MaxMappings {
		return nil, p.fail(n.Line, "has %d mappings; there are at most %d", len(n.List), MaxMappings)
	}
	out := make([]Mapping, 0, len(n.List))
	for i := range n.List {
		p.path = fmt.Sprintf("mappings[%d]", i)
		m, err := p.mapping(&n.List[i])
		if err != nil {
			return nil, err
		}
		out = append(out, *m)
	}
	return out, nil
}

// rows binds the mappings. They stand before the presets, so that of equal templates a person's own is asked first.
func mappingRows(mappings []Mapping) []boundRow {
	rows := make([]boundRow, 0, len(mappings))
	for i := range mappings {
		m := &mappings[i]
		rows = append(rows, boundRow{row: row{template: m.template, id: m.id, decode: m.decode, unnamed: len(m.id) == 0, status: m.onlyStatus()}, preset: mappingDialect, rule: m.name, fleet: m.fleet})
	}
	return rows
}

// onlyStatus tells whether the topics carry nothing but online and offline, which a broker may have kept.
func (m *Mapping) onlyStatus() bool {
	return m.status != nil && len(m.measures) == 0 && len(m.metrics) == 0 && !m.rest
}

// mappingDialect is the dialect of what a mapping read.
const mappingDialect = "mapping"

// mappingParser reads one mapping. path is the key that is being read.
type mappingParser struct {
	path     string
	template template
}

func (p *mappingParser) fail(line int, format string, args ...any) error {
	return &MappingError{Line: line, Key: p.path, Detail: fmt.Sprintf(format, args...)}
}

// within reads a member with the path that leads to it.
func (p *mappingParser) within(m *Member, read func(n *Node) error) error {
	before := p.path
	defer func() { p.path = before }()
	p.path += "." + m.Key
	return read(&m.Value)
}

// members calls the reader of each member of a map, once each.
func (p *mappingParser) members(n *Node, readers map[string]func(n *Node) error) error {
	if n.Kind != MapNode {
		return p.fail(n.Line, "is not a map")
	}
	seen := map[string]int{}
	for i := range n.Members {
		m := &n.Members[i]
		read := readers[m.Key]
		if read == nil {
			return p.within(m, func(*Node) error { return p.fail(m.Line, "there is no such key here") })
		}
		if line, twice := seen[m.Key]; twice {
			return p.within(m, func(*Node) error { return p.fail(m.Line, "stands on line %d already", line) })
		}
		seen[m.Key] = m.Line
		if err := p.within(m, read); err != nil {
			return err
		}
	}
	return nil
}

func (p *mappingParser) mapping(n *Node) (*Mapping, error) {
	m := &Mapping{}
	var device, fleet *Node
	readers := map[string]func(n *Node) error{
		"name":   func(n *Node) error { return p.text(n, &m.name) },
		"topic":  func(n *Node) error { return p.topic(n, m) },
		"device": func(n *Node) error { device = n; return nil },
		"fleet":  func(n *Node) error { fleet = n; return nil },
		"kind":   func(n *Node) error { return p.kind(n, m) },
		"when":   func(n *Node) error { return p.when(n, m) },
		"each":   func(n *Node) (err error) { m.each, err = p.pointer(n); m.hasEach = true; return err },
		"time":   func(n *Node) error { return p.time(n, m) },
		"status": func(n *Node) error { return p.status(n, m) },
		"metrics": func(n *Node) error {
			return p.metrics(n, m)
		},
		"rest": func(n *Node) (err error) {
			if m.rest, err = strconv.ParseBool(n.Text); n.Kind != TextNode || err != nil {
				return p.fail(n.Line, "is neither true nor false")
			}
			return nil
		},
	}
	for name, field := range measureFields {
		readers[name] = func(n *Node) error { return p.measure(n, m, field) }
	}
	if err := p.members(n, readers); err != nil {
		return nil, err
	}
	if m.template == "" {
		return nil, p.fail(n.Line, "has no topic")
	}
	if m.name == "" {
		m.name = m.template
	}
	// These two need the topic, wherever it stands.
	if err := p.whose(n, device, fleet, m); err != nil {
		return nil, err
	}
	if err := m.isWhole(); err != "" {
		return nil, p.fail(n.Line, "%s", err)
	}
	m.collectUsed()
	return m, nil
}

// isWhole says what is missing.
func (m *Mapping) isWhole() string {
	var lat, lon bool
	for i := range m.measures {
		lat, lon = lat || m.measures[i].field == latField, lon || m.measures[i].field == lonField
	}
	switch {
	case lat != lon:
		return "has one of lat and lon without the other"
	case len(m.measures) == 0 && len(m.metrics) == 0 && m.status == nil && !m.rest && m.kind == Rejected:
		return "says nothing about a device: no lat and lon, no metrics, no status"
	}
	return ""
}

func (m *Mapping) collectUsed() {
	m.used = map[string]bool{}
	add := func(s *source) {
		if len(s.at) > 0 && (!s.fromRoot || !m.hasEach) {
			m.used[s.at.name()] = true
		}
	}
	for i := range m.measures {
		add(&m.measures[i].source)
	}
	for i := range m.metrics {
		add(&m.metrics[i].source)
	}
	if m.time != nil {
		add(&m.time.source)
	}
	if m.status != nil {
		add(&m.status.source)
	}
	if m.inBody {
		m.used[m.device.name()] = true
	}
	if m.fleetIn {
		m.used[m.fleetAt.name()] = true
	}
}

func (p *mappingParser) text(n *Node, to *string) error {
	if n.Kind != TextNode || n.Text == "" {
		return p.fail(n.Line, "is not a text")
	}
	*to = n.Text
	return nil
}

func (p *mappingParser) topic(n *Node, m *Mapping) (err error) {
	if err := p.text(n, &m.template); err != nil {
		return err
	}
	if p.template, err = parseTemplate(n.Text); err != nil {
		return p.fail(n.Line, "%v", err)
	}
	return nil
}

func (p *mappingParser) kind(n *Node, m *Mapping) error {
	for _, kind := range []Kind{Event, Opaque, Command, Discovery} {
		if n.Kind == TextNode && n.Text == kind.String() {
			m.kind = kind
			return nil
		}
	}
	return p.fail(n.Line, "is none of event, opaque, command, discovery; what has a position or values needs none")
}

func (p *mappingParser) when(n *Node, m *Mapping) error {
	if n.Kind != MapNode {
		return p.fail(n.Line, "is not a map of pointers and what stands there")
	}
	for i := range n.Members {
		member := &n.Members[i]
		err := p.within(member, func(v *Node) error {
			at, err := p.pointer(&Node{Text: member.Key, Line: member.Line})
			if err != nil {
				return err
			}
			words, err := p.words(v)
			m.when = append(m.when, condition{at: at, equals: words})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
