package api

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/rulebook"
	"github.com/fleetcast/fleetcast/devices/store"
	"github.com/fleetcast/fleetcast/gateway/api/openapi/openapitest"
	"github.com/fleetcast/fleetcast/gateway/audit"
	"github.com/fleetcast/fleetcast/gateway/auth"
	"github.com/fleetcast/fleetcast/gateway/command"
)

// newWhole returns an API with everything that one can have.
func newWhole(t testing.TB) *world {
	t.Helper()
	s := store.NewMemory(store.MemoryOptions{})
	people, err := auth.New(auth.Options{Store: s, LocalToken: localToken})
	if err != nil {
		t.Fatal(err)
	}
	who, err := registry.New(registry.Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	book, err := rulebook.New(rulebook.Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	told := audit.New(s, 0, nil)
	for _, run := range []func(context.Context) error{people.Run, who.Run, book.Run, told.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	waiting, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	if err := people.Wait(waiting); err != nil {
		t.Fatal(err)
	}
	if err := who.Wait(waiting, 0); err != nil {
		t.Fatal(err)
	}
	if err := book.Wait(waiting, 0); err != nil {
		t.Fatal(err)
	}
	return newWorld(t, func(o *Options) {
		o.Auth, o.Registry, o.AnyHost = people, who, true
		o.DeadLetters, o.Trails, o.Views, o.WebSocket = &fakeLetters{}, &fakeTrails{}, &fakeViews{}, o.Stream
		o.Rules, o.Notes, o.Webhooks = book, &fakeNotes{}, newSender(t, book)
		o.Commands, o.Audit = command.NewDesk(newBus(t), nil), told
		o.Decode = func(string, []byte) (any, error) {
			return map[string]any{"rule": "", "dialect": "native", "kind": "readings", "dropped": 0, "hygiene": []any{}, "readings": []any{}}, nil
		}
	}, "truck-17")
}

func newBus(t testing.TB) *bus.Memory {
	t.Helper()
	b, err := bus.NewMemory(bus.MemoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const localToken = "fct_local_token_of_the_test_0123456789abcdefghijklmno"

func TestTheDescriptionIsValidAndItsExamplesAre(t *testing.T) {
	if _, err := openapitest.Load(); err != nil {
		t.Fatal(err)
	}
}

// Every route is described, and every operation that is described has its route, with the role that it says.
func TestEveryRouteIsDescribedAndEveryOperationIsThere(t *testing.T) {
	contract, err := openapitest.Load()
	if err != nil {
		t.Fatal(err)
	}
	w := newWhole(t)
	routes := map[string]bool{}
	err = chi.Walk(w.mux, func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if strings.HasPrefix(path, "/stream/") && method != http.MethodGet && method != http.MethodPut {
			return nil // a handler that answers other methods itself
		}
		if method != http.MethodHead && method != http.MethodOptions {
			routes[method+" "+path] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	ids := map[string]bool{}
	for path, item := range contract.Document.Paths.Map() {
		for method, operation := range item.Operations() {
			name := method + " " + path
			described[name] = true
			if !routes[name] {
				t.Errorf("%s is described and not there", name)
			}
			if operation.OperationID == "" || ids[operation.OperationID] || operation.Summary == "" || len(operation.Tags) != 1 || operation.Responses.Default() == nil {
				t.Errorf("%s lacks an operationId of its own, a summary, a tag, or the default answer", name)
			}
			ids[operation.OperationID] = true
			need, isAsked := w.needs[name]
			role, _ := operation.Extensions["x-role"].(string)
			all, _ := operation.Extensions["x-all-fleets"].(bool)
			if isAsked && (role != need.role.String() || all != need.all) {
				t.Errorf("%s needs %v, all fleets %v, and is described with %q, %v", name, need.role, need.all, role, all)
			}
		}
	}
	for name := range routes {
		if !described[name] && name != "PUT /stream/assets" && name != "PUT /stream/ws" {
			t.Errorf("%s is not described: add it to a file of gateway/api/openapi/description", name)
		}
	}
}
