package prove

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/fleetcast/fleetcast/simulator/sseclient"
)

// Bounds of a stream.
const (
	streamPath = "/stream/assets"
	// defaultSilence ends a stream on which nothing came for so long; heartbeats come every 15 s.
	defaultSilence = 45 * time.Second
	defaultRetry   = 500 * time.Millisecond
)

// statusError is an answer that would end an EventSource for good.
type statusError struct {
	status int
	kind   string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("stream answered with status %d and type %q", e.status, e.kind)
}

// stream is one connection. It is for one goroutine, but for look, and must be ended.
type stream interface {
	next() (sseclient.Event, error)
	// at is the id that resumes, "" for none, and the time after which to reconnect, 0 where none was said.
	at() (id string, retry time.Duration)
	look(ctx context.Context, v view) error
	end()
}

// listening is what is needed to open a stream.
type listening struct {
	base string
	ask  *ask
	id   string // "" is none
	over transport
	pace int64 // bytes a second; 0 is as fast as it goes
}

// open opens a stream at an edge. It ends with ctx.
func (r *run) open(ctx context.Context, l listening) (stream, error) {
	if l.over == overWebSocket {
		return r.openWebSocket(ctx, l)
	}
	return r.openEvents(ctx, l)
}

// events is a stream of Server-Sent Events.
type events struct {
	run       *run
	base      string
	cancel    context.CancelFunc
	watchdog  *time.Timer
	transport *http.Transport // of its own; nil: it shares one
	body      io.Closer
	parser    *sseclient.Parser
}

func (r *run) openEvents(ctx context.Context, l listening) (stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &events{run: r, base: l.base, cancel: cancel, watchdog: time.AfterFunc(r.options.Silence, cancel)}
	transport := r.shared
	if l.over != overHTTP2 {
		s.transport = r.ownTransport(l)
		transport = s.transport
	}
	request, err := r.request(ctx, l)
	if err != nil {
		s.end()
		return nil, err
	}
	response, err := transport.RoundTrip(request) //nolint:bodyclose // end closes it
	if err != nil {
		s.end()
		return nil, fmt.Errorf("open stream: %w", err)
	}
	s.body = response.Body
	contentType := response.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(contentType); err != nil || kind != sseclientType || response.StatusCode != http.StatusOK {
		s.end()
		return nil, &statusError{response.StatusCode, contentType}
	}
	var body io.Reader = response.Body
	if l.pace > 0 {
		body = sseclient.Paced(ctx, body, l.pace)
	}
	s.parser = sseclient.NewParser(body, 0, 0)
	return s, nil
}

// ownTransport is for one stream.
func (r *run) ownTransport(l listening) *http.Transport {
	t := &http.Transport{DisableKeepAlives: true}
	if l.over == overOwnHTTP2 {
		t = sseclient.NewHTTP2()
	}
	t.TLSClientConfig = r.options.TLS.Clone()
	if l.pace > 0 {
		sseclient.Slow(t)
	}
	return t
}

func (r *run) request(ctx context.Context, l listening) (*http.Request, error) {
	query := maps.Clone(l.ask.query)
	if l.ask.batch {
		query.Set("format", "batch")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base+streamPath+"?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	if r.options.Header != nil {
		request.Header = r.options.Header.Clone()
	}
	request.Header.Set("Accept", sseclientType)
	request.Header.Set("Sec-Fetch-Mode", "cors") // as a browser's EventSource says
	if l.id != "" {
		request.Header.Set("Last-Event-ID", l.id)
	}
	return request, nil
}

const sseclientType = "text/event-stream"

func (s *events) end() {
	s.watchdog.Stop()
	s.cancel()
	if s.body != nil {
		_ = s.body.Close() // it was cancelled
	}
	if s.transport != nil {
		s.transport.CloseIdleConnections()
	}
}

func (s *events) next() (sseclient.Event, error) {
	e, err := s.parser.Next()
	s.watchdog.Reset(s.run.options.Silence)
	return e, err
}

func (s *events) at() (string, time.Duration) {
	return s.parser.LastEventID(), max(s.parser.Retry(), 0)
}

// look asks the edge to move the box.
func (s *events) look(ctx context.Context, v view) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("move view: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, s.base+"/stream/"+url.PathEscape(v.sid)+"/view", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("move view: %w", err)
	}
	if s.run.options.Header != nil {
		request.Header = s.run.options.Header.Clone()
	}
	request.Header.Set("Content-Type", "application/json")
	client := newClient(s.run.options.TLS)
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("move view: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("move view: answered with status %d", response.StatusCode)
	}
	return nil
}

// assets calls visit for each asset of an event: a message has one, a batch an array.
func assets(e sseclient.Event, visit func([]byte)) error {
	if e.Type == "" {
		visit(e.Data)
		return nil
	}
	var all []json.RawMessage
	if err := json.Unmarshal(e.Data, &all); err != nil {
		return fmt.Errorf("read batch: %w", err)
	}
	for _, a := range all {
		visit(a)
	}
	return nil
}
