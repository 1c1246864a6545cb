package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/store"
)

// twoEdges are two APIs over one store, each with its own registry and memory of repeated requests.
func twoEdges(t *testing.T) (one, other *world, s store.Store) {
	t.Helper()
	s = store.NewMemory(store.MemoryOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	edge := func() *world {
		who, err := registry.New(registry.Options{Store: s})
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, func(o *Options) {
			o.Registry = who
			o.Repeats = NewRepeats(s, o.Logger)
			o.Repeats.log, _ = slogLines()
		})
		for _, run := range []func(context.Context) error{who.Run, w.options.Repeats.Run} {
			wg.Go(func() {
				if err := run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		waiting, stop := context.WithTimeout(ctx, 30*time.Second)
		defer stop()
		if err := who.Wait(waiting, 0); err != nil {
			t.Fatal(err)
		}
		return w
	}
	return edge(), edge(), s
}

func TestARepeatedRequestIsAnsweredAgainAlsoByAnotherEdge(t *testing.T) {
	one, other, s := twoEdges(t)
	const key = `Idempotency-Key: "8e03978e-40d5-43e8-bc93-6894a57f9324"`
	first := one.send("POST", "/api/devices", `{"id":"d","fleet":"f"}`, key)
	if first.Code != 201 || first.Header().Get(replayedHeader) != "" {
		t.Fatalf("%d %s", first.Code, first.Body)
	}
	for _, w := range []*world{one, other} {
		for _, same := range []string{key, "Idempotency-Key: 8e03978e-40d5-43e8-bc93-6894a57f9324"} { // quotes are no part of it
			again := w.send("POST", "/api/devices", `{"id":"d","fleet":"f"}`, same)
			if again.Code != 201 || again.Body.String() != first.Body.String() || again.Header().Get(replayedHeader) != "true" ||
				again.Header().Get("Location") != first.Header().Get("Location") || again.Header().Get("ETag") != first.Header().Get("ETag") {
				t.Errorf("%d %v %s", again.Code, again.Header(), again.Body)
			}
		}
		for _, r := range []struct{ path, body string }{{"/api/devices", `{"id":"e","fleet":"f"}`}, {"/api/fleets", `{"id":"d","fleet":"f"}`}} {
			isProblem(t, w.send("POST", r.path, r.body, key), 422, "Idempotency-Key")
		}
	}
	if stats := other.options.Repeats.Stats(); stats.Replayed != 2 || stats.Mismatched != 2 {
		t.Errorf("%+v", stats)
	}
	// What was shown once stands in the store, and nobody can read it there who has not the key.
	token, _ := decoded(t, first)["token"].(string)
	records, err := s.List(t.Context(), KindRepeat, "", 10)
	if err != nil || len(records) != 1 || token == "" || strings.Contains(string(records[0].Value), token) || strings.Contains(records[0].ID, "8e03978e") {
		t.Errorf("%v %v", err, records)
	}
}

func TestWhatFailedIsTriedAnewWithItsKey(t *testing.T) {
	one, other, _ := twoEdges(t)
	const key = "Idempotency-Key: k1"
	one.send("POST", "/api/devices", `{"id":"d","fleet":"f"}`)
	isProblem(t, one.send("POST", "/api/devices", `{"id":"d","fleet":"f"}`, key), 409, "id")
	one.do("DELETE", "/api/devices/d")
	if rec := other.send("POST", "/api/devices", `{"id":"d","fleet":"f"}`, key); rec.Code != 201 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestOfManyWhoRepeatARequestAtOnceOneIsCarriedOut(t *testing.T) {
	one, other, _ := twoEdges(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes, bodies := map[int]int{}, map[string]bool{}
	for i := range 20 {
		w := one
		if i%2 == 1 {
			w = other
		}
		wg.Go(func() {
			rec := w.send("POST", "/api/devices", `{"id":"d","fleet":"f"}`, "Idempotency-Key: k2")
			mu.Lock()
			defer mu.Unlock()
			codes[rec.Code]++
			switch {
			case rec.Code == 201:
				bodies[rec.Body.String()] = true
			case rec.Header().Get("Retry-After") == "":
				t.Errorf("%d %v", rec.Code, rec.Header())
			}
		})
	}
	wg.Wait()
	if len(bodies) != 1 || codes[201]+codes[409] != 20 {
		t.Errorf("%v, %d different answers", codes, len(bodies))
	}
}

func TestARequestWhoseProcessDiedIsNotDoneTwice(t *testing.T) {
	one, _, s := twoEdges(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/api/devices", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	const body = `{"id":"d","fleet":"f"}`
	k, err := newKeyed(&openCaller, "k3", r, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	dead := NewRepeats(s, one.options.Repeats.log)
	if _, _, err := dead.claim(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	isProblem(t, one.send("POST", "/api/devices", body, "Idempotency-Key: k3"), 409, "Idempotency-Key")
	one.options.Repeats.now = func() time.Time { return time.Now().Add(2 * repeatLease) }
	rec := one.send("POST", "/api/devices", body, "Idempotency-Key: k3")
	isProblem(t, rec, 409, "Idempotency-Key")
	if !strings.Contains(rec.Body.String(), "nobody knows") {
		t.Errorf("%s", rec.Body)
	}
	one.options.Repeats.now = func() time.Time { return time.Now().Add(2 * RepeatTTL) } // and a day later it is another request
	if rec := one.send("POST", "/api/devices", body, "Idempotency-Key: k3"); rec.Code != 201 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestAKeyIsOfItsCallerAndOfWhatTheyMay(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/api/devices", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	north, err := devices.ParseFleetID("north")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for name, c := range map[string]devices.Caller{
		"a user":           {Subject: "ann", Role: devices.Admin, Scope: devices.AllFleets(), Proof: "session/x"},
		"a token so named": {Subject: "ann", Role: devices.Admin, Scope: devices.AllFleets(), Proof: "token/x"},
		"of one fleet":     {Subject: "ann", Role: devices.Admin, Scope: devices.OnlyFleets(north), Proof: "session/x"},
		"as operator":      {Subject: "ann", Role: devices.Operator, Scope: devices.AllFleets(), Proof: "session/x"},
	} {
		k, err := newKeyed(&c, "k", r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := ids[k.id]; taken {
			t.Errorf("%s and %s share keys", name, other)
		}
		ids[k.id] = name
	}
}

func TestKeysThatAreNoneAreRefusedAndImportsTakeNone(t *testing.T) {
	one, _, _ := twoEdges(t)
	for _, bad := range []string{`"open`, "é", strings.Repeat("x", 256), `""`, "a\tb"} {
		isProblem(t, one.send("POST", "/api/fleets", `{"id":"f"}`, "Idempotency-Key: "+bad), 400, "Idempotency-Key")
	}
	isProblem(t, one.send("POST", "/api/devices.csv", "id,fleet\nd,f\n", "Idempotency-Key: k", "Content-Type: text/csv"), 400, "Idempotency-Key")
	if rec := one.send("POST", "/api/fleets", `{"id":"f"}`, `Idempotency-Key: "a \"quoted\" key"`); rec.Code != 201 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestTheOldestKeyOfACallerIsForgottenWhereThereAreTooMany(t *testing.T) {
	p := NewRepeats(store.NewMemory(store.MemoryOptions{}), nil)
	var u store.Update
	for i := range RepeatsPerCaller {
		u.Records = append(u.Records, store.Record{Kind: KindRepeat, ID: fmt.Sprintf("r%d", i), Value: fmt.Appendf(nil, `{"caller":"c","expires":%d}`, 1000+(i+7)%RepeatsPerCaller)})
	}
	p.apply(u)
	ops, err := p.room("c")
	if err != nil || len(ops) != 1 || ops[0].ID != fmt.Sprintf("r%d", RepeatsPerCaller-7) || p.Stats().Forgotten != 1 {
		t.Errorf("%v %v", ops, err)
	}
	if ops, err := p.room("another"); err != nil || len(ops) != 0 {
		t.Errorf("%v %v", ops, err)
	}
	p.apply(store.Update{Records: []store.Record{{Kind: KindRepeat, ID: "r0"}}})
	if ops, err := p.room("c"); err != nil || len(ops) != 0 {
		t.Errorf("with room: %v %v", ops, err)
	}
	if gone := p.expired(); len(gone) != store.MaxOps {
		t.Errorf("%d are removed at once", len(gone))
	}
}
