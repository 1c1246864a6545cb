package fleet

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestEveryMemberHasOneTurnAnInterval(t *testing.T) {
	p := pacer{interval: time.Second, members: 4, offset: 100 * time.Millisecond}
	for k, want := range []time.Duration{100, 350, 600, 850, 1100, 1350} {
		if got := p.intended(uint64(k)); got != want*time.Millisecond {
			t.Errorf("turn %d is at %v", k, got)
		}
	}
	for elapsed, want := range map[time.Duration]uint64{0: 0, 99: 0, 100: 1, 349: 1, 350: 2, 1099: 4, 1100: 5, 60100: 241} {
		if got := p.due(elapsed * time.Millisecond); got != want {
			t.Errorf("%d turns are due after %d ms, want %d", got, elapsed, want)
		}
	}
	if (pacer{interval: time.Second}).due(time.Hour) != 0 {
		t.Error("nobody has a turn")
	}
}

func TestDueAndIntendedAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pacer{
			interval: time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "interval")),
			members:  rapid.Uint64Range(1, 200_000).Draw(t, "members"),
			offset:   time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "offset")),
		}
		// The members' turns must be a nanosecond apart or more, as they are at a million a second.
		if uint64(p.interval) < p.members {
			p.interval = time.Duration(p.members)
		}
		elapsed := time.Duration(rapid.Int64Range(0, int64(90*24*time.Hour)).Draw(t, "elapsed"))
		n := p.due(elapsed)
		if n > 0 && p.intended(n-1) > elapsed {
			t.Fatalf("turn %d is due at %v but intended for %v", n-1, elapsed, p.intended(n-1))
		}
		if p.intended(n) <= elapsed {
			t.Fatalf("turn %d is intended for %v and not due at %v", n, p.intended(n), elapsed)
		}
	})
}
