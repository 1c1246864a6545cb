package dashboard_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeStream speaks the contract of /stream/assets, both formats, as far as one partition and no filter need it:
// snapshot, ready, live, ids, resume by what changed since, removed, reset and heartbeats. It keeps everything, which
// only a test may.
type fakeStream struct {
	http.Handler

	mu      sync.Mutex
	epoch   int
	assets  map[string][]byte
	events  []fakeEvent   // of this epoch; an id is the epoch and the number of events before it
	cut     chan struct{} // closed to end all streams
	changed chan struct{} // closed and replaced when events grow
	hold    chan struct{} // closed unless ready is held back
	refuse  bool          // answers 503
	beat    string        // the last heartbeat that a test announced
	resume  fakeResume    // of the newest stream
	opened  int
	conns   map[string]*fakeConn // by sid
	closed  sync.WaitGroup
}

// fakeResume is what a client asked to go on from.
type fakeResume struct {
	id      string
	byQuery bool // not by the header
}

type fakeEvent struct {
	name string // "" for assets
	data []byte
	id   string // of the asset, to conflate in a resume
	noID bool   // heartbeats
}

func newFakeStream() *fakeStream {
	f := &fakeStream{assets: map[string][]byte{}, conns: map[string]*fakeConn{}, cut: make(chan struct{}), changed: make(chan struct{}), hold: make(chan struct{})}
	close(f.hold)
	f.Handler = http.HandlerFunc(f.serve)
	return f
}

// serveWith serves the stream and page, if any, on one origin until the test ends.
func (f *fakeStream) serveWith(t testing.TB, page http.Handler) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/stream/assets", f)
	mux.HandleFunc("PUT /stream/{sid}/view", f.putView)
	if page != nil {
		mux.Handle("/", page)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		f.cutAll()
		server.CloseClientConnections()
		server.Close()
		f.closed.Wait()
	})
	return server.URL
}

func (f *fakeStream) emit(e fakeEvent) {
	f.events = append(f.events, e)
	close(f.changed)
	f.changed = make(chan struct{})
}

// put publishes assets, each the JSON of one.
func (f *fakeStream) put(assets ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, asset := range assets {
		id := idOf(asset)
		f.assets[id] = []byte(asset)
		f.emit(fakeEvent{data: []byte(asset), id: id})
	}
}

func idOf(asset string) string {
	_, rest, _ := strings.Cut(asset, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

func (f *fakeStream) remove(id, fleet string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.assets, id)
	f.emit(fakeEvent{name: "removed", data: fmt.Appendf(nil, `{"id":%q,"fleet":%q}`, id, fleet)})
}

// announce says removed of an id that stays: what a stream sends to those who hold a moved device with its old fleet.
func (f *fakeStream) announce(name, data string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name == "heartbeat" {
		f.beat = data
	}
	f.emit(fakeEvent{name: name, data: []byte(data), noID: name == "heartbeat"})
}

// restart begins an epoch with nothing of the old one, as a gateway without a store does, and cuts all streams.
func (f *fakeStream) restart() {
	f.mu.Lock()
	f.epoch++
	f.events = nil
	clear(f.assets)
	f.mu.Unlock()
	f.cutAll()
}

func (f *fakeStream) cutAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.cut)
	f.cut = make(chan struct{})
}

func (f *fakeStream) holdReady() (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	hold := make(chan struct{})
	f.hold = hold
	return sync.OnceFunc(func() { close(hold) })
}

func (f *fakeStream) refuseAll(refuse bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = refuse
}

// streams is how many were opened so far.
func (f *fakeStream) streams() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened
}

func (f *fakeStream) left(sid string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, sid)
}

// open is how many are open now.
func (f *fakeStream) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

func (f *fakeStream) lastResume() fakeResume {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resume
}

func (f *fakeStream) serve(w http.ResponseWriter, r *http.Request) {
	f.closed.Add(1)
	defer f.closed.Done()
	if r.Method == http.MethodHead { // as the edge does: how it would answer, and at once
		f.mu.Lock()
		refuse := f.refuse
		f.mu.Unlock()
		if refuse {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	last := fakeResume{id: r.Header.Get("Last-Event-ID")}
	if last.id == "" {
		last = fakeResume{id: r.URL.Query().Get("last_event_id"), byQuery: true}
	}
	s := &fakeConn{f: f, w: w, batch: r.URL.Query().Get("format") == "batch", box: boxIn(r.URL.Query().Get("bbox"))}
	f.mu.Lock()
	f.resume = last
	f.opened++
	s.sid = fmt.Sprintf("s%d", f.opened)
	f.conns[s.sid] = s
	defer f.left(s.sid)
	refuse, cut, hold := f.refuse, f.cut, f.hold
	if !refuse {
		s.begin(last.id)
	}
	f.mu.Unlock()
	if refuse {
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	s.flush()
	select {
	case <-hold:
	case <-cut:
		panic(http.ErrAbortHandler)
	case <-r.Context().Done():
		return
	}
	f.mu.Lock()
	s.event("ready", fmt.Appendf(nil, `{"sid":%q,"assets":%d,"position":%q}`, s.sid, len(f.assets), s.id()), s.id())
	f.mu.Unlock()
	s.follow(cut, r)
}

// fakeConn is one stream. Its methods but flush and follow want f.mu held.
type fakeConn struct {
	f     *fakeStream
	w     http.ResponseWriter
	buf   bytes.Buffer
	batch bool
	epoch int
	next  int
	sid   string
	box   fakeBox // what it shows
}

func (s *fakeConn) id() string { return fmt.Sprintf("%d:%d", s.epoch, s.next) }

func (s *fakeConn) begin(last string) {
	s.epoch = s.f.epoch
	s.buf.WriteString("retry: 100\n\n")
	epoch, offset, ok := strings.Cut(last, ":")
	from, err := strconv.Atoi(offset)
	resume := ok && err == nil && epoch == strconv.Itoa(s.f.epoch) && from <= len(s.f.events)
	s.next = len(s.f.events)
	if resume {
		s.since(from)
		return
	}
	if ok {
		s.event("reset", []byte(`{"reason":"epoch"}`), "")
	}
	ids := make([]string, 0, len(s.f.assets))
	for id := range s.f.assets {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	frames := make([][]byte, 0, len(ids))
	for _, id := range ids {
		if s.box.holds(s.f.assets[id]) {
			frames = append(frames, s.f.assets[id])
		}
	}
	s.frames(frames)
}

// since sends what changed, each device once, in its newest state.
func (s *fakeConn) since(from int) {
	newest := map[string][]byte{}
	for _, e := range s.f.events[from:] {
		switch {
		case e.name == "":
			newest[e.id] = s.f.assets[e.id]
		case e.name == "removed":
			s.event(e.name, e.data, "")
		}
	}
	var frames [][]byte
	for _, frame := range newest {
		if frame != nil && s.box.holds(frame) {
			frames = append(frames, frame)
		}
	}
	s.frames(frames)
}

// frames writes assets; the last message carries the id.
func (s *fakeConn) frames(frames [][]byte) {
	if len(frames) == 0 {
		return
	}
	if s.batch {
		s.event("batch", slices.Concat([]byte("["), bytes.Join(frames, []byte(",")), []byte("]")), s.id())
		return
	}
	for i, frame := range frames {
		id := ""
		if i == len(frames)-1 {
			id = s.id()
		}
		s.event("", frame, id)
	}
}

func (s *fakeConn) event(name string, data []byte, id string) {
	if name != "" {
		fmt.Fprintf(&s.buf, "event: %s\n", name)
	}
	fmt.Fprintf(&s.buf, "data: %s\n", data)
	if id != "" {
		fmt.Fprintf(&s.buf, "id: %s\n", id)
	}
	s.buf.WriteByte('\n')
}

func (s *fakeConn) flush() {
	s.f.mu.Lock()
	out := bytes.Clone(s.buf.Bytes())
	s.buf.Reset()
	s.f.mu.Unlock()
	_, _ = s.w.Write(out) // a lost connection shows in the request's context
	_ = http.NewResponseController(s.w).Flush()
}

// follow sends what comes, and heartbeats as the contract has them: a slow machine is no silent gateway.
func (s *fakeConn) follow(cut chan struct{}, r *http.Request) {
	beats := time.NewTicker(10 * time.Second)
	defer beats.Stop()
	for {
		s.f.mu.Lock()
		if s.epoch == s.f.epoch {
			s.pending()
		}
		changed := s.f.changed
		s.f.mu.Unlock()
		s.flush()
		select {
		case <-changed:
		case now := <-beats.C:
			s.heartbeat(now)
		case <-cut:
			panic(http.ErrAbortHandler) // in the middle of the body, as a crash does
		case <-r.Context().Done():
			return
		}
	}
}

func (s *fakeConn) heartbeat(now time.Time) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	data := s.f.beat
	if data == "" {
		data = fmt.Sprintf(`{"now":%d,"lag_ms":0}`, now.UnixMilli())
	}
	s.event("heartbeat", []byte(data), "")
}

func (s *fakeConn) pending() {
	var tick [][]byte
	for s.next < len(s.f.events) {
		e := s.f.events[s.next]
		s.next++
		if e.name == "" && s.box.holds(e.data) {
			tick = append(tick, e.data)
			continue
		}
		s.frames(tick)
		tick = nil
		if e.name == "" { // it may have left the view
			s.removed(e.data)
			continue
		}
		id := s.id()
		if e.noID {
			id = ""
		}
		s.event(e.name, e.data, id)
	}
	s.frames(tick)
}
