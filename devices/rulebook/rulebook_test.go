package rulebook

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a book on a store.
func start(t *testing.T, s store.Store) *Book {
	t.Helper()
	b, err := New(Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	waiting, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if err := b.Wait(waiting, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func offlineRule(id string) rules.Rule {
	return rules.Rule{ID: id, Severity: rules.Info, When: rules.Condition{Type: rules.Offline}}
}

func TestEveryProcessSeesTheSameRules(t *testing.T) {
	s := store.NewMemory(store.MemoryOptions{})
	t.Cleanup(func() { closeStore(t, s) })
	a, b := start(t, s), start(t, s)
	if b.Rules() == nil || b.Rules().Len() != 0 {
		t.Fatal("a store without rules is not one that is not known")
	}
	k, err := a.CreateRule(t.Context(), offlineRule("gone"))
	if err != nil || a.Rules().Len() != 1 || k.Created == 0 {
		t.Fatal(k, err)
	}
	if err := b.Wait(t.Context(), k.Revision); err != nil || b.Rules().Len() != 1 {
		t.Fatal(err, b.Rules().Len())
	}
	if at, _ := b.Revision(); at < k.Revision {
		t.Errorf("at %d", at)
	}
	// What others write moves the revision too, or an owner would wait for it in vain.
	at, err := s.Commit(t.Context(), []store.Op{{Kind: "other", ID: "x", Value: []byte("1")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Wait(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CreateRule(t.Context(), offlineRule("gone")); devices.KindOf(err) != devices.Conflict {
		t.Error(err)
	}
	if err := b.DeleteRule(t.Context(), "gone", k.Revision+99); err != error(ErrStale) { //nolint:errorlint // it is that very one
		t.Error(err)
	}
	if err := b.DeleteRule(t.Context(), "gone", k.Revision); err != nil || b.Rules().Len() != 0 {
		t.Error(err)
	}
	if _, err := a.ReadRule(t.Context(), "gone"); devices.KindOf(err) != devices.NotFound {
		t.Error(err)
	}
}

func TestBeforeTheyAreLoadedThereIsNoSet(t *testing.T) {
	b, err := New(Options{Store: store.NewMemory(store.MemoryOptions{})})
	if err != nil || b.Rules() != nil || b.Ready() {
		t.Errorf("%v, %v", b.Rules(), err)
	}
	t.Cleanup(func() { closeStore(t, b.o.Store) })
}

func TestPagesHaveWhatIsSeenInOrder(t *testing.T) {
	s := store.NewMemory(store.MemoryOptions{})
	t.Cleanup(func() { closeStore(t, s) })
	b := start(t, s)
	for i := range 7 {
		if _, err := b.CreateRule(t.Context(), offlineRule(fmt.Sprint("r", i))); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	sees := func(r *rules.Rule) bool { return r.ID != "r3" }
	for after, pages := "", 0; ; pages++ {
		found, next := b.RulesPage(after, 2, sees)
		for _, k := range found {
			got = append(got, k.Value.ID)
		}
		if next == "" {
			if pages != 2 {
				t.Errorf("%d pages", pages+1)
			}
			break
		}
		after = next
	}
	if fmt.Sprint(got) != "[r0 r1 r2 r4 r5 r6]" {
		t.Errorf("%v", got)
	}
	if _, err := create(t.Context(), b, &b.rules, KindRule, "r9", &Kept[rules.Rule]{Value: offlineRule("r9")}, 7); devices.KindOf(err) != devices.Exhausted || b.Stats().Refused != 1 {
		t.Error(err)
	}
}

func TestARecordThatCannotBeReadIsAsGoodAsNone(t *testing.T) {
	s := store.NewMemory(store.MemoryOptions{})
	t.Cleanup(func() { closeStore(t, s) })
	at, err := s.Commit(t.Context(), []store.Op{
		{Kind: KindRule, ID: "bad", Value: []byte("{")}, {Kind: KindRule, ID: "wrong", Value: []byte(`{"value":{"id":"wrong","when":{"type":"new"}}}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, s)
	if err := b.Wait(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	if st := b.Stats(); st.Unreadable != 1 || st.Faults != 1 || b.Fault("wrong") == nil || b.Rules().Len() != 0 {
		t.Errorf("%+v", st)
	}
}

func TestWebhooksAreChecked(t *testing.T) {
	good := Webhook{ID: "pager", URL: "https://hooks.example/x", Secret: NewWebhookSecret(), Events: []string{"alert"}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for field, bad := range map[string]func(*Webhook){
		"id":     func(w *Webhook) { w.ID = "a/b" },
		"url":    func(w *Webhook) { w.URL = "ftp://x" },
		"events": func(w *Webhook) { w.Events = []string{"asset"} },
		"secret": func(w *Webhook) { w.Secret = "whsec_c2hvcnQ=" },
	} {
		w := good
		bad(&w)
		if err := w.Check(); devices.KindOf(err) != devices.Invalid || err.Error()[:len(field)] != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, url := range []string{"https://user:secret@hooks.example/", "https://hooks.example/#x", "https:///x", ""} {
		w := good
		w.URL = url
		if w.Check() == nil {
			t.Errorf("%q passes", url)
		}
	}
}

func closeStore(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
