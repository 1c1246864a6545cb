package redisbus

import (
	"errors"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// A backup that is restored while nothing of ours runs is taken for the history that it was a part of: the same epoch, and
// offsets that meant something else. That is what NewEpochs is for.
func TestAfterABackupWasRestoredANewHistoryIsBegun(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--dbfilename", "dump.rdb")
	prefix := ""
	session := func(use func(*Bus)) {
		o := Options{URL: s.url(), Prefix: prefix, Partitions: 1}
		if prefix == "" {
			prefix = "kept"
			o.Prefix = prefix
		}
		b, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		use(b)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	f := fleetIn(0, 1)
	var saved, seen bus.Position
	session(func(b *Bus) {
		l := own(t, b, 0)
		saved = publish(t, l, change(f, 1, "a"))
		s.do(t, "SAVE")
		seen = publish(t, l, change(f, 1, "seen by a viewer"))
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	s.kill() // and what was saved is what comes back
	s.start(t)
	session(func(b *Bus) {
		if v := watch(t, b, 0); v.at != saved || seen.Epoch != saved.Epoch {
			t.Fatalf("restored at %v, saved at %v, seen %v: the test tests nothing", v.at, saved, seen)
		}
	})
	session(func(b *Bus) {
		if n, err := b.NewEpochs(t.Context()); n != 1 || err != nil {
			t.Fatalf("%d new histories, %v", n, err)
		}
	})
	session(func(b *Bus) {
		v := watch(t, b, 0)
		if v.at.Epoch == saved.Epoch {
			t.Error("the history goes on")
		}
		v.until(t, publish(t, own(t, b, 0), change(f, 1, "new")))
		v.mustHold(t, 1, "new")
	})
}

func TestANewHistoryReachesThoseWhoLive(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := open(t, s.url())
	f := fleetIn(0, 1)
	l := own(t, b, 0)
	publish(t, l, change(f, 1, "a"))
	v := watch(t, b, 0)
	if n, err := b.NewEpochs(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d new histories, %v", n, err)
	}
	if _, err := l.Publish(t.Context(), &bus.Flush{Time: 2, Changes: []bus.Change{change(f, 1, "b")}}); !errors.Is(err, bus.ErrLost) {
		t.Fatalf("the owner is told %v", err)
	}
	v.until(t, publish(t, own(t, b, 0), change(f, 1, "c")))
	v.mustHold(t, 1, "c")
	if v.epochs < 2 {
		t.Error("who watches was told of no new epoch")
	}
}

func TestAStoreThatIsBeingFilledIsNotOpened(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	migrating := func(o *Options) { o.Migrate = true }
	b := open(t, s.url(), migrating)
	s.do(t, "SET", b.opts.Prefix+":{p0}:state", "stale")
	s.do(t, "SET", b.opts.Prefix+"X:other", "somebody else's")
	if err := b.BeginMigration(t.Context(), "from there"); err != nil {
		t.Fatal(err)
	}
	if got := s.do(t, "EXISTS", b.opts.Prefix+":{p0}:state", b.opts.Prefix+"X:other"); got != int64(1) {
		t.Errorf("%v keys are left of one that must go and one that must stay", got)
	}
	o := Options{URL: s.url(), Prefix: b.opts.Prefix}
	if _, err := Open(t.Context(), o); devices.KindOf(err) != devices.Conflict {
		t.Fatalf("a store that is half filled opens: %v", err)
	}
	if err := b.Seed(t.Context(), 1000, 5); err != nil {
		t.Fatal(err)
	}
	f := fleetIn(0, 1)
	if err := b.Append(t.Context(), bus.Append{Door: 1, Seq: 1, Entries: []bus.Entry{entry(f, 1)}}); err != nil {
		t.Fatal(err)
	}
	l := own(t, b, 0)
	if got, err := l.Read(testContext(t), 10); err != nil || len(got) != 1 || got[0].ID != 1001 {
		t.Errorf("the inlet goes on with %v, %v", got, err)
	}
	if err := b.Seed(t.Context(), 2000, 5); devices.KindOf(err) != devices.Conflict {
		t.Errorf("an inlet in use was seeded: %v", err)
	}
	if owned, used, err := b.InUse(t.Context()); !owned || !used || err != nil {
		t.Errorf("in use: %v, %v, %v", owned, used, err)
	}
	if err := b.EndMigration(t.Context(), "from there"); err != nil {
		t.Fatal(err)
	}
	open(t, s.url(), sameStore(b))
	if unfinished, finished, err := b.Migration(t.Context()); unfinished != "" || finished != "from there" || err != nil {
		t.Errorf("%q, %q, %v", unfinished, finished, err)
	}
}
