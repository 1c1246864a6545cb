package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/redisconn/redistest"
	"github.com/fleetcast/fleetcast/devices/store"
)

const kind store.Kind = "device"

func op(id, value string) store.Op { return store.Op{Kind: kind, ID: id, Value: []byte(value)} }

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), redistest.Patience)
	t.Cleanup(cancel)
	return ctx
}

func commit(t testing.TB, s *Store, ops ...store.Op) store.Revision {
	t.Helper()
	at, err := s.Commit(testContext(t), ops)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// mirror runs one for the rest of the test and waits for its first snapshot.
func mirror(t testing.TB, s *Store) *store.Mirror {
	t.Helper()
	m := store.NewMirror(s, kind)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = m.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return m
}

func waitFor(t testing.TB, m *store.Mirror, at store.Revision) {
	t.Helper()
	if err := m.Wait(testContext(t), at); err != nil {
		t.Fatalf("revision %d does not come: %v", at, err)
	}
}

// becomes waits until a mirror holds a value.
func becomes(t testing.TB, m *store.Mirror, id, value string) {
	t.Helper()
	redistest.Eventually(t, "mirror holds "+id+" "+value, func() error {
		if r, held := m.Get(kind, id); !held || string(r.Value) != value {
			return fmt.Errorf("it has %+v", r)
		}
		return nil
	})
}

func quick(o *Options) { o.CallTimeout = 500 * time.Millisecond }

func mustBeUnavailable(t testing.TB, what string, err error) {
	t.Helper()
	if devices.KindOf(err) != devices.Unavailable {
		t.Fatalf("%s gives %v, want kind unavailable", what, err)
	}
}

func TestAServerThatIsDownAtTheStartIsWaitedFor(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	s := open(t, server.URL(), quick)
	m := mirror(t, s)
	mustBeUnavailable(t, "healthy", s.Healthy(t.Context()))
	_, err := s.Commit(testContext(t), []store.Op{op("a", "1")})
	mustBeUnavailable(t, "commit", err)
	_, err = s.Get(testContext(t), kind, "a")
	mustBeUnavailable(t, "get", err)
	_, err = s.List(testContext(t), kind, "", 1)
	mustBeUnavailable(t, "list", err)
	if m.Ready() {
		t.Error("a mirror is ready that never heard of the store")
	}
	server.Again(t)
	waitFor(t, m, 0)
	waitFor(t, m, commit(t, s, op("a", "2")))
	redistest.Eventually(t, "healthy again", func() error { return s.Healthy(t.Context()) })
}

func TestAServerThatWasKilledAndKeptItsDataCostsNothing(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	s := open(t, server.URL())
	m := mirror(t, s)
	for n := range 5 {
		last := commit(t, s, op("a", fmt.Sprint(n)))
		waitFor(t, m, last)
		server.Kill()
		if r, held := m.Get(kind, "a"); !held || string(r.Value) != fmt.Sprint(n) {
			t.Errorf("while the server is away the mirror has %+v", r)
		}
		server.Again(t)
		next := commit(t, s, op("b", fmt.Sprint(n)))
		if next <= last {
			t.Errorf("revision %d after %d", next, last)
		}
		waitFor(t, m, next)
	}
	if got := s.Stats(); got.Gaps != 0 || got.Snapshots != 1 {
		t.Errorf("stats are %+v", got)
	}
}

// A server without persistence is what a failover that loses everything is; the revisions that it gave are not given to
// other commits, and those who follow are told what is there.
func TestAServerThatLostCommitsIsReadAgain(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL())
	other := open(t, server.URL(), sameStore(s))
	m := mirror(t, s)
	last := commit(t, s, op("a", "1"), op("b", "1"))
	waitFor(t, m, last)
	server.Kill()
	server.Again(t)
	next := commit(t, other, op("c", "2"))
	if next <= last {
		t.Errorf("revision %d after %d was given and lost", next, last)
	}
	becomes(t, m, "c", "2")
	if m.Len(kind) != 1 {
		t.Errorf("the mirror holds what was lost: %v", m.All(kind))
	}
	waitFor(t, m, commit(t, other, op("c", "3")))
}

// Commits that were lost and others in their place: the number alone would not tell.
func TestCommitsThatReplaceLostOnesAreTold(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL())
	m := mirror(t, s)
	waitFor(t, m, commit(t, s, op("a", "1")))
	saved := dump(t, server, s)
	waitFor(t, m, commit(t, s, op("a", "lost"), op("b", "lost")))
	restore(t, server, saved)
	waitFor(t, m, commit(t, s, op("c", "3")))
	becomes(t, m, "a", "1")
	if _, held := m.Get(kind, "b"); held {
		t.Error("the mirror holds what was lost")
	}
	if s.Stats().Gaps == 0 {
		t.Error("the gap is not counted")
	}
}

func TestAStoreThatIsSetBackIsToldWithoutANewCommit(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL())
	m := mirror(t, s)
	waitFor(t, m, commit(t, s, op("a", "1")))
	saved := dump(t, server, s)
	waitFor(t, m, commit(t, s, op("a", "2")))
	restore(t, server, saved)
	becomes(t, m, "a", "1")
	server.Do(t, "FLUSHALL")
	redistest.Eventually(t, "the mirror is empty", func() error {
		if m.Len(kind) != 0 {
			return errors.New("not yet")
		}
		return nil
	})
}

func dump(t *testing.T, server *redistest.Server, s *Store) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, key := range server.Do(t, "KEYS", s.keys.tag[:len(s.opts.Prefix)]+"*").([]any) {
		out[key.(string)] = server.Do(t, "DUMP", key).(string)
	}
	return out
}

func restore(t *testing.T, server *redistest.Server, saved map[string]string) {
	t.Helper()
	server.Do(t, "FLUSHALL")
	for key, value := range saved {
		server.Do(t, "RESTORE", key, 0, value)
	}
}

func TestALogThatIsTooShortGivesASnapshot(t *testing.T) {
	server := redistest.Start(t)
	writer := open(t, server.URL(), func(o *Options) { o.MaxLogCommits = 5 })
	way := redistest.StartProxy(t, server)
	s := open(t, way.URL(), sameStore(writer))
	m := mirror(t, s)
	waitFor(t, m, commit(t, writer, op("a", "0")))
	way.BlackHole.Store(true)
	var last store.Revision
	for n := range 30 {
		last = commit(t, writer, op(fmt.Sprint("d", n), "1"))
	}
	last = max(last, commit(t, writer, store.Op{Kind: kind, ID: "a"}))
	way.BlackHole.Store(false)
	way.Cut()
	waitFor(t, m, last)
	if _, held := m.Get(kind, "a"); held || m.Len(kind) != 30 {
		t.Errorf("the mirror holds %d records", m.Len(kind))
	}
	if n := server.Do(t, "XLEN", s.keys.log).(int64); n > 5 {
		t.Errorf("the log has %d commits", n)
	}
}

func TestALogIsBoundedInBytes(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL(), func(o *Options) { o.MaxLogBytes = 10_000 })
	m := mirror(t, s)
	for n := range 40 {
		size := 900
		if n%10 == 9 {
			size = 20_000 // more than the log takes
		}
		at := commit(t, s, op(fmt.Sprint("d", n), strings.Repeat("x", size)))
		waitFor(t, m, at)
	}
	if m.Len(kind) != 40 {
		t.Errorf("the mirror holds %d", m.Len(kind))
	}
	var held int
	for _, e := range server.Do(t, "XRANGE", s.keys.log, "-", "+").([]any) {
		for _, field := range e.([]any)[1].([]any) {
			held += len(field.(string))
		}
	}
	if held > 12_000 {
		t.Errorf("the log has %d bytes", held)
	}
	if noted := server.Do(t, "HGET", s.keys.meta, "log_bytes"); fmt.Sprint(noted) > "10000" && len(fmt.Sprint(noted)) >= 5 {
		t.Errorf("the log says that it has %v bytes", noted)
	}
}

// The answer is lost, the commit is not: it is sent again and happens once, and its conditions are not held against it.
func TestACommitWithoutAnAnswerHappensOnce(t *testing.T) {
	server := redistest.Start(t)
	way := redistest.StartProxy(t, server)
	s := open(t, way.URL(), func(o *Options) { o.CallTimeout = 20 * time.Second })
	direct := open(t, server.URL(), sameStore(s))
	commit(t, s, op("warm", "1"))
	way.Deaf.Store(true)
	type result struct {
		at  store.Revision
		err error
	}
	done := make(chan result, 1)
	ctx := testContext(t)
	go func() {
		create := op("a", "1")
		create.If.Absent = true
		at, err := s.Commit(ctx, []store.Op{create})
		done <- result{at, err}
	}()
	var seen store.Record
	redistest.Eventually(t, "the commit happened", func() (err error) {
		seen, err = direct.Get(ctx, kind, "a")
		return err
	})
	commit(t, direct, op("b", "between"))
	redistest.Eventually(t, "it was tried again", func() error {
		if s.Stats().Retries == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	way.Deaf.Store(false)
	way.Cut()
	got := <-done
	if got.err != nil || got.at != seen.Revision {
		t.Fatalf("the commit gives %d, %v; it made revision %d", got.at, got.err, seen.Revision)
	}
	if r, err := direct.Get(ctx, kind, "a"); err != nil || r.Revision != seen.Revision {
		t.Errorf("after it was sent again there is %+v, %v", r, err)
	}
}

func TestAPathThatIsDeadButOpenIsNoticed(t *testing.T) {
	server := redistest.Start(t)
	way := redistest.StartProxy(t, server)
	s := open(t, way.URL())
	direct := open(t, server.URL(), sameStore(s))
	m := mirror(t, s)
	waitFor(t, m, commit(t, direct, op("a", "1")))
	way.BlackHole.Store(true) // connections made so far are swallowed for ever
	at := commit(t, direct, op("a", "2"))
	redistest.Eventually(t, "the path is given up", func() error {
		if s.Stats().Retries == 0 {
			// The tailer's own tries are not counted: a commit's are, on the same path.
			_, _ = s.Commit(t.Context(), []store.Op{op("x", "1")})
			return errors.New("not yet")
		}
		return nil
	})
	way.BlackHole.Store(false)
	waitFor(t, m, at)
}

func TestConnectionsThatAreKilledWhileCommitsGoOnLoseNothing(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL())
	m := mirror(t, s)
	waitFor(t, m, 0)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				server.Do(t, "CLIENT", "KILL", "TYPE", "normal")
			}
		}
	})
	var last store.Revision
	for n := range 200 {
		last = commit(t, s, op("n", fmt.Sprint(n)), op(fmt.Sprint("d", n%20), fmt.Sprint(n)))
	}
	close(stop)
	wg.Wait()
	waitFor(t, m, last)
	for n := 180; n < 200; n++ {
		if r, _ := m.Get(kind, fmt.Sprint("d", n%20)); string(r.Value) != fmt.Sprint(n) {
			t.Errorf("d%d is %s", n%20, r.Value)
		}
	}
	if got := server.Do(t, "HGET", s.keys.meta, "records"); got != "21" {
		t.Errorf("the store counts %v records", got)
	}
}

func TestAServerThatTakesNoWritesSaysSoAndReadsGoOn(t *testing.T) {
	for name, c := range map[string]struct{ spoil, mend []any }{
		"a replica":     {[]any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"}},
		"out of memory": {[]any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			s := open(t, server.URL(), quick)
			m := mirror(t, s)
			waitFor(t, m, commit(t, s, op("a", "1")))
			server.Do(t, c.spoil...)
			_, err := s.Commit(testContext(t), []store.Op{op("a", "2")})
			mustBeUnavailable(t, "commit", err)
			redistest.Eventually(t, "it says so", func() error {
				if s.Healthy(t.Context()) == nil {
					return errors.New("healthy")
				}
				return nil
			})
			if r, err := s.Get(testContext(t), kind, "a"); err != nil || string(r.Value) != "1" {
				t.Errorf("get gives %+v, %v", r, err)
			}
			server.Do(t, c.mend...)
			waitFor(t, m, commit(t, s, op("a", "3")))
			redistest.Eventually(t, "healthy again", func() error { return s.Healthy(t.Context()) })
		})
	}
}

func TestAFailoverOfAClusterIsSurvived(t *testing.T) {
	servers, url := redistest.StartCluster(t, 3, true)
	s := open(t, url, func(o *Options) { o.CallTimeout = redistest.Patience })
	m := mirror(t, s)
	waitFor(t, m, commit(t, s, op("a", "1")))
	slot := servers[0].Do(t, "CLUSTER", "KEYSLOT", s.keys.meta).(int64)
	servers[int(slot)*3/16384].Kill()
	// What the replica did not have yet may be lost, and the mirror is told so; a new commit is seen in any case.
	commit(t, s, op("b", "2"))
	becomes(t, m, "b", "2")
	want, err := s.List(testContext(t), kind, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, "the mirror is the store", func() error {
		if len(want) != m.Len(kind) {
			return fmt.Errorf("%d of %d", m.Len(kind), len(want))
		}
		return nil
	})
}

func TestCloseInABlackHoleIsBounded(t *testing.T) {
	server := redistest.Start(t)
	way := redistest.StartProxy(t, server)
	s := open(t, way.URL())
	m := mirror(t, s)
	waitFor(t, m, commit(t, s, op("a", "1")))
	way.BlackHole.Store(true)
	done := make(chan error, 1)
	go func() { done <- s.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(redistest.Patience):
		t.Fatal("close does not return")
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(string(appendEntry(nil, []store.Op{op("a", "1"), {Kind: "rule", ID: "b"}, op("c", "")})))
	f.Add("\x01\x01\x01")
	f.Fuzz(func(t *testing.T, text string) {
		records, err := decodeEntry(1, text)
		if err != nil {
			return
		}
		var ops []store.Op
		for _, r := range records {
			ops = append(ops, store.Op{Kind: r.Kind, ID: r.ID, Value: r.Value})
		}
		again, err := decodeEntry(1, string(appendEntry(nil, ops)))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(records) {
			t.Fatalf("%v is read as %v, %v", records, again, err)
		}
	})
}

func BenchmarkCommit(b *testing.B) {
	s := open(b, redistest.Start(b).URL())
	value := strings.Repeat("v", 300)
	b.ResetTimer()
	for n := range b.N {
		commit(b, s, op(fmt.Sprint("d", n%10_000), value))
	}
}

func BenchmarkSnapshotOf10000Records(b *testing.B) {
	s := open(b, redistest.Start(b).URL())
	value := strings.Repeat("v", 300)
	for n := 0; n < 10_000; {
		var ops []store.Op
		for range store.MaxOps {
			ops = append(ops, op(fmt.Sprint("d", n), value))
			n++
		}
		commit(b, s, ops...)
	}
	b.ResetTimer()
	for range b.N {
		if u, err := s.snapshot(b.Context(), []store.Kind{kind}); err != nil || len(u.Records) != 10_000 {
			b.Fatal(len(u.Records), err)
		}
	}
}
