package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices/rulebook"
)

// message is what is sent: the body as Standard Webhooks has it.
type message struct {
	id   string // the same whenever the event is sent again
	body []byte
}

func newMessage(e *bus.Event, at int64) (message, error) {
	var named struct {
		ID    string `json:"id"`
		State string `json:"state"`
		At    int64  `json:"at"`
	}
	if err := json.Unmarshal(e.Data, &named); err != nil {
		return message{}, fmt.Errorf("read event: %w", err)
	}
	if named.At == 0 {
		named.At = at
	}
	body, err := json.Marshal(struct {
		Type      string          `json:"type"`
		Timestamp string          `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}{e.Name, time.UnixMilli(named.At).UTC().Format("2006-01-02T15:04:05.000Z"), e.Data})
	if err != nil {
		return message{}, fmt.Errorf("encode event: %w", err)
	}
	return message{id: e.Name + "_" + named.ID + "_" + named.State, body: body}, nil
}

// sign is the signature of Standard Webhooks, version 1.
func sign(key []byte, id string, seconds int64, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", id, seconds)
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// answer is what came of a request.
type answer struct {
	status int           // 0: there was none
	after  time.Duration // that the receiver asks to wait
	err    error         // nil: it was delivered
}

// maxRetryAfter bounds what a receiver may ask for.
const maxRetryAfter = time.Hour

// post sends a message once.
func (s *Sender) post(ctx context.Context, hook *rulebook.Webhook, m message) answer {
	key, err := hook.Key()
	if err == nil {
		err = s.guard.check(hook.URL)
	}
	if err != nil {
		return answer{err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(m.body))
	if err != nil {
		return answer{err: fmt.Errorf("make request: %w", err)}
	}
	seconds := s.o.Now().Unix()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Fleetcast-Webhooks")
	req.Header.Set("Webhook-Id", m.id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(seconds, 10))
	req.Header.Set("Webhook-Signature", sign(key, m.id, seconds, m.body))
	res, err := s.client.Do(req)
	if err != nil {
		if errors.Is(err, errRefused) {
			s.counts.guarded.Add(1)
		}
		return answer{err: plainError(err)}
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswerBytes) // nobody reads what it says
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return answer{status: res.StatusCode}
	}
	a := answer{status: res.StatusCode, err: fmt.Errorf("the receiver answers %d", res.StatusCode)}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		a.after = min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	return a
}

// plainError leaves out the address, which may hold a secret of its own: the error is shown and logged.
func plainError(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// Result is what came of a test.
type Result struct {
	Delivered bool   `json:"delivered"`
	Status    int    `json:"status,omitempty"`
	Error     string `json:"error,omitempty"`
	TookMS    int64  `json:"took_ms"`
}

// Test sends a test once, from this process.
func (s *Sender) Test(ctx context.Context, hook *rulebook.Webhook) Result {
	began := s.o.Now()
	body := fmt.Appendf(nil, `{"type":"test","timestamp":%q,"data":{"id":%q,"state":"test"}}`, began.UTC().Format("2006-01-02T15:04:05.000Z"), hook.ID)
	a := s.post(ctx, hook, message{id: "test_" + rulebook.NewID(), body: body})
	r := Result{Delivered: a.err == nil, Status: a.status, TookMS: s.o.Now().Sub(began).Milliseconds()}
	if a.err != nil {
		r.Error = a.err.Error()
	}
	return r
}

// Check tells whether a webhook may be kept.
func (s *Sender) Check(hook *rulebook.Webhook) error {
	if err := hook.Check(); err != nil {
		return err
	}
	return s.guard.check(hook.URL)
}
