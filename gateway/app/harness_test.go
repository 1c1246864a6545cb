package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	gosse "github.com/tmaxmax/go-sse"

	"github.com/fleetcast/fleetcast/gateway/api/openapi/openapitest"
	"github.com/fleetcast/fleetcast/simulator/prove"
)

// patience is how long a test waits for what must come. It is no expectation of a duration: a machine may be slow.
const patience = 30 * time.Second

// testOptions are the defaults on free ports and in a directory of the test, with a short window.
func testOptions(t *testing.T) Options {
	t.Helper()
	o := Defaults()
	o.Store.DataDir = t.TempDir()
	o.MQTT.Listen, o.HTTP.Listen, o.Admin.Listen = freeAddr(t).String(), freeAddr(t).String(), "none"
	o.Fleet.Window = 20 * time.Millisecond
	o.Guard.Rate = 0 // tests ask as often as they can
	return o
}

// gateway is a started App of a test.
type gateway struct {
	*App
	t *testing.T
}

// startGateway starts a gateway and stops it with the test. What it logs is shown when the test fails.
func startGateway(t *testing.T, change ...func(*Options)) *gateway {
	t.Helper()
	o := testOptions(t)
	o.Report.Logger, o.Report.Level = NewLogger(o.Log, testWriter{t})
	for _, f := range change {
		f(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g := &gateway{a, t}
	t.Cleanup(g.stop)
	return g
}

func (g *gateway) stop() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := g.Stop(ctx); err != nil {
		g.t.Errorf("stop gateway: %v", err)
	}
}

// samePorts are options for a gateway that comes up where g was.
func (g *gateway) samePorts(o *Options) {
	o.MQTT.Listen, o.HTTP.Listen = g.Addrs().MQTT.String(), g.Addrs().HTTP.String()
}

// sameData are options for a gateway that finds what g kept.
func (g *gateway) sameData(o *Options) { o.Store.DataDir = g.opts.Store.DataDir }

func (g *gateway) url(path string) string {
	return g.opts.scheme() + "://" + g.Addrs().HTTP.String() + path
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// syncBuffer is a buffer that several goroutines may write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// answer is an HTTP response with its body read.
type answer struct {
	*http.Response
	body []byte
}

// request asks the gateway and reads the answer. header holds pairs of a name and a value; Host may be among them.
func (g *gateway) request(method, path string, header ...string) answer {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.url(path), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	transport := &openapitest.Transport{Next: &http.Transport{DisableKeepAlives: true}, Report: func(err error) { g.t.Error(err) }}
	resp, err := (&http.Client{Transport: transport, Timeout: patience}).Do(req)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatalf("read the answer to %s %s: %v", method, path, err)
	}
	return answer{resp, body}
}

// waitAsset waits until the asset is there and right.
func (g *gateway) waitAsset(id string, right func(asset) bool) asset {
	g.t.Helper()
	var last answer
	a := asset{}
	waitFor(g.t, "asset "+id, func() bool {
		last = g.request("GET", "/api/assets/"+id)
		a = asset{}
		return last.StatusCode == http.StatusOK && json.Unmarshal(last.body, &a) == nil && right(a)
	}, func() string { return string(last.body) })
	return a
}

// waitFor polls a condition.
func waitFor(t *testing.T, what string, holds func() bool, state func() string) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %v in vain for %s; last seen: %s", patience, what, state())
		}
	}
}

// asset is an asset as a dashboard reads it.
type asset map[string]any

func (a asset) id() string { s, _ := a["id"].(string); return s }

func (a asset) number(name string) float64 { n, _ := a[name].(float64); return n }

func (a asset) is(name string, want any) bool { return a[name] == want }

// event is one event of a stream: its type ("" for the default), data and the id that holds after it.
type event = gosse.Event

// stream is a plain SSE client, as simple as an EventSource: it reads what comes, with a reader that is not ours.
type stream struct {
	t      *testing.T
	events chan event
	done   chan struct{} // closed when the connection has ended
	cancel context.CancelFunc
	header http.Header
}

// open opens a stream and expects it to begin. It ends with the test, or by close.
func (g *gateway) open(path, lastEventID string) *stream {
	g.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url(path), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		cancel()
		g.t.Fatalf("open %s: %v", path, err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		resp.Body.Close()
		cancel()
		g.t.Fatalf("open %s: %s %s: %s", path, resp.Status, resp.Header.Get("Content-Type"), body)
	}
	s := &stream{t: g.t, events: make(chan event, 10_000), done: make(chan struct{}), cancel: cancel, header: resp.Header}
	go s.read(resp.Body)
	g.t.Cleanup(s.close)
	return s
}

func (s *stream) read(body io.ReadCloser) {
	defer close(s.done)
	defer body.Close()
	for e, err := range gosse.Read(body, &gosse.ReadConfig{MaxEventSize: 1 << 20}) {
		if err != nil {
			return
		}
		s.events <- e
	}
}

func (s *stream) close() {
	s.cancel()
	<-s.done
}

// next returns the next event that an EventSource would dispatch, without the heartbeats. A block with an id and no data
// dispatches nothing and only sets the id (WHATWG HTML 9.2.6); this reader gives it all the same.
func (s *stream) next() event {
	s.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case e := <-s.events:
			s.isDescribed(e)
			if e.Type != "heartbeat" && e.Data != "" {
				return e
			}
		case <-timer.C:
			s.t.Fatal("waited in vain for an event")
		}
	}
}

// isDescribed holds an event to the AsyncAPI description. Assets with chosen members are the same with less.
func (s *stream) isDescribed(e event) {
	s.t.Helper()
	described, err := openapitest.LoadMessages()
	if err == nil && e.Data != "" {
		err = described.CheckEvent(e.Type, e.Data)
	}
	if err != nil {
		s.t.Error(err)
	}
}

// until returns the events up to the first for which stop is true, that included.
func (s *stream) until(stop func(event) bool) []event {
	s.t.Helper()
	var seen []event
	for {
		e := s.next()
		seen = append(seen, e)
		if stop(e) {
			return seen
		}
	}
}

// snapshot reads to `ready` and returns the assets before it, by id, and the position.
func (s *stream) snapshot() (assets map[string]asset, position string) {
	s.t.Helper()
	assets = map[string]asset{}
	for _, e := range s.until(func(e event) bool { return e.Type == "ready" }) {
		if e.Type == "" {
			a := parseAsset(s.t, e.Data)
			assets[a.id()] = a
		}
		position = e.LastEventID
	}
	return assets, position
}

// asset reads to the first message about the device for which right is true.
func (s *stream) asset(id string, right func(asset) bool) (asset, event) {
	s.t.Helper()
	var a asset
	events := s.until(func(e event) bool {
		if e.Type != "" {
			return false
		}
		a = parseAsset(s.t, e.Data)
		return a.id() == id && right(a)
	})
	return a, events[len(events)-1]
}

func parseAsset(t *testing.T, data string) asset {
	t.Helper()
	var a asset
	if err := json.Unmarshal([]byte(data), &a); err != nil {
		t.Fatalf("asset %q: %v", data, err)
	}
	return a
}

func any1(asset) bool { return true }

func has(name string, want any) func(asset) bool {
	return func(a asset) bool { return a.is(name, want) }
}

// program returns the path of a program that the test needs. Without it the test is skipped, or fails in CI: there a
// skipped test is one that nobody runs.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// publish runs a real mosquitto_pub against the gateway.
func (g *gateway) publish(args ...string) {
	g.t.Helper()
	g.publishTo(g.Addrs().MQTT.String(), args...)
}

// publishTo runs it against another broker.
func (g *gateway) publishTo(addr string, args ...string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.t.Context()), patience)
	defer cancel()
	if out, err := g.mosquitto(ctx, addr, args...).CombinedOutput(); err != nil {
		g.t.Fatalf("mosquitto_pub %v: %v: %s", args, err, out)
	}
}

func (g *gateway) mosquitto(ctx context.Context, addr string, args ...string) *exec.Cmd {
	g.t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		g.t.Fatal(err)
	}
	return exec.CommandContext(ctx, program(g.t, "mosquitto_pub"), append([]string{"-h", host, "-p", port}, args...)...)
}

// telemetry publishes a native payload of a device with QoS 1, so that it is in the inlet when publish returns.
func (g *gateway) telemetry(fleet, device, payload string) {
	g.t.Helper()
	g.publish("-q", "1", "-t", "fleets/"+fleet+"/devices/"+device+"/telemetry", "-m", payload)
}

// A held device is a real MQTT client that stays connected until it is killed or closed.
type heldDevice struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

// hold connects a device that publishes the lines that it is given.
func (g *gateway) hold(args ...string) *heldDevice {
	g.t.Helper()
	cmd := g.mosquitto(context.WithoutCancel(g.t.Context()), g.Addrs().MQTT.String(), append(args, "-l")...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	d := &heldDevice{cmd, stdin}
	g.t.Cleanup(d.kill)
	return d
}

func (d *heldDevice) say(t *testing.T, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(d.stdin, line); err != nil {
		t.Fatalf("give mosquitto_pub a line: %v", err)
	}
}

// kill ends the device as a dead battery does: without a word to the broker.
func (d *heldDevice) kill() {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
}

// freeAddr is an address on which nobody listens, of a port that the kernel gives to nobody by itself: what stops and comes
// back finds it free.
func freeAddr(t *testing.T) net.Addr {
	t.Helper()
	text, err := prove.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	addr, err := net.ResolveTCPAddr("tcp", text)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// free tells whether an address can be bound, which it can when nobody listens there.
func free(t *testing.T, addr net.Addr) bool {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr.String())
	if err != nil {
		if errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		return false
	}
	l.Close()
	return true
}
