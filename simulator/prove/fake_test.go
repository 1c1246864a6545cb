package prove

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// lies are how a fake gateway breaks its word. All are called with its lock held.
type lies struct {
	hide    func(id string, snapshot bool) bool // a device that viewers are not told
	swallow func(id string, seq int) bool       // a message that is acknowledged and not merged
	mute    bool                                // no PUBACK is ever sent
	forget  bool                                // a restart loses everything
	keepID  bool                                // and the ids of before still resume
	again   func(id string, seq int) bool       // a device whose state of before is shown once more
}

// fake is a gateway that speaks the contract on the wire and shares no code with the real one.
type fake struct {
	t    *testing.T
	lies lies
	mqtt net.Listener
	http *httptest.Server
	wait sync.WaitGroup
	gone atomic.Bool // nothing is at its paths any more

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with each change
	broken  chan struct{} // closed and replaced with each restart
	conns   map[net.Conn]struct{}
	serving sync.WaitGroup // connections of this life
	cutting bool           // whoever connects now is turned away
	epoch   int
	head    int
	devices map[string]*fakeDevice
}

type fakeDevice struct {
	at      int64
	version int
	metrics map[string]int
	before  []byte // the frame before this one
	frame   []byte
}

func startFake(t *testing.T, l lies) *fake {
	t.Helper()
	f := &fake{
		t: t, lies: l, changed: make(chan struct{}), broken: make(chan struct{}), conns: map[net.Conn]struct{}{},
		devices: map[string]*fakeDevice{},
	}
	var err error
	if f.mqtt, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	f.http = httptest.NewServer(f)
	f.wait.Go(f.accept)
	t.Cleanup(func() {
		f.mqtt.Close()
		f.cut(false)
		f.http.Close()
		f.wait.Wait()
	})
	return f
}

// cut ends every connection and, when it wipes, forgets everything that the lies say.
func (f *fake) cut(wipe bool) {
	f.mu.Lock()
	f.cutting = true
	for c := range f.conns {
		c.Close()
	}
	close(f.broken)
	f.broken = make(chan struct{})
	f.mu.Unlock()
	f.serving.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cutting = false
	if wipe && f.lies.forget {
		f.devices = map[string]*fakeDevice{}
		if !f.lies.keepID {
			f.epoch, f.head = f.epoch+1, 0
		}
	}
}

func (f *fake) restart() Fault {
	return Fault{Name: "restart", Loses: f.lies.forget, Break: func(context.Context) error { f.cut(true); return nil }}
}

func (f *fake) accept() {
	for {
		conn, err := f.mqtt.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		if f.cutting {
			f.mu.Unlock()
			conn.Close()
			continue
		}
		f.conns[conn] = struct{}{}
		f.serving.Add(1)
		f.mu.Unlock()
		f.wait.Go(func() {
			defer f.serving.Done()
			defer conn.Close()
			f.serve(conn)
			f.mu.Lock()
			delete(f.conns, conn)
			f.mu.Unlock()
		})
	}
}

// serve speaks as much MQTT as a device of this package does.
func (f *fake) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	five := false
	for {
		kind, err := in.ReadByte()
		if err != nil {
			return
		}
		length, err := binary.ReadUvarint(in)
		if err != nil {
			return
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		var answer []byte
		switch kind >> 4 {
		case 1:
			if five = body[6] == 5; five {
				answer = []byte{0x20, 3, 0, 0, 0}
			} else {
				answer = []byte{0x20, 2, 0, 0}
			}
		case 3:
			topic := int(binary.BigEndian.Uint16(body))
			id := body[2+topic : 4+topic]
			payload := body[4+topic:]
			if five {
				payload = payload[1:]
			}
			f.publish(strings.Split(string(body[2:2+topic]), "/")[3], payload)
			if f.lies.mute {
				continue
			}
			answer = []byte{0x40, 2, id[0], id[1]}
		case 12:
			answer = []byte{0xd0, 0}
		default:
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

func (f *fake) publish(id string, payload []byte) {
	var m map[string]float64
	if err := json.Unmarshal(payload, &m); err != nil {
		f.t.Errorf("payload %s: %v", payload, err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.devices[id]
	if d == nil {
		d = &fakeDevice{metrics: map[string]int{}}
		f.devices[id] = d
	}
	if int64(m["at"]) <= d.at || (f.lies.swallow != nil && f.lies.swallow(id, int(m["seq"]))) {
		return
	}
	d.at = int64(m["at"])
	for name, v := range m {
		if strings.HasPrefix(name, slotPrefix) || name == seqMetric {
			d.metrics[name] = int(v)
		}
	}
	f.head++
	d.version, d.before = f.head, d.frame
	d.frame, _ = json.Marshal(map[string]any{
		"id": id, "fleet": "prove", "status": "online", "received": d.at, "at": d.at, "metrics": d.metrics,
	})
	close(f.changed)
	f.changed = make(chan struct{})
}

// ServeHTTP is the edge.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.gone.Load() {
		http.NotFound(w, r)
		return
	}
	switch {
	case r.URL.Path == "/readyz":
	case r.URL.Path == "/stream/assets":
		f.stream(w, r)
	default:
		f.mu.Lock()
		defer f.mu.Unlock()
		d := f.devices[strings.TrimPrefix(r.URL.Path, "/api/assets/")]
		if d == nil {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(d.frame)
	}
}

func (f *fake) stream(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if f.cutting {
		f.mu.Unlock()
		panic(http.ErrAbortHandler) // ends the connection without an answer
	}
	f.serving.Add(1)
	broken, epoch := f.broken, f.epoch
	f.mu.Unlock()
	defer f.serving.Done()
	w.Header().Set("Content-Type", "text/event-stream")
	at := -1
	out := "retry: 20\n\n"
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		of, offset, _ := strings.Cut(id, ".")
		if of == strconv.Itoa(epoch) {
			at, _ = strconv.Atoi(offset)
		} else {
			out += "event: reset\ndata: {\"reason\":\"epoch\"}\n\n"
		}
	}
	batch := r.URL.Query().Get("format") == "batch"
	for ready := false; ; {
		f.mu.Lock()
		changed := f.changed
		out += f.frames(at, !ready, batch)
		at = f.head
		f.mu.Unlock()
		if !ready {
			out += fmt.Sprintf("event: ready\nid: %d.%d\ndata: {}\n\n", epoch, at)
			ready = true
		}
		if _, err := io.WriteString(w, out); err != nil {
			return
		}
		out = ""
		_ = http.NewResponseController(w).Flush()
		select {
		case <-changed:
		case <-broken:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// frames are the states of what changed after an offset; the last one carries the id.
func (f *fake) frames(after int, snapshot, batch bool) string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(f.devices)) {
		d := f.devices[id]
		if d.version <= after || (f.lies.hide != nil && f.lies.hide(id, snapshot)) {
			continue
		}
		all = append(all, string(d.frame))
		if f.lies.again != nil && d.before != nil && f.lies.again(id, d.metrics[seqMetric]) {
			all = append(all, string(d.before))
		}
	}
	if len(all) == 0 {
		return ""
	}
	id := fmt.Sprintf("id: %d.%d\n", f.epoch, f.head)
	if batch {
		return "event: batch\n" + id + "data: [" + strings.Join(all, ",") + "]\n\n"
	}
	last := len(all) - 1
	out := ""
	for _, frame := range all[:last] {
		out += "data: " + frame + "\n\n"
	}
	return out + id + "data: " + all[last] + "\n\n"
}
