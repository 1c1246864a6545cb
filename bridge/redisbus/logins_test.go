package redisbus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// Every door hears the same in the same order, its own included, and nothing of before it came.
func TestDoorsHearWhoSignedInInOneOrder(t *testing.T) {
	s := startServer(t)
	same := func(o *Options) { o.Prefix = "logins" }
	one, two := open(t, s.url(), same), open(t, s.url(), same)
	if err := one.AnnounceLogins(t.Context(), 1, []bus.LoginMark{{Account: "old", Client: "old"}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var following sync.WaitGroup
	heard := map[int][]string{}
	for i, b := range []*Bus{one, two} {
		following.Go(func() {
			if err := b.FollowLogins(ctx, func(door bus.DoorID, logins []bus.LoginMark) {
				mu.Lock()
				defer mu.Unlock()
				for _, l := range logins {
					heard[i] = append(heard[i], fmt.Sprint(uint64(door), l))
				}
			}); err != nil {
				t.Error(err)
			}
		})
	}
	count := func(i int) int {
		mu.Lock()
		defer mu.Unlock()
		return len(heard[i])
	}
	eventually(t, "both to follow", func() error { // who follows from now on cannot be asked
		if err := one.AnnounceLogins(t.Context(), 9, []bus.LoginMark{{Client: "probe"}}); err != nil {
			return err
		}
		if count(0) == 0 || count(1) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	many := make([]bus.LoginMark, bus.MaxLogins+1)
	for i := range many {
		many[i] = bus.LoginMark{Account: "a", Client: fmt.Sprint("client-", i)}
	}
	if err := one.AnnounceLogins(t.Context(), 1, many); err != nil {
		t.Fatal(err)
	}
	if err := two.AnnounceLogins(t.Context(), 2, []bus.LoginMark{{Account: "b", Client: "last"}}); err != nil {
		t.Fatal(err)
	}
	last := fmt.Sprint(2, bus.LoginMark{Account: "b", Client: "last"})
	eventually(t, "the last", func() error {
		mu.Lock()
		defer mu.Unlock()
		for i := range 2 {
			if got := heard[i][len(heard[i])-1]; got != last {
				return errors.New(got)
			}
		}
		return nil
	})
	cancel()
	following.Wait()
	for i := range 2 {
		rest := heard[i][max(0, len(heard[i])-len(many)-1):]
		if len(rest) != len(many)+1 || rest[0] != fmt.Sprint(1, many[0]) || heard[i][0] == fmt.Sprint(1, bus.LoginMark{Account: "old", Client: "old"}) {
			t.Errorf("door %d hears %d, first %q", i, len(heard[i]), heard[i][0])
		}
	}
}
