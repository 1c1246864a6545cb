package dialect

import (
	"iter"

	"github.com/fleetcast/fleetcast/devices"
)

// Limits of a document that is read as a tree. They are wider than the scanner's, since platforms wrap what a device
// said in much of their own, and buffered uploads hold hundreds of fixes.
const (
	MaxTreeDepth = 16
	MaxTreeNodes = 8192 // values of any type; a node is 48 bytes, and the tree is used again
)

type nodeKind uint8

const (
	nullNode nodeKind = iota
	numberNode
	textNode
	boolNode
	objectNode
	arrayNode
)

// span is a piece of the payload, or, from len(payload) on, of the unescaped texts.
type span struct{ from, to int32 }

type node struct {
	kind  nodeKind
	num   float64
	key   span  // of a member of an object
	text  span  // of a text
	first int32 // child, or 0: the root is nobody's child
	next  int32 // sibling, or 0
}

// document is a JSON text (RFC 8259) as a tree, for formats that are too deep or have too many arrays for the scanner's
// flat leaves. Its memory is used again, so that decoding allocates nothing once it has grown. It accepts the same
// subset as the scanner.
type document struct {
	lex   *scanner
	data  []byte
	extra []byte
	nodes []node
}

// value is a place in a document, or nowhere: then every question has the answer of an absent member.
type value struct {
	doc *document
	at  int32 // the node's index plus one; 0 is nowhere
}

// parse reads the text. Its root is an object or an array.
func (d *document) parse(lex *scanner, data []byte) (value, Reason) {
	if reason := refuse(data); reason != None {
		return value{}, reason
	}
	d.lex, d.data, d.extra, d.nodes = lex, data, d.extra[:0], d.nodes[:0]
	lex.data, lex.pos = data, 0
	reason := d.root()
	lex.data = nil
	if reason != None {
		return value{}, reason
	}
	return value{d, 1}, None
}

// forget lets go of the payload.
func (d *document) forget() {
	d.data = nil
	if cap(d.nodes) > maxKeptNodes { // one large upload must not stay in the memory of every goroutine
		d.nodes, d.extra = nil, nil
	}
}

// maxKeptNodes is what a common message of a platform stays below.
const maxKeptNodes = 1024

func (d *document) root() Reason {
	switch c := d.lex.peek(); {
	case c == '{' || c == '[':
	case d.lex.pos == len(d.data):
		return Empty
	case c == '"' || c == '-' || isDigit(c) || c == 't' || c == 'f' || c == 'n':
		return NotObject
	default:
		return BadSyntax
	}
	if _, reason := d.read(1); reason != None {
		return reason
	}
	if d.lex.peek(); d.lex.pos != len(d.data) {
		return Trailing
	}
	return None
}

// read appends the value at the present position and returns its index.
func (d *document) read(depth int) (int32, Reason) {
	if len(d.nodes) >= MaxTreeNodes {
		return 0, TooManyMembers
	}
	at := int32(len(d.nodes))
	d.nodes = append(d.nodes, node{})
	switch d.lex.peek() {
	case '{':
		return at, d.container(at, depth, objectNode, '}')
	case '[':
		return at, d.container(at, depth, arrayNode, ']')
	case '"':
		text, reason := d.text()
		d.nodes[at] = node{kind: textNode, text: text}
		return at, reason
	}
	var v leaf
	reason := d.lex.scalar(&v)
	n := &d.nodes[at]
	n.num = v.num
	switch v.kind {
	case devices.Number:
		n.kind = numberNode
	case devices.Bool:
		n.kind = boolNode
	case devices.Null, devices.Text:
		n.kind = nullNode
	}
	return at, reason
}

func (d *document) container(at int32, depth int, kind nodeKind, end byte) Reason {
	if depth > MaxTreeDepth {
		return TooDeep
	}
	d.nodes[at].kind = kind
	d.lex.pos++
	if d.lex.peek() == end {
		d.lex.pos++
		return None
	}
	last := int32(0)
	for {
		child, reason := d.child(depth, kind)
		if reason != None {
			return reason
		}
		if last == 0 {
			d.nodes[at].first = child
		} else {
			d.nodes[last].next = child
		}
		last = child
		switch d.lex.peek() {
		case ',':
			d.lex.pos++
		case end:
			d.lex.pos++
			return None
		default:
			return d.lex.unexpected()
		}
	}
}

func (d *document) child(depth int, kind nodeKind) (int32, Reason) {
	if kind == arrayNode {
		return d.read(depth + 1)
	}
	if d.lex.peek() != '"' {
		return 0, d.lex.unexpected()
	}
	key, reason := d.text()
	if reason != None {
		return 0, reason
	}
	if d.lex.peek() != ':' {
		return 0, d.lex.unexpected()
	}
	d.lex.pos++
	child, reason := d.read(depth + 1)
	if reason == None {
		d.nodes[child].key = key
	}
	return child, reason
}

// text reads the string whose quote is at the present position.
func (d *document) text() (span, Reason) {
	start, end, escaped, reason := d.lex.str()
	if reason != None {
		return span{}, reason
	}
	if !escaped {
		return span{int32(start), int32(end)}, None
	}
	if d.extra == nil {
		d.extra = make([]byte, 0, 1024)
	}
	from := len(d.extra)
	// Unescaped it is never longer, so all texts together fit what a payload may be.
	if need := from + end - start; need > cap(d.extra) {
		d.extra = append(make([]byte, 0, 2*need), d.extra...)
	}
	out, _ := unescape(d.extra, d.data[start:end])
	d.extra = out
	base := len(d.data)
	return span{int32(base + from), int32(base + len(out))}, None
}

func (d *document) bytes(s span) []byte {
	if base := int32(len(d.data)); s.from >= base {
		return d.extra[s.from-base : s.to-base]
	}
	return d.data[s.from:s.to]
}

func (v value) node() *node { return &v.doc.nodes[v.at-1] }

// exists tells whether there is such a member, if only null.
func (v value) exists() bool { return v.at != 0 }

func (v value) is(kind nodeKind) bool { return v.at != 0 && v.node().kind == kind }

// get returns the member at the end of the path. Of duplicates the last counts, as in most readers of JSON.
func (v value) get(path ...string) value {
	for _, name := range path {
		v = v.member(name)
	}
	return v
}

func (v value) member(name string) (found value) {
	if !v.is(objectNode) {
		return value{}
	}
	for c := v.first(); c.exists(); c = c.next() {
		if string(c.key()) == name {
			found = c
		}
	}
	return found
}

// first returns the first element of an array or member of an object.
func (v value) first() value {
	if v.at == 0 || v.node().first == 0 {
		return value{}
	}
	return value{v.doc, v.node().first + 1}
}

// next returns what stands behind it in the same array or object.
func (v value) next() value {
	if v.at == 0 || v.node().next == 0 {
		return value{}
	}
	return value{v.doc, v.node().next + 1}
}

// elements are those of an array, or the value itself where it is none.
func (v value) elements() iter.Seq[value] {
	return func(yield func(value) bool) {
		if !v.is(arrayNode) {
			yield(v)
			return
		}
		for e := v.first(); e.exists() && yield(e); e = e.next() {
		}
	}
}

// index returns an element of an array.
func (v value) index(n int) value {
	if !v.is(arrayNode) {
		return value{}
	}
	v = v.first()
	for ; n > 0 && v.exists(); n-- {
		v = v.next()
	}
	return v
}

// key is the member's name. It is the payload's memory, as is a text.
func (v value) key() []byte {
	if v.at == 0 {
		return nil
	}
	return v.doc.bytes(v.node().key)
}

func (v value) text() []byte {
	if !v.is(textNode) {
		return nil
	}
	return v.doc.bytes(v.node().text)
}

// number is the value as a finite number; a text may be one.
func (v value) number() (float64, bool) {
	l := v.leaf()
	return l.numeric()
}

func (v value) isTrue() bool { return v.is(boolNode) && v.node().num != 0 }

func (v value) isFalse() bool { return v.is(boolNode) && v.node().num == 0 }

func (v value) isNull() bool { return v.is(nullNode) }

// isLeaf tells whether it is a value that a metric may have.
func (v value) isLeaf() bool { return v.at != 0 && !v.is(objectNode) && !v.is(arrayNode) }

// leaf is the value as the collector takes it.
func (v value) leaf() leaf {
	if v.at == 0 {
		return leaf{}
	}
	switch n := v.node(); n.kind {
	case numberNode:
		return leaf{kind: devices.Number, num: n.num}
	case boolNode:
		return leaf{kind: devices.Bool, num: n.num}
	case textNode:
		return leaf{kind: devices.Text, text: v.doc.bytes(n.text)}
	default:
		return leaf{}
	}
}
