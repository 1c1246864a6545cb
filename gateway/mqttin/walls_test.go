package mqttin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// Promise 5 of the design, fleets are walls, against a small model of who may do what. A real broker with routing is
// asked at random to publish, to publish through an alias, to retain and to delete what is retained, to leave a will, to
// subscribe (alone and in a group) and to take a client id over, as devices, gateways and clients; what comes into the
// inlet and what comes to subscribers, now and of what was retained, is held to the model. The model knows topics by their parts and has no code in common with the broker.

// place is a topic, by its parts.
type place struct{ fleet, device, tail string }

func (p place) topic() string {
	if p.fleet == "" {
		return p.tail
	}
	return "fleets/" + p.fleet + "/devices/" + p.device + "/" + p.tail
}

// replyTail is where the answer to a command goes.
const replyTail = "replies/0000000000000000000000000v"

// world is all places that the test knows: two fleets, three registered devices, one that is not, and other topics.
func world() (places []place) {
	for _, fleet := range []string{"north", "south"} {
		for _, device := range []string{"d1", "d2", "d3", "d9"} {
			for _, tail := range []string{"telemetry", "status", replyTail, "commands/7", "commands"} {
				places = append(places, place{fleet, device, tail})
			}
		}
	}
	for _, other := range []string{"chat/a", "chat/a/b", "chat", "notes"} {
		places = append(places, place{tail: other})
	}
	return places
}

var registered = map[string]string{"d1": "north", "d2": "north", "d3": "south"}

// actor is who signs in, as the model sees it.
type actor struct {
	name   string
	kind   string // device, gateway, client
	fleets string
}

var actors = []actor{
	{"d1", "device", "north"},
	{"d2", "device", "north"},
	{"d3", "device", "south"},
	{"gn", "gateway", "north"},
	{"gs", "gateway", "south"},
	{"gb", "gateway", "north south"},
	{"cn", "client", "north"},
}

// writes is the model of publishing: telemetry, status and replies of one's own device or of a gateway's fleets, where a
// device is in the fleet that it is registered in; the client writes telemetry of north, and chat.
func (a actor) writes(p place) bool {
	own := p.tail == "telemetry" || p.tail == "status" || p.tail == replyTail
	fleet := p.fleet
	if home, ok := registered[p.device]; ok {
		fleet = home
	}
	switch a.kind {
	case "device":
		return own && p.device == a.name && p.fleet == a.fleets
	case "gateway":
		return own && p.fleet != "" && strings.Contains(a.fleets, p.fleet) && strings.Contains(a.fleets, fleet)
	}
	return p.tail == "telemetry" && p.fleet == "north" && fleet == "north" || strings.HasPrefix(p.tail, "chat")
}

// reads is the model of subscribing: commands of one's own device or of a gateway's fleets; the client reads all of
// north, and chat one level down.
func (a actor) reads(p place) bool {
	commands := strings.HasPrefix(p.tail, "commands")
	switch a.kind {
	case "device":
		return commands && p.device == a.name && p.fleet == a.fleets
	case "gateway":
		return commands && p.fleet != "" && strings.Contains(a.fleets, p.fleet)
	}
	return p.fleet == "north" || p.tail == "chat/a"
}

func wallsAuth() *fakeAuth {
	auth := newFakeAuth(aDevice("d1", "north"), aDevice("d2", "north"), aDevice("d3", "south"),
		aGateway("gn", "north"), aGateway("gs", "south"), aGateway("gb", "north", "south"),
		aClient("cn", []string{"fleets/north/devices/+/telemetry", "chat/#"}, []string{"fleets/north/#", "chat/+"}),
		aClient("root", []string{"#"}, []string{"#"}))
	for name, p := range auth.accounts {
		p.Rates = devices.Rates{Messages: 1_000_000, Bytes: 1 << 40, Burst: 10}
		auth.accounts[name] = p
	}
	return auth
}

// edges are filters just within and just beyond what somebody may read, which chance finds too seldom.
var edges = []string{
	"#", "+/#", "chat/+", "chat/#", "chat/+/#", "+/a", "fleets/#", "fleets/north/#", "fleets/+/#", "fleets/north/devices/+/commands/#", "fleets/north/devices/#",
	"fleets/+/devices/+/commands/#", "fleets/north/devices/d1/commands/#", "fleets/north/devices/d1/commands/+", "fleets/north/devices/d1/+", "fleets/north/devices/d1/#",
	"fleets/south/devices/+/commands/+", "fleets/south/devices/d3/commands/#",
}

// drawFilter takes an edge, or makes a filter of a place: some levels are wildcards, and it may end early.
func drawFilter(t *rapid.T) string {
	if rapid.Bool().Draw(t, "edge") {
		return rapid.SampledFrom(edges).Draw(t, "filter")
	}
	levels := strings.Split(rapid.SampledFrom(world()).Draw(t, "near").topic(), "/")
	for i := range levels {
		switch rapid.IntRange(0, 9).Draw(t, "level") {
		case 0, 1:
			levels[i] = "+"
		case 2:
			return strings.Join(append(levels[:i:i], "#"), "/")
		}
	}
	return strings.Join(levels, "/")
}

// matchesByTheBook tells whether a topic matches a filter, level by level.
func matchesByTheBook(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		switch {
		case level == "#":
			return len(t) >= i
		case i >= len(t), level != "+" && level != t[i]:
			return false
		}
	}
	return len(f) == len(t)
}

func TestFleetsAreWalls(t *testing.T) {
	h := guarded(t, Options{Route: true, CommitEvery: commitAtOnce, Limits: Limits{LoginsPerMinute: 1_000_000}}, wallsAuth())
	retained := map[place]bool{}
	rapid.Check(t, func(rt *rapid.T) {
		w := &walls{T: rt, h: h, t: t, retained: retained}
		rt.Repeat(map[string]func(*rapid.T){
			"publish": w.publish, "alias": w.alias, "will": w.will, "subscribe": w.subscribe, "takeover": w.takeover,
			"": func(*rapid.T) { // nothing of one step is left when the next begins
				eventually(t, "the end", func() bool { s := h.Stats(); return s.Connections == 0 && s.Queued == 0 && h.isIdle() })
			},
		})
	})
}

func (h *harness) isIdle() bool {
	h.committer.mu.Lock()
	defer h.committer.mu.Unlock()
	return h.committer.isIdle()
}

type walls struct {
	*rapid.T
	h        *harness
	t        *testing.T
	retained map[place]bool // where something is retained, by the model
}

// sign signs an actor in with a client id of its own.
func (w *walls) sign(a actor) *raw {
	o := as(a.name)
	o.id = a.name + "-walls"
	r, _ := connect(w.t, w.h, o)
	return r
}

// leave closes a connection as a client does.
func (r *raw) leave() {
	_, _ = r.Write([]byte{0xe0, 0})
	_ = r.Close()
}

// judge says what became of a message: its code, and what is in the inlet of it.
func (w *walls) judge(rt *rapid.T, a actor, p place, payload string, code byte, mark int, isWill bool) {
	allowed := a.writes(p)
	if (code < 0x80) != allowed {
		rt.Fatalf("%s publishes to %s: code %#x", a.name, p.topic(), code)
	}
	want := 0
	if allowed && payload != "" && (p.tail == "telemetry" || p.tail == "status" || p.tail == replyTail && !isWill) {
		want = 1
	}
	got := 0
	for _, e := range w.h.inlet.entries()[mark:] {
		if e.Kind == bus.KindConnection {
			continue
		}
		got++
		if home, ok := registered[p.device]; e.Device.String() != p.device || ok && e.Fleet.String() != home || !ok && e.Fleet.String() != p.fleet {
			rt.Fatalf("%s publishes to %s, and the inlet has %s of %s", a.name, p.topic(), e.Device, e.Fleet)
		}
	}
	if got != want {
		rt.Fatalf("%s publishes to %s: %d entries, want %d", a.name, p.topic(), got, want)
	}
}

func (w *walls) payload(p place) string {
	switch p.tail {
	case "status":
		return "online"
	case replyTail:
		return `{"status":"done"}`
	}
	return `{"lat":1,"lon":2}`
}

func (w *walls) publish(rt *rapid.T) {
	a, p := rapid.SampledFrom(actors).Draw(rt, "who"), rapid.SampledFrom(world()).Draw(rt, "where")
	r := w.sign(a)
	defer r.leave()
	mark, payload := len(w.h.inlet.entries()), w.payload(p)
	packet := publishPacket(5, p.topic(), payload, 1, 1, false)
	if rapid.Bool().Draw(rt, "retain") {
		if rapid.Bool().Draw(rt, "delete") {
			payload = ""
			packet = publishPacket(5, p.topic(), "", 1, 1, false)
		}
		packet[0] |= 1
		w.retain(a, p, payload)
	}
	r.send(packet)
	w.judge(rt, a, p, payload, codeOf(r.expect(0x40, 1)), mark, false)
}

// retain is the model of what is retained.
func (w *walls) retain(a actor, p place, payload string) {
	switch {
	case !a.writes(p):
	case payload == "":
		delete(w.retained, p)
	default:
		w.retained[p] = true
	}
}

// codeOf is the reason code of a PUBACK.
func codeOf(body []byte) byte {
	if len(body) < 3 {
		return 0
	}
	return body[2]
}

func (w *walls) alias(rt *rapid.T) {
	a := rapid.SampledFrom(actors).Draw(rt, "who")
	p, q := rapid.SampledFrom(world()).Draw(rt, "first"), rapid.SampledFrom(world()).Draw(rt, "second")
	r := w.sign(a)
	defer r.leave()
	for i, at := range []place{p, q} { // the alias is given anew to another topic, and used each time
		for j, topic := range []string{at.topic(), ""} {
			mark, id := len(w.h.inlet.entries()), uint16(2*i+j+1)
			r.send(aliasPacket(topic, 1, w.payload(at), 1, id))
			w.judge(rt, a, at, w.payload(at), codeOf(r.expect(0x40, id)), mark, false)
		}
	}
}

func (w *walls) will(rt *rapid.T) {
	a, p := rapid.SampledFrom(actors).Draw(rt, "who"), rapid.SampledFrom(world()).Draw(rt, "where")
	o := as(a.name)
	o.id, o.willTopic, o.will, o.retain = a.name+"-walls", p.topic(), w.payload(p), rapid.Bool().Draw(rt, "retain")
	mark, outdated := len(w.h.inlet.entries()), w.h.event(WillOutdated)
	r, body := attempt(w.t, w.h, o)
	if body == nil {
		rt.Fatal("no CONNACK")
	}
	if allowed := a.writes(p); (body[1] == 0) != allowed {
		rt.Fatalf("%s leaves a will for %s: code %#x", a.name, p.topic(), body[1])
	}
	_ = r.Close()
	if body[1] != 0 {
		return
	}
	eventually(w.t, "the end", func() bool { return w.h.Stats().Connections == 0 && w.h.isIdle() })
	if w.h.event(WillOutdated) != outdated {
		rt.Fatal("the will was not heard")
	}
	if p.tail == "telemetry" || p.tail == "status" {
		eventually(w.t, "the will", func() bool { return len(w.h.inlet.entries()) > mark })
	}
	if o.retain {
		w.retain(a, p, o.will)
	}
	w.judge(rt, a, p, o.will, 0, mark, true)
}

func (w *walls) subscribe(rt *rapid.T) {
	a, filter := rapid.SampledFrom(actors).Draw(rt, "who"), drawFilter(rt)
	asked, shared := filter, rapid.Bool().Draw(rt, "shared")
	if shared {
		asked = "$share/g/" + filter
	}
	r := w.sign(a)
	defer r.leave()
	r.send(subscribePacket(5, 1, asked))
	body := r.expect(0x90, 1)
	granted := body[len(body)-1] < 0x80
	var readable, hidden []place
	for _, p := range world() {
		if matchesByTheBook(filter, p.topic()) {
			if a.reads(p) {
				readable = append(readable, p)
			} else {
				hidden = append(hidden, p)
			}
		}
	}
	if granted && len(hidden) > 0 {
		rt.Fatalf("%s may subscribe to %s, which has %s", a.name, asked, hidden[0].topic())
	}
	if !granted && len(hidden) == 0 && !strings.ContainsAny(filter, "+#") {
		rt.Fatalf("%s may not subscribe to %s", a.name, asked)
	}
	if !granted {
		return
	}
	if !shared {
		w.inherit(rt, r, readable)
	}
	w.hear(rt, r, readable)
}

// inherit holds what a new subscription gets of what is retained to what the subscriber may read.
func (w *walls) inherit(rt *rapid.T, r *raw, readable []place) {
	var want, got []string
	for _, p := range readable {
		if w.retained[p] {
			want = append(want, p.topic())
		}
	}
	for range want {
		m := r.message()
		if !m.retain {
			rt.Fatalf("%s comes without the retain flag", m.topic)
		}
		got = append(got, m.topic)
		r.confirm(m)
	}
	r.ping()
	slices.Sort(got)
	slices.Sort(want)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		rt.Fatalf("retained: %v arrives, want %v", got, want)
	}
}

// hear publishes everywhere, as somebody who may, and holds what arrives to what the subscriber may read.
func (w *walls) hear(rt *rapid.T, r *raw, readable []place) {
	o := as("root")
	root, _ := connect(w.t, w.h, o)
	defer root.leave()
	all := world()
	for i, p := range all {
		root.publish(p.topic(), w.payload(p), 1, uint16(i+1))
	}
	var want, got []string
	for i, p := range all {
		taken := codeOf(root.expect(0x40, uint16(i+1))) < 0x80
		if taken && slices.Contains(readable, p) {
			want = append(want, p.topic())
		}
	}
	for range want {
		m := r.message()
		got = append(got, m.topic)
		r.confirm(m)
	}
	r.ping() // and nothing more is on its way
	slices.Sort(got)
	slices.Sort(want)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		rt.Fatalf("%v arrives, want %v", got, want)
	}
}

func (w *walls) takeover(rt *rapid.T) {
	a, b := rapid.SampledFrom(actors).Draw(rt, "first"), rapid.SampledFrom(actors).Draw(rt, "second")
	id := rapid.SampledFrom([]string{"d1", "d3", "free"}).Draw(rt, "id")
	w.h.registry.mu.Lock()
	clear(w.h.registry.flaps.full) // that takeovers are slowed is another test's
	w.h.registry.mu.Unlock()
	o := as(a.name)
	o.id = id
	first, _ := connect(w.t, w.h, o)
	defer first.leave()
	o = as(b.name)
	o.id = id
	second, body := attempt(w.t, w.h, o)
	defer second.leave()
	allowed := a == b || b.kind == "device" && b.name == id
	if body == nil || (body[1] == 0) != allowed {
		rt.Fatalf("%s takes %s from %s: CONNACK % x", b.name, id, a.name, body)
	}
	if !allowed {
		first.ping()
	}
}
