package dialect

import (
	"strings"
)

// whose reads the device and the fleet: a pointer into the payload, or a text with levels of the topic.
func (p *mappingParser) whose(mapping, device, fleet *Node, m *Mapping) error {
	before := p.path
	defer func() { p.path = before }()
	p.path = before + ".device"
	switch {
	case device == nil && p.template.has("device"):
		m.id = []string{"device"}
	case device == nil:
		return p.fail(mapping.Line, "is missing, and the topic has no level {device}")
	case device.Kind == TextNode && strings.HasPrefix(device.Text, "/"):
		at, err := p.pointer(device)
		if err != nil {
			return err
		}
		m.device, m.inBody = at, true
	default:
		if err := p.pattern(device, m); err != nil {
			return err
		}
	}
	p.path = before + ".fleet"
	rule := mappingDialect
	switch {
	case fleet == nil:
		if p.template.has(fleetLevel) {
			rule = "{" + fleetLevel + "}"
		}
	case fleet.Kind == TextNode && strings.HasPrefix(fleet.Text, "/"):
		at, err := p.pointer(fleet)
		if err != nil {
			return err
		}
		m.fleetAt, m.fleetIn = at, true
	default:
		if err := p.text(fleet, &rule); err != nil {
			return err
		}
	}
	var err error
	if m.fleet, err = parseFleetRule(rule); err != nil {
		return p.fail(fleet.Line, "%v", err)
	}
	m.fleet.any = m.fleetIn
	if m.fleet.level != "" && !p.template.has(m.fleet.level) {
		return p.fail(fleet.Line, "{%s} is no level of the topic", m.fleet.level)
	}
	return nil
}

// pattern reads a device's id that is made of levels. One that is nothing but levels joined by ':' is the router's own
// way, which rules of access can read backwards; any other is made here.
func (p *mappingParser) pattern(n *Node, m *Mapping) error {
	var text string
	if err := p.text(n, &text); err != nil {
		return err
	}
	var levels []string
	plain := true
	for i := 0; text != ""; i++ {
		before, rest, found := strings.Cut(text, "{")
		if before != "" {
			m.pattern = append(m.pattern, part{text: before})
			plain = plain && before == ":" && i > 0 && found
		}
		if !found {
			break
		}
		level, after, closed := strings.Cut(rest, "}")
		if !closed || !p.template.has(level) {
			return p.fail(n.Line, "{%s} is no level of the topic", level)
		}
		plain = plain && (i == 0) == (before == "")
		m.pattern = append(m.pattern, part{level: level})
		levels = append(levels, level)
		text = after
	}
	if plain && len(levels) > 0 {
		m.id, m.pattern = levels, nil
	}
	return nil
}

// words reads a text or a list of texts.
func (p *mappingParser) words(n *Node) ([]string, error) {
	switch n.Kind {
	case TextNode:
		return []string{n.Text}, nil
	case ListNode:
		words := make([]string, len(n.List))
		for i := range n.List {
			if n.List[i].Kind != TextNode {
				return nil, p.fail(n.List[i].Line, "is not a list of texts")
			}
			words[i] = n.List[i].Text
		}
		return words, nil
	case MapNode:
	}
	return nil, p.fail(n.Line, "is neither a text nor a list of texts")
}

// pointer reads a JSON pointer. Source: RFC 6901.
func (p *mappingParser) pointer(n *Node) (pointer, error) {
	if n.Kind != TextNode || !strings.HasPrefix(n.Text, "/") {
		return nil, p.fail(n.Line, "is not a JSON pointer, such as /location/lat")
	}
	parts := strings.Split(n.Text[1:], "/")
	if len(parts) > maxPointerParts {
		return nil, p.fail(n.Line, "is deeper than %d", maxPointerParts)
	}
	for i, part := range parts {
		for rest := part; ; {
			at := strings.IndexByte(rest, '~')
			if at < 0 {
				break
			}
			if at+1 >= len(rest) || rest[at+1] != '0' && rest[at+1] != '1' {
				return nil, p.fail(n.Line, "has a ~ that is neither ~0 nor ~1")
			}
			rest = rest[at+2:]
		}
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
	}
	return parts, nil
}
