package storetest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

var raceTests = map[string]func(*testing.T, *site){
	"of those who change the same record each wins once":   counters,
	"of those who make the same record one wins":           oneMaker,
	"feeds fold to what the store holds, whatever happens": feedsFold,
	"two records that move together are never seen apart":  pairs,
}

// counters has workers that add to one number by compare and set: nothing is lost and nothing counted twice.
func counters(t *testing.T, s *site) {
	const workers, each = 4, 10
	st := s.open(t, Options{})
	s.commit(t, st, put("n", "0"))
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < each && !t.Failed(); {
				r, err := st.Get(s.ctx, kind, "n")
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(r.Value))
				op := put("n", strconv.Itoa(n+1))
				op.If.Revision = r.Revision
				switch _, err := st.Commit(s.ctx, []store.Op{op}); {
				case err == nil:
					done++
				case devices.KindOf(err) != devices.Conflict:
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if r := s.get(t, st, "n"); string(r.Value) != strconv.Itoa(workers*each) {
		t.Errorf("%d additions make %s", workers*each, r.Value)
	}
}

func oneMaker(t *testing.T, s *site) {
	st := s.open(t, Options{})
	for n := range 10 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		made := 0
		for w := range 4 {
			wg.Go(func() {
				op := put(fmt.Sprint("d", n), fmt.Sprint("of ", w))
				op.If.Absent = true
				_, err := st.Commit(s.ctx, []store.Op{op})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made++
				} else if devices.KindOf(err) != devices.Conflict {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made != 1 {
			t.Errorf("%d made the same record", made)
		}
	}
}

func feedsFold(t *testing.T, s *site) {
	st := s.open(t, Options{})
	views := []*view{s.watch(t, st, kind), s.watch(t, st, kind)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var last store.Revision
	for w := range 3 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for n := range 60 {
				var ops []store.Op
				for i := range 1 + random.IntN(3) {
					id := fmt.Sprint("d", i, random.IntN(4))
					if random.IntN(3) == 0 {
						ops = append(ops, remove(id))
					} else {
						ops = append(ops, put(id, fmt.Sprint(w, "-", n)))
					}
				}
				at, err := st.Commit(s.ctx, ops)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				last = max(last, at)
				mu.Unlock()
			}
		})
	}
	for n := range 40 { // one reads while it happens, the other after it
		at := s.commit(t, st, put("mine", fmt.Sprint(n)))
		mu.Lock()
		last = max(last, at)
		mu.Unlock()
		views[0].until(t, at)
		if n == 20 {
			views = append(views, s.watch(t, st, kind))
		}
	}
	wg.Wait()
	want := make(map[string]string)
	for _, r := range s.all(t, st, kind, 7) {
		want["device/"+r.ID] = string(r.Value)
	}
	for _, v := range views {
		v.until(t, last)
		v.mustBe(t, want)
	}
}

func pairs(t *testing.T, s *site) {
	st := s.open(t, Options{})
	s.commit(t, st, put("left", "0"), put("right", "0"))
	v := s.watch(t, st, kind)
	var wg sync.WaitGroup
	defer wg.Wait()
	done := make(chan store.Revision, 1)
	wg.Go(func() {
		var at store.Revision
		for n := range 100 {
			var err error
			text := fmt.Sprint(n)
			if at, err = st.Commit(s.ctx, []store.Op{put("left", text), put("right", text)}); err != nil {
				t.Error(err)
			}
		}
		done <- at
	})
	for n := 0; ; n++ {
		if n%10 == 0 {
			v.feed.Close()
			v = s.watch(t, st, kind)
		} else {
			v.next(t)
		}
		if v.held["device/left"] != v.held["device/right"] {
			t.Fatalf("at revision %d there are %v", v.at, v.held)
		}
		if v.held["device/left"] == "99" || t.Failed() {
			return
		}
	}
}
