package hub

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// lineFormat is the plainest format there is: one line a message, an "I id" line after the message that carries an id.
type lineFormat struct{}

func (lineFormat) Name() string { return "line" }

func (lineFormat) AppendAssets(dst []byte, frames [][]byte, id string) []byte {
	for _, f := range frames {
		dst = append(append(append(dst, "A "...), f...), '\n')
	}
	return appendID(dst, id)
}

func (lineFormat) AppendEvent(dst []byte, name string, data []byte, id string) []byte {
	dst = append(append(append(append(append(dst, "E "...), name...), ' '), data...), '\n')
	return appendID(dst, id)
}

func (lineFormat) AppendID(dst []byte, id string) []byte { return appendID(dst, id) }

// packedFormat is the same, compressed: each piece by itself.
type packedFormat struct{ lineFormat }

func (packedFormat) Name() string { return "line+deflate" }

var packers = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.HuffmanOnly)
	if err != nil {
		panic(err)
	}
	return w
}}

func (packedFormat) Pack(piece []byte) []byte {
	var out bytes.Buffer
	w := packers.Get().(*flate.Writer)
	defer packers.Put(w)
	w.Reset(&out)
	_, _ = w.Write(piece)
	_ = w.Flush()
	return out.Bytes()
}

// unpack reads as much of a piece as came.
func unpack(piece []byte) []byte {
	plain, _ := io.ReadAll(flate.NewReader(bytes.NewReader(piece))) // it always ends too soon: there is no last block
	return plain
}

func appendID(dst []byte, id string) []byte {
	if id == "" {
		return dst
	}
	return append(append(append(dst, "I "...), id...), '\n')
}

func deviceID(tb testing.TB, s string) devices.DeviceID {
	tb.Helper()
	id, err := devices.ParseDeviceID(s)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func fleetID(tb testing.TB, s string) devices.FleetID {
	tb.Helper()
	id, err := devices.ParseFleetID(s)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

// world plays the owners of all partitions: what it publishes reaches every edge's feed.
type world struct {
	tb         testing.TB
	partitions []*worldPartition
	n          int // grows with every change: the version in every frame
	fleetOf    map[devices.DeviceID]devices.FleetID
	where      map[string][2]float64 // latitude and longitude that set gives a device
}

type worldPartition struct {
	number   int
	position bus.Position
	floor    bus.Floor
	state    map[[2]string]bus.Versioned
	events   []bus.VersionedEvent
	pending  []bus.Change
	feeds    []*worldFeed
}

func newWorld(tb testing.TB, partitions int) *world {
	w := &world{tb: tb, fleetOf: map[devices.DeviceID]devices.FleetID{}, where: map[string][2]float64{}}
	for i := range partitions {
		w.partitions = append(w.partitions, &worldPartition{
			number: i, position: bus.Position{Epoch: bus.NewEpoch()}, state: map[[2]string]bus.Versioned{},
		})
	}
	return w
}

// worldFeed is one edge's feed of one partition; hold keeps updates back, as an edge that lags.
type worldFeed struct {
	updates chan bus.Update
	held    []bus.Update
	hold    bool
}

func (f *worldFeed) send(u bus.Update) {
	if f.hold {
		f.held = append(f.held, u)
		return
	}
	f.updates <- u
}

func (f *worldFeed) release() {
	f.hold = false
	for _, u := range f.held {
		f.updates <- u
	}
	f.held = nil
}

func (f *worldFeed) Next(ctx context.Context) (bus.Update, error) {
	select {
	case u := <-f.updates:
		return u, nil
	case <-ctx.Done():
		return bus.Update{}, ctx.Err()
	}
}

func (f *worldFeed) Close() {}

// Watch gives a feed that begins with a snapshot, as the bus's contract says.
func (w *world) Watch(_ context.Context, partition int) (bus.Feed, error) {
	p := w.partitions[partition]
	f := &worldFeed{updates: make(chan bus.Update, 1024)}
	f.send(bus.Update{Snapshot: p.snapshot()})
	p.feeds = append(p.feeds, f)
	return f, nil
}

func (p *worldPartition) snapshot() *bus.Snapshot {
	s := &bus.Snapshot{Partition: p.number, Position: p.position, Floor: p.floor, Events: p.events}
	for _, v := range p.state {
		s.Devices = append(s.Devices, v)
	}
	return s
}

func (w *world) partition(f devices.FleetID) *worldPartition {
	return w.partitions[f.Partition(len(w.partitions))]
}

// set changes a device; moving it removes it from its old fleet. It is published by flush.
func (w *world) set(fleet, device string, padding int) {
	id, f := deviceID(w.tb, device), fleetID(w.tb, fleet)
	if old, ok := w.fleetOf[id]; ok && old != f {
		w.remove(old.String(), device)
	}
	w.fleetOf[id] = f
	w.n++
	at, placed := w.where[device]
	position := ""
	if placed {
		position = fmt.Sprintf(`"lat":%v,"lon":%v,`, at[0], at[1])
	}
	frame := fmt.Sprintf(`{"id":%q,"fleet":%q,"status":"online","received":%d,%s"metrics":{"n":%d,"pad":%q}}`,
		device, fleet, time.Now().UnixMilli(), position, w.n, strings.Repeat("x", padding))
	p := w.partition(f)
	p.pending = append(p.pending, bus.Change{Device: id, Fleet: f, Frame: []byte(frame), Lat: at[0], Lon: at[1], HasPosition: placed})
}

func (w *world) remove(fleet, device string) {
	id, f := deviceID(w.tb, device), fleetID(w.tb, fleet)
	delete(w.fleetOf, id)
	p := w.partition(f)
	p.pending = append(p.pending, bus.Change{Device: id, Fleet: f})
}

// flush publishes what is pending, each partition one batch.
func (w *world) flush(events ...bus.Event) {
	for _, p := range w.partitions {
		b := &bus.Batch{Partition: p.number, Position: p.position, Floor: p.floor}
		last := map[[2]string]int{}
		for i, c := range p.pending {
			last[[2]string{c.Fleet.String(), c.Device.String()}] = i
		}
		for i, c := range p.pending {
			if last[[2]string{c.Fleet.String(), c.Device.String()}] == i {
				b.Changes = append(b.Changes, c)
			}
		}
		p.pending = nil
		for _, e := range events {
			if w.partition(e.Fleet) == p {
				b.Events = append(b.Events, e)
			}
		}
		if !b.IsBeat() {
			p.position.Offset++
			b.Position = p.position
		}
		for _, c := range b.Changes {
			p.state[[2]string{c.Fleet.String(), c.Device.String()}] = bus.Versioned{Change: c, Offset: p.position.Offset}
		}
		for _, e := range b.Events {
			p.events = append(p.events, bus.VersionedEvent{Event: e, Offset: p.position.Offset})
		}
		for _, f := range p.feeds {
			f.send(bus.Update{Batch: b})
		}
	}
}

// forget prunes every tombstone.
func (w *world) forget() {
	for _, p := range w.partitions {
		for k, v := range p.state {
			if v.Removed() {
				delete(p.state, k)
				p.floor.Tombstones = max(p.floor.Tombstones, v.Offset)
			}
		}
	}
}

// restart gives every partition a new epoch with the same devices, as a bus that lost its history.
func (w *world) restart() {
	for _, p := range w.partitions {
		old := p.state
		p.position, p.state, p.floor, p.events = bus.Position{Epoch: bus.NewEpoch(), Offset: 1}, map[[2]string]bus.Versioned{}, bus.Floor{}, nil
		for k, v := range old {
			if !v.Removed() {
				v.Offset = 1
				p.state[k] = v
			}
		}
		for _, f := range p.feeds {
			f.send(bus.Update{Snapshot: p.snapshot()})
		}
	}
}

// shows is what a client with the filter must hold in the end.
func (w *world) shows(wants func(fleet, device string) bool) map[string]string {
	return w.showsIn(wants, devices.BBox{})
}

func (w *world) showsIn(wants func(fleet, device string) bool, box devices.BBox) map[string]string {
	out := map[string]string{}
	for _, p := range w.partitions {
		for k, v := range p.state {
			if !v.Removed() && wants(k[0], k[1]) && (box.IsZero() || v.HasPosition && box.Contains(v.Lat, v.Lon)) {
				out[k[1]] = string(v.Frame)
			}
		}
	}
	return out
}

// startHub runs a hub in the bubble of a test and stops it at its end.
func startHub(t *testing.T, w *world) *Hub {
	t.Helper()
	h, err := New(Options{Bus: w, Partitions: len(w.partitions)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
	return h
}

// client is a browser: it folds a stream into what its page shows, and checks that nothing goes backwards.
type client struct {
	t      *testing.T
	name   string
	wants  func(fleet, device string) bool
	held   map[string]string // device → frame
	fleet  map[string]string
	n      map[string]int // device → the newest version seen, kept over resets
	undo   map[string]int // what n was at the last id
	at     map[string]time.Time
	id     string
	ready  int
	resets []string
	events []string
	beats  int
	bytes  int
	format Format
	box    devices.BBox
	views  map[string]Query // of the changes that were asked for, by the data of the event that tells of them
	past   []Query          // filters that this connection had before
}

func newClient(t *testing.T, name string, wants func(fleet, device string) bool) *client {
	return &client{t: t, name: name, wants: wants, held: map[string]string{}, fleet: map[string]string{}, n: map[string]int{}, undo: map[string]int{}, at: map[string]time.Time{}, format: lineFormat{}, views: map[string]Query{}}
}

// turn has the client expect another filter.
func (c *client) turn(q Query) { c.wants, c.box = wantsOf(q), q.BBox }

// mayBeTold tells whether a removal is of the filter, or of one that the connection had.
func (c *client) mayBeTold(fleet, device string) bool {
	for _, q := range c.past {
		if wantsOf(q)(fleet, device) {
			return true
		}
	}
	return c.wants(fleet, device)
}

// read folds whole messages in; a piece that was cut is given only as far as it came.
func (c *client) read(piece []byte) {
	c.bytes += len(piece)
	if _, packed := c.format.(Packer); packed {
		piece = unpack(piece)
	}
	for line := range bytes.Lines(piece) {
		if line[len(line)-1] != '\n' {
			return
		}
		text := string(line[:len(line)-1])
		switch kind, rest, _ := strings.Cut(text, " "); kind {
		case "I":
			c.id = rest
			clear(c.undo)
		case "A":
			c.asset(rest)
		case "E":
			name, data, _ := strings.Cut(rest, " ")
			c.event(name, data)
		default:
			c.t.Errorf("%s: a line %q", c.name, text)
		}
	}
}

func (c *client) asset(frame string) {
	var a struct {
		ID, Fleet string
		Lat, Lon  *float64
		Metrics   struct{ N int }
	}
	if err := json.Unmarshal([]byte(frame), &a); err != nil {
		c.t.Errorf("%s: frame %s: %v", c.name, frame, err)
	}
	if !c.wants(a.Fleet, a.ID) {
		c.t.Errorf("%s was given %s of %s, which its filter leaves out", c.name, a.ID, a.Fleet)
	}
	if !c.box.IsZero() && (a.Lat == nil || !c.box.Grow(hysteresis).Contains(*a.Lat, *a.Lon)) {
		c.t.Errorf("%s was given %s, which is not in %v", c.name, frame, c.box)
	}
	if a.Metrics.N < c.n[a.ID] {
		c.t.Errorf("%s: %s went back from %d to %d", c.name, a.ID, c.n[a.ID], a.Metrics.N)
	}
	if a.Metrics.N > c.n[a.ID] || c.held[a.ID] == "" {
		c.at[a.ID] = time.Now()
	}
	if _, ok := c.undo[a.ID]; !ok {
		c.undo[a.ID] = c.n[a.ID]
	}
	c.n[a.ID], c.held[a.ID], c.fleet[a.ID] = a.Metrics.N, frame, a.Fleet
}

// cut is the end of a connection. What came after the last id is not in the id, so another edge that lags may go back
// behind it: no promise covers that.
func (c *client) cut() {
	maps.Copy(c.n, c.undo)
	clear(c.undo)
}

func (c *client) event(name, data string) {
	switch name {
	case "ready":
		c.ready++
	case "heartbeat":
		c.beats++
	case "view":
		q, asked := c.views[data]
		if !asked {
			c.t.Errorf("%s: a view %s that nobody asked for", c.name, data)
		}
		c.turn(q)
		c.past = append(c.past, q)
	case "reset":
		c.resets = append(c.resets, data)
		clear(c.held)
		clear(c.fleet)
		if strings.Contains(data, string(resetAhead)) || strings.Contains(data, string(resetEpoch)) {
			clear(c.n) // it is told that this edge, or this history, may have less than it saw
			clear(c.undo)
		}
	case "removed":
		var r struct{ ID, Fleet string }
		if err := json.Unmarshal([]byte(data), &r); err != nil {
			c.t.Errorf("%s: removed %s: %v", c.name, data, err)
		}
		if !c.mayBeTold(r.Fleet, r.ID) {
			c.t.Errorf("%s was told of %s of %s, which its filter leaves out", c.name, r.ID, r.Fleet)
		}
		if c.fleet[r.ID] == r.Fleet {
			delete(c.held, r.ID)
			delete(c.fleet, r.ID)
		}
	default:
		c.events = append(c.events, name+" "+data)
	}
}

// drain reads all that there is now.
func (c *client) drain(v *Viewer) {
	for b := v.poll(); b != nil; b = v.poll() {
		c.read(b)
	}
}

// mustShowNow is mustShow of the client's own filter. A device that stands at the edge of a box may be shown or not.
func (c *client) mustShowNow(w *world) {
	c.t.Helper()
	want := w.showsIn(c.wants, c.box)
	for id, frame := range w.showsIn(c.wants, c.box.Grow(hysteresis)) {
		if _, in := want[id]; !in && c.held[id] != "" {
			want[id] = frame
		}
	}
	c.mustShow(want)
}

func (c *client) mustShow(want map[string]string) {
	c.t.Helper()
	for id, frame := range want {
		if c.held[id] != frame {
			c.t.Errorf("%s shows %s as %s, want %s", c.name, id, c.held[id], frame)
		}
	}
	for id := range c.held {
		if _, ok := want[id]; !ok {
			c.t.Errorf("%s shows %s, which is gone", c.name, id)
		}
	}
}

func attach(t *testing.T, h *Hub, q Query, id string) *Viewer {
	t.Helper()
	v, err := h.Attach(q, lineFormat{}, id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustLoad(tb testing.TB, t *table, s *bus.Snapshot) {
	tb.Helper()
	if err := t.load(s); err != nil {
		tb.Fatal(err)
	}
}

func bbox(tb testing.TB, s string) devices.BBox {
	tb.Helper()
	b, err := devices.ParseBBox(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func everything(string, string) bool { return true }

func dev(i int) string { return "dev-" + strconv.Itoa(i) }

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }
