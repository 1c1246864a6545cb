package prove

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/fleetcast/fleetcast/simulator/sseclient"
)

// Bounds of a stream.
const (
	streamPath = "/stream/assets"
	// silence ends a stream on which nothing came for so long; heartbeats come every 15 s.
	silence      = 45 * time.Second
	defaultRetry = 500 * time.Millisecond
)

// statusError is an answer that would end an EventSource for good.
type statusError struct {
	status int
	kind   string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("stream answered with status %d and type %q", e.status, e.kind)
}

// stream is one connection. It is for one goroutine and must be closed.
type stream struct {
	cancel    context.CancelFunc
	watchdog  *time.Timer
	transport *http.Transport
	body      interface{ Close() error }
	parser    *sseclient.Parser
}

// openStream opens a stream of a fleet's assets at an edge. It ends with ctx.
func openStream(ctx context.Context, o *Options, base string, batch bool, id string) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{cancel: cancel, watchdog: time.AfterFunc(silence, cancel), transport: &http.Transport{DisableKeepAlives: true}}
	query := url.Values{"fleet": {o.Fleet}}
	if batch {
		query.Set("format", "batch")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+streamPath+"?"+query.Encode(), nil)
	if err != nil {
		s.end()
		return nil, fmt.Errorf("open stream: %w", err)
	}
	if o.Header != nil {
		request.Header = o.Header.Clone()
	}
	request.Header.Set("Accept", sseclientType)
	if id != "" {
		request.Header.Set("Last-Event-ID", id)
	}
	response, err := s.transport.RoundTrip(request) //nolint:bodyclose // end closes it
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
	s.parser = sseclient.NewParser(response.Body, 0, 0)
	return s, nil
}

const sseclientType = "text/event-stream"

func (s *stream) end() {
	s.watchdog.Stop()
	s.cancel()
	if s.body != nil {
		_ = s.body.Close() // it was cancelled
	}
	s.transport.CloseIdleConnections()
}

func (s *stream) next() (sseclient.Event, error) {
	e, err := s.parser.Next()
	s.watchdog.Reset(silence)
	return e, err
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
