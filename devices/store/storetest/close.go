package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/fleetcast/fleetcast/devices/store"
)

var closeTests = map[string]func(*testing.T, *site){
	"a closed store says so":      closedStore,
	"a closed feed says so":       closedFeed,
	"close ends those who wait":   closeEndsWaits,
	"a follower ends with either": followerEnds,
}

func closedStore(t *testing.T, s *site) {
	st := s.open(t, Options{})
	s.commit(t, st, put("a", "1"))
	v := s.watch(t, st, kind)
	for range 2 {
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, commit := st.Commit(s.ctx, []store.Op{put("a", "2")})
	_, get := st.Get(s.ctx, kind, "a")
	_, list := st.List(s.ctx, kind, "", 1)
	_, watch := st.Watch(s.ctx, kind)
	_, next := v.feed.Next(s.ctx)
	for what, err := range map[string]error{"commit": commit, "get": get, "list": list, "watch": watch, "next": next} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s gives %v, want ErrClosed", what, err)
		}
	}
}

func closedFeed(t *testing.T, s *site) {
	st := s.open(t, Options{})
	v := s.watch(t, st, kind)
	s.commit(t, st, put("a", "1"))
	v.feed.Close()
	v.feed.Close()
	if _, err := v.feed.Next(s.ctx); !errors.Is(err, store.ErrClosed) {
		t.Errorf("next gives %v, want ErrClosed", err)
	}
	s.watch(t, st, kind).mustBe(t, map[string]string{"device/a": "1"}) // others go on
}

func closeEndsWaits(t *testing.T, s *site) {
	st := s.open(t, Options{})
	one, two := s.watch(t, st, kind), s.watch(t, st, kind)
	ended := make(chan error, 2)
	for _, v := range []*view{one, two} {
		go func() {
			_, err := v.feed.Next(s.ctx)
			ended <- err
		}()
	}
	one.feed.Close()
	if err := <-ended; !errors.Is(err, store.ErrClosed) {
		t.Errorf("the closed feed gives %v", err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, store.ErrClosed) {
		t.Errorf("the feed of a closed store gives %v", err)
	}
}

func followerEnds(t *testing.T, s *site) {
	st := s.open(t, Options{})
	f := store.NewFollower(st, func(store.Update) {}, kind)
	if err := s.run(t, f.Run)(); err != nil {
		t.Errorf("a follower that is stopped gives %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- f.Run(s.ctx) }()
	if err := f.Wait(s.ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, store.ErrClosed) {
		t.Errorf("a follower of a closed store gives %v", err)
	}
	if err := f.Run(context.Background()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a follower that begins then gives %v", err)
	}
}
