package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

func TestEveryKindHasAStatusAndATypeOfItsOwn(t *testing.T) {
	want := map[devices.Kind]int{
		devices.Internal: 500, devices.Invalid: 400, devices.NotFound: 404, devices.Conflict: 409, devices.Unauthorized: 401,
		devices.Forbidden: 403, devices.TooLarge: 413, devices.Exhausted: 429, devices.Unavailable: 503,
	}
	types := map[string]bool{}
	for kind := devices.Internal; kind <= devices.Unavailable; kind++ {
		p := Of(devices.Errorf(kind, "", "text"))
		if p.Status != want[kind] {
			t.Errorf("%v has status %d, want %d", kind, p.Status, want[kind])
		}
		if m, ok := Explain(strings.TrimPrefix(p.Type, TypePrefix)); !ok || m.Text == "" {
			t.Errorf("nobody explains %s", p.Type)
		}
		types[p.Type] = true
	}
	for _, p := range []Problem{MethodNotAllowed("GET"), Misdirected("no"), KeyReused("Idempotency-Key"), UnsupportedMediaType("x")} {
		if m, ok := Explain(strings.TrimPrefix(p.Type, TypePrefix)); !ok || m.Status != p.Status || p.Status < 400 {
			t.Errorf("nobody explains %+v", p)
		}
	}
	if _, ok := Explain("nonsense"); ok {
		t.Error("nonsense is explained")
	}
	if len(types) != len(want) {
		t.Errorf("%d types for %d kinds", len(types), len(want))
	}
}

func TestInternalsNeverLeak(t *testing.T) {
	for _, err := range []error{
		errors.New("open /var/lib/secret: denied"),
		fmt.Errorf("outer secret: %w", &devices.Error{Kind: devices.Internal, Detail: "secret", Field: "secret", Err: errors.New("secret")}),
		fmt.Errorf("outer secret: %w", &devices.Error{Kind: devices.Unavailable, Detail: "the inlet is full", Err: errors.New("secret")}),
		nil,
	} {
		rec := httptest.NewRecorder()
		Write(rec, httptest.NewRequest(http.MethodGet, "/", nil), err)
		if strings.Contains(rec.Body.String(), "secret") {
			t.Errorf("%v leaks: %s", err, rec.Body)
		}
	}
}

func TestAProblemHasTheseBytes(t *testing.T) {
	rec := httptest.NewRecorder()
	p := Of(fmt.Errorf("parse query: %w", devices.Errorf(devices.Invalid, "every", "is below 100")))
	p.RetryAfter = 1500 * time.Millisecond
	p.Write(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	want := `{"type":"/problems/invalid","title":"Invalid request","status":400,"detail":"every is below 100","parameter":"every"}` + "\n"
	if rec.Body.String() != want || rec.Code != 400 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if got := rec.Header(); got.Get("Content-Type") != "application/problem+json" || got.Get("Retry-After") != "2" || got.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", got)
	}
}

func TestHostileTextStaysJSON(t *testing.T) {
	rec := httptest.NewRecorder()
	Write(rec, httptest.NewRequest(http.MethodGet, "/", nil), devices.Errorf(devices.Invalid, "</script>\r\n\xff", "\x00\u2028<b>"))
	var back map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &back); err != nil || strings.ContainsAny(strings.TrimSuffix(rec.Body.String(), "\n"), "<>\r\n\u2028") {
		t.Errorf("%v: %q", err, rec.Body)
	}
}

func TestALongNameIsNotRepeatedWhole(t *testing.T) {
	p := Of(devices.Errorf(devices.Invalid, strings.Repeat("é", 1<<20), "is unknown"))
	if want := strings.Repeat("é", 32) + "…"; p.Parameter != want || p.Detail != want+" is unknown" {
		t.Errorf("%.200s", p.Detail)
	}
}

func TestHeadHasNoBodyAndMethodNotAllowedNamesTheMethods(t *testing.T) {
	rec := httptest.NewRecorder()
	MethodNotAllowed("GET", "HEAD").Write(rec, httptest.NewRequest(http.MethodHead, "/", nil))
	if rec.Body.Len() != 0 || rec.Code != 405 || rec.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("%d %v %q", rec.Code, rec.Header(), rec.Body)
	}
}

func TestWhoShowsAProofThatDoesNotHoldIsToldSo(t *testing.T) {
	for header, want := range map[string]string{"": "Bearer", "Bearer x": `Bearer error="invalid_token"`} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		rec := httptest.NewRecorder()
		Write(rec, r, devices.Errorf(devices.Unauthorized, "", "no"))
		if got := rec.Header().Get("WWW-Authenticate"); got != want {
			t.Errorf("%q: %q", header, got)
		}
	}
}
