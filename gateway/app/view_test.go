package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"pgregory.net/rapid"
)

// put changes the view of a stream, and returns the status.
func (g *gateway) put(t rapid.TB, sid, body, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPut, g.url("/stream/"+sid+"/view"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// heard is what a viewer was told: every device of which anything was said, and what it shows in the end.
type heard struct {
	of    map[string]bool
	shows map[string]bool
}

func newHeard() *heard { return &heard{map[string]bool{}, map[string]bool{}} }

func (h *heard) tell(t rapid.TB, event, data string) (sid string) {
	t.Helper()
	var a struct{ ID, SID string }
	if err := json.Unmarshal([]byte(data), &a); err != nil {
		t.Fatalf("%s %s: %v", event, data, err)
	}
	switch event {
	case "":
		h.of[a.ID], h.shows[a.ID] = true, true
	case "removed":
		h.of[a.ID] = true
		delete(h.shows, a.ID)
	case "reset":
		clear(h.shows)
	}
	return a.SID
}

func (h *heard) ids() []string {
	ids := make([]string, 0, len(h.shows))
	for id := range h.shows {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// viewOf opens a stream of all that the token may see, changes its view, and returns the answer and what was heard.
func (g *gateway) viewOf(t rapid.TB, token, body string) (int, *heard) {
	t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url("/stream/assets?every=100"), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	h, event, ready, status := newHeard(), "", 0, 0
	for lines := bufio.NewScanner(res.Body); ready < 2; {
		if !lines.Scan() {
			t.Fatalf("the stream ended: %v", lines.Err())
		}
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		sid := h.tell(t, event, data)
		if event == "ready" {
			ready++
		}
		if event == "ready" && ready == 1 {
			status = g.put(t, sid, body, token)
		}
		if event = ""; status != 0 && status != http.StatusAccepted {
			break
		}
	}
	return status, h
}

// socketOf subscribes over WebSocket, and returns what was heard to ready, or the problem's status.
func (g *gateway) socketOf(t rapid.TB, token, message string) (int, *heard) {
	t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, g.url("/stream/ws"), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow() //nolint:errcheck // it may be closed
	if err := conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	h := newHeard()
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(text, []byte("[")) {
			var assets []json.RawMessage
			if err := json.Unmarshal(text, &assets); err != nil {
				t.Fatal(err)
			}
			for _, a := range assets {
				h.tell(t, "", string(a))
			}
			continue
		}
		var m struct {
			Event string
			Data  json.RawMessage
		}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		switch m.Event {
		case "ready":
			return http.StatusOK, h
		case "error":
			var p struct{ Status int }
			if err := json.Unmarshal(m.Data, &p); err != nil {
				t.Fatal(err)
			}
			return p.Status, h
		}
		h.tell(t, m.Event, string(m.Data))
	}
}

// holdTheWalls checks that neither a view nor a WebSocket shows or names what is of other fleets than a token's own.
func (g *gateway) holdTheWalls(t rapid.TB, token string, own, asked, want []string) {
	t.Helper()
	filter := ""
	if len(asked) > 0 {
		filter = fmt.Sprintf(`,"fleets":["%s"]`, strings.Join(asked, `","`))
	}
	status, h := g.viewOf(t, token, `{"seq":1,"bbox":[0,0,5,5]`+filter+`}`)
	sockets, s := g.socketOf(t, token, `{"action":"subscribe","every":100`+filter+`}`)
	for id := range h.of {
		if fleet, _, _ := strings.Cut(id, "-"); !slices.Contains(own, fleet) {
			t.Fatalf("a token of %v is told of %s", own, id)
		}
	}
	if len(want) == 0 {
		if status != http.StatusForbidden || sockets != http.StatusForbidden || len(s.of) > 0 {
			t.Fatalf("a token of %v that asks for %v gets %d, and %d by websocket", own, asked, status, sockets)
		}
		return
	}
	if status != http.StatusAccepted || !slices.Equal(h.ids(), want) || sockets != http.StatusOK || !slices.Equal(s.ids(), want) {
		t.Fatalf("a token of %v that asks for %v sees %v (%d), and %v (%d) by websocket", own, asked, h.ids(), status, s.ids(), sockets)
	}
}

// The view of a stream is changed at any edge, by whoever opened it.
func TestTheViewOfAStreamIsChangedAtAnyEdge(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	bridge := startGateway(t, redis.role(RoleBridge))
	broker := startGateway(t, redis.role(RoleBroker))
	edge, other := startGateway(t, redis.role(RoleEdge)), startGateway(t, redis.role(RoleEdge))
	broker.waitReady(RoleBroker)
	bridge.waitReady(RoleBridge)
	edge.waitReady(RoleEdge)
	broker.telemetry("north", "here", `{"lat":1,"lon":1}`)
	broker.telemetry("south", "there", `{"lat":50,"lon":50}`)
	edge.waitAsset("here", any1)
	edge.waitAsset("there", any1)
	s := edge.open("/stream/assets?bbox=0,0,10,10", "")
	var sid string
	for _, e := range s.until(func(e event) bool { return e.Type == "ready" }) {
		sid = newHeard().tell(t, e.Type, e.Data)
	}
	if got := other.put(t, sid, `{"seq":1,"bbox":[40,40,60,60]}`, ""); got != http.StatusAccepted {
		t.Fatalf("the other edge answers %d", got)
	}
	h := newHeard()
	h.shows["here"] = true
	events := s.until(func(e event) bool { return e.Type == "ready" })
	if events[0].Type != "view" || events[0].Data != `{"seq":1}` {
		t.Errorf("first comes %+v", events[0])
	}
	for _, e := range events {
		h.tell(t, e.Type, e.Data)
	}
	if got := h.ids(); !slices.Equal(got, []string{"there"}) {
		t.Errorf("it shows %v", got)
	}
	for body, want := range map[string]int{`{"seq":1}`: 204, `{"seq":2,"bbox":[1]}`: 400} {
		if got := other.put(t, sid, body, ""); got != want {
			t.Errorf("%s gives %d, want %d", body, got, want)
		}
	}
	edge.stop()
	if got := other.put(t, sid, `{"seq":3}`, ""); got != http.StatusNotFound {
		t.Errorf("a stream whose edge is gone gives %d", got)
	}
}

// The article's WebSocket client listens to a whole gateway, and is told when it stops.
func TestAWebSocketListensToAWholeGateway(t *testing.T) {
	g := startGateway(t)
	g.telemetry("north", "truck-17", fromTheReadme)
	g.telemetry("south", "van-1", `{"lat":3,"lon":4}`)
	g.waitAsset("van-1", any1)
	g.waitAsset("truck-17", any1)
	if status, h := g.socketOf(t, "", `{"action":"subscribe","fleets":["north"]}`); status != http.StatusOK || !slices.Equal(h.ids(), []string{"truck-17"}) {
		t.Errorf("%d %v", status, h.ids())
	}
	conn, _, err := websocket.Dial(t.Context(), g.url("/stream/ws"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow() //nolint:errcheck // it may be closed

	foreign := &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}}
	if _, _, err := websocket.Dial(t.Context(), g.url("/stream/ws"), foreign); err == nil {
		t.Error("a page of another site connects")
	}
	ended := make(chan error, 1)
	go func() {
		_, _, err := conn.Read(context.Background())
		ended <- err
	}()
	g.stop()
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("%v", err)
	}
}
