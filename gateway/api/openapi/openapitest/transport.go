package openapitest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
)

// Transport is an http.RoundTripper that holds every exchange to the description, and reports what differs. Streams pass
// as they come.
type Transport struct {
	Next   http.RoundTripper
	Report func(error)
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	res, err := t.Next.RoundTrip(r)
	if err != nil || strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") || res.StatusCode < 200 {
		return res, err
	}
	got, err := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(got), failing{err}))
	if err != nil {
		return res, nil //nolint:nilerr // the reader of the body meets it
	}
	contract, err := Load()
	if err == nil {
		err = contract.Check(r.Context(), &Exchange{
			Method: r.Method, URL: r.URL, Request: r.Header, RequestBody: sent, Status: res.StatusCode, Answer: res.Header, AnswerBody: got,
		})
	}
	if err != nil {
		t.Report(err)
	}
	return res, nil
}

// failing is the end of a body that did not come whole.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil && !errors.Is(f.err, io.EOF) {
		return 0, f.err
	}
	return 0, io.EOF
}
