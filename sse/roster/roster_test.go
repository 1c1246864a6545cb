package roster

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type kind struct {
	stubborn bool // ends only when it is cut
	endless  bool // not even then
}

// fake is a connection that ends as it is told, or only when it is cut.
type fake struct {
	kind

	roster *Roster[*fake]
	client netip.Prefix

	once sync.Once
	at   time.Time
	back time.Duration
	cut  bool
}

func (f *fake) end() {
	f.once.Do(func() {
		f.at = time.Now()
		f.roster.Remove(f)
		f.roster.Release(f.client)
	})
}

func (f *fake) Drain(back time.Duration) {
	if f.back == 0 {
		f.back = back
	}
	if !f.stubborn {
		f.end()
	}
}

func (f *fake) Cut() {
	f.cut = true
	if !f.endless {
		f.end()
	}
}

func open(t *testing.T, r *Roster[*fake], n int, k kind) []*fake {
	t.Helper()
	all := make([]*fake, n)
	for i := range all {
		if v := r.Admit(netip.Prefix{}); v != Admitted {
			t.Fatalf("connection %d gets verdict %d", i, v)
		}
		all[i] = &fake{roster: r, kind: k}
		r.Add(all[i])
	}
	return all
}

func TestPlacesAreBoundedInAllAndOfEachClient(t *testing.T) {
	r := New[*fake](4, 2)
	one, other := netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("2001:db8::/64")
	for i, c := range []struct {
		client netip.Prefix
		want   Verdict
	}{{one, Admitted}, {one, Admitted}, {one, ClientFull}, {other, Admitted}, {netip.Prefix{}, Admitted}, {netip.Prefix{}, Full}, {other, Full}} {
		if got := r.Admit(c.client); got != c.want {
			t.Errorf("%d: verdict %d, want %d", i, got, c.want)
		}
	}
	r.Release(one)
	if got := r.Admit(one); got != Admitted {
		t.Errorf("a place that was given back: verdict %d", got)
	}
	for _, client := range []netip.Prefix{one, one, other, {}} {
		r.Release(client)
	}
	if taken, _ := r.Counts(); taken != 0 || len(r.clients) != 0 { // else every address that ever came stays
		t.Errorf("%d places are taken, %d clients remembered", taken, len(r.clients))
	}
}

func TestDrainSpreadsTheEndsAndTheReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 4000 // two seconds' worth
		r := New[*fake](n, n)
		all := open(t, r, n, kind{})
		began := time.Now()
		if err := r.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		moments, returns := map[time.Time]int{}, map[time.Duration]bool{}
		for _, f := range all {
			moments[f.at]++
			returns[f.back] = true
			if f.back < minReturn || f.back > minReturn+2*time.Second || f.cut {
				t.Fatalf("one is told to come back after %v; cut: %v", f.back, f.cut)
			}
		}
		if took := time.Since(began); len(moments) != 100 || len(returns) < n/2 || took > 2*time.Second {
			t.Errorf("%d moments, %d times of return, %v", len(moments), len(returns), took)
		}
		if v := r.Admit(netip.Prefix{}); v != Stopping {
			t.Errorf("after it: verdict %d", v)
		}
		if taken, opened := r.Counts(); taken != 0 || opened != n {
			t.Errorf("%d are open of %d", taken, opened)
		}
	})
}

func TestDrainCutsWhatDoesNotEnd(t *testing.T) {
	for name, c := range map[string]struct {
		bound time.Duration // of the context
		most  time.Duration
	}{"after the grace": {time.Minute, Grace + time.Second}, "when its time is over": {50 * time.Millisecond, time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			r := New[*fake](300, 300)
			all := open(t, r, 300, kind{stubborn: true})
			ctx, cancel := context.WithTimeout(t.Context(), c.bound)
			defer cancel()
			began := time.Now()
			if err := r.Drain(ctx); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for _, f := range all {
				if !f.cut || f.back == 0 {
					t.Fatalf("%s: one was cut: %v, told to come back after %v", name, f.cut, f.back)
				}
			}
			if took := time.Since(began); took > c.most {
				t.Errorf("%s: drained after %v", name, took)
			}
		})
	}
}

func TestCloseSaysHowManyWouldNotGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[*fake](3, 3)
		open(t, r, 2, kind{stubborn: true, endless: true})
		for range 2 {
			if err := r.Close(); err == nil || err.Error() != "close connections: 2 are still open" {
				t.Errorf("%v", err)
			}
		}
	})
}

func TestWhatBeginsDuringDrainIsDrainedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[*fake](3, 3)
		if v := r.Admit(netip.Prefix{}); v != Admitted { // a request that is becoming a connection
			t.Fatal(v)
		}
		ended := make(chan error, 1)
		go func() { ended <- r.Drain(t.Context()) }()
		synctest.Wait()
		if !r.IsStopping() {
			t.Error("it does not stop")
		}
		late := &fake{roster: r}
		r.Add(late)
		if err := <-ended; err != nil || late.back == 0 || late.cut {
			t.Errorf("%v; told to come back after %v; cut: %v", err, late.back, late.cut)
		}
	})
}

func TestAnEmptyRosterIsDrainedAtOnceAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[*fake](1, 1)
		began := time.Now()
		for range 2 {
			if err := r.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if time.Since(began) != 0 {
			t.Errorf("it took %v", time.Since(began))
		}
	})
}
