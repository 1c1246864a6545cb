package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestDecodingIsAnsweredAndBounded(t *testing.T) {
	var topics []string
	w := newWorld(t, func(o *Options) {
		o.Decode = func(topic string, payload []byte) (any, error) {
			topics = append(topics, topic)
			if topic == "broken" {
				return nil, errors.New("a fault of ours")
			}
			return map[string]string{"kind": string(payload)}, nil
		}
	})
	post := func(target, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
		r.Host = "localhost:8080"
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		return rec
	}
	rec := post("/api/decode?topic=a%2Fb%20c", "</script>")
	if rec.Code != http.StatusOK || rec.Body.String() != `{"kind":"\u003c/script\u003e"}` || rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if len(topics) != 1 || topics[0] != "a/b c" {
		t.Errorf("topics %q", topics)
	}
	isProblem(t, post("/api/decode", "{}"), http.StatusBadRequest, "topic")
	isProblem(t, post("/api/decode?topic=%ff", "{}"), http.StatusBadRequest, "topic")
	isProblem(t, post("/api/decode?topic="+strings.Repeat("x", maxDecodeTopicBytes+1), "{}"), http.StatusBadRequest, "topic")
	isProblem(t, post("/api/decode?topic=a", strings.Repeat("x", MaxBody+1)), http.StatusRequestEntityTooLarge, "")
	isProblem(t, post("/api/decode?topic=broken", "{}"), http.StatusInternalServerError, "")
	isProblem(t, w.do(http.MethodGet, "/api/decode?topic=a"), http.StatusMethodNotAllowed, "")
	isProblem(t, newWorld(t, nil).do(http.MethodPost, "/api/decode?topic=a"), http.StatusNotFound, "")
}
