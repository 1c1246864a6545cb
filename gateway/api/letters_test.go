package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

type fakeLetters struct {
	letters []devices.DeadLetter
	err     error
}

func (f *fakeLetters) Reasons() []string { return []string{"empty", "truncated"} }

func (f *fakeLetters) Letters(_ context.Context, reasons []string) ([]devices.DeadLetter, error) {
	return slices.DeleteFunc(slices.Clone(f.letters), func(l devices.DeadLetter) bool { return !slices.Contains(reasons, l.Reason) }), f.err
}

func TestDeadLettersAreShownTheNewestFirst(t *testing.T) {
	f := &fakeLetters{letters: []devices.DeadLetter{
		{At: 1, Reason: "empty", Topic: "a"},
		{At: 3, Reason: "truncated", Topic: "b", Client: "<c>", Payload: []byte(`{"a`), Bytes: 3},
		{At: 2, Reason: "truncated", Topic: "a", Payload: []byte{0xff}, Bytes: 70_000},
	}}
	w := newWorld(t, func(o *Options) { o.DeadLetters = f })
	const (
		first  = `{"at":3,"reason":"truncated","topic":"b","client":"\u003cc\u003e","bytes":3,"payload":"{\"a"}`
		second = `{"at":2,"reason":"truncated","topic":"a","bytes":70000,"truncated":true,"payload_base64":"/w=="}`
		third  = `{"at":1,"reason":"empty","topic":"a","bytes":0,"payload":""}`
	)
	for query, want := range map[string]string{
		"":                          `{"dead_letters":[` + first + `,` + second + `,` + third + `]}`,
		"?reason=empty":             `{"dead_letters":[` + third + `]}`,
		"?reason=truncated&limit=1": `{"dead_letters":[` + first + `]}`,
	} {
		rec := w.do(http.MethodGet, "/api/dead-letters"+query)
		if rec.Code != http.StatusOK || rec.Body.String() != want || rec.Header().Get("X-Content-Type-Options") != "nosniff" || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v\n%s, want\n%s", query, rec.Code, rec.Header(), rec.Body, want)
		}
	}
	isProblem(t, w.do(http.MethodGet, "/api/dead-letters?reason=none"), http.StatusBadRequest, "reason")
	isProblem(t, w.do(http.MethodGet, "/api/dead-letters?limit=0"), http.StatusBadRequest, "limit")
	isProblem(t, w.do(http.MethodGet, "/api/dead-letters?since=0"), http.StatusBadRequest, "since")
	f.err = errors.New("10.0.0.7 is away")
	isProblem(t, w.do(http.MethodGet, "/api/dead-letters"), http.StatusServiceUnavailable, "")
	isProblem(t, newWorld(t, nil).do(http.MethodGet, "/api/dead-letters"), http.StatusNotFound, "")
}
