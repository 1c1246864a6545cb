package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

var commitTests = map[string]func(*testing.T, *site){
	"a commit is there and has a revision that grows":         commitGrows,
	"a commit happens whole or not at all":                    commitIsWhole,
	"conditions hold or the commit is a conflict":             conditionsHold,
	"deleting what is not there is no error":                  deleteNothing,
	"an empty value is a value":                               emptyValue,
	"what a caller does with its bytes later changes nothing": bytesAreCopied,
	"ops that no store takes are refused":                     badOps,
	"the largest commit fits":                                 largestCommit,
	"a full store says so and goes on":                        fullStore,
	"a commit whose context has ended is none":                endedContext,
	"ids are opaque":                                          opaqueIDs,
}

func commitGrows(t *testing.T, s *site) {
	st := s.open(t, Options{})
	first := s.commit(t, st, put("a", "1"))
	second := s.commit(t, st, put("b", "2"), put("c", "3"))
	third := s.commit(t, st, put("a", "4"))
	if first < 1 || second <= first || third <= second || third >= 1<<53 {
		t.Errorf("revisions are %d, %d, %d", first, second, third)
	}
	s.mustHold(t, st, "a", "4", third)
	s.mustHold(t, st, "b", "2", second)
	s.mustHold(t, st, "c", "3", second)
	s.commit(t, st, remove("b"))
	s.mustMiss(t, st, "b")
	s.mustHold(t, st, "b", "5", s.commit(t, st, put("b", "5")))
}

func commitIsWhole(t *testing.T, s *site) {
	st := s.open(t, Options{})
	at := s.commit(t, st, put("a", "1"), put("b", "1"))
	bad := put("b", "2")
	bad.If.Absent = true
	_, err := st.Commit(s.ctx, []store.Op{put("a", "2"), put("new", "2"), bad, remove("b2")})
	mustBe(t, "a commit of which one condition fails", err, devices.Conflict, "device/b")
	s.mustHold(t, st, "a", "1", at)
	s.mustHold(t, st, "b", "1", at)
	s.mustMiss(t, st, "new")
}

func conditionsHold(t *testing.T, s *site) {
	st := s.open(t, Options{})
	absent, same := put("a", "new"), put("a", "changed")
	absent.If.Absent = true
	at := s.commit(t, st, absent)
	_, err := st.Commit(s.ctx, []store.Op{absent})
	mustBe(t, "making what is there", err, devices.Conflict, "device/a")

	same.If.Revision = at
	next := s.commit(t, st, same)
	_, err = st.Commit(s.ctx, []store.Op{same})
	mustBe(t, "changing what was changed since", err, devices.Conflict, "device/a")

	gone := remove("a")
	gone.If.Revision = at
	_, err = st.Commit(s.ctx, []store.Op{gone})
	mustBe(t, "deleting what was changed since", err, devices.Conflict, "device/a")
	gone.If.Revision = next
	s.commit(t, st, gone)
	_, err = st.Commit(s.ctx, []store.Op{gone})
	mustBe(t, "deleting just what is gone", err, devices.Conflict, "device/a")

	missing := put("b", "1")
	missing.If.Revision = next
	_, err = st.Commit(s.ctx, []store.Op{missing})
	mustBe(t, "changing what never was", err, devices.Conflict, "device/b")

	check := remove("never") // a condition may stand alone: nothing is written where it holds
	check.If.Absent = true
	s.commit(t, st, check, absent)

	foreign := absent
	foreign.Kind = other // the same id in another kind is another record
	s.commit(t, st, foreign)
}

func deleteNothing(t *testing.T, s *site) {
	st := s.open(t, Options{})
	first := s.commit(t, st, remove("a"))
	if again := s.commit(t, st, remove("a")); again <= first {
		t.Errorf("revisions are %d and %d", first, again)
	}
	s.mustMiss(t, st, "a")
	if got := s.all(t, st, kind, 10); len(got) != 0 {
		t.Errorf("there are %v", got)
	}
}

func emptyValue(t *testing.T, s *site) {
	st := s.open(t, Options{})
	v := s.watch(t, st, kind)
	at := s.commit(t, st, store.Op{Kind: kind, ID: "a", Value: []byte{}})
	s.mustHold(t, st, "a", "", at)
	v.until(t, at)
	v.mustBe(t, map[string]string{"device/a": ""})
	s.watch(t, st, kind).mustBe(t, map[string]string{"device/a": ""})
	if got := s.all(t, st, kind, 10); len(got) != 1 || got[0].Value == nil {
		t.Errorf("the list is %v", got)
	}
}

func bytesAreCopied(t *testing.T, s *site) {
	st := s.open(t, Options{})
	v := s.watch(t, st, kind)
	value := []byte("before")
	ops := []store.Op{{Kind: kind, ID: "a", Value: value}}
	at := s.commit(t, st, ops...)
	copy(value, "after!")
	ops[0] = put("b", "x")
	s.mustHold(t, st, "a", "before", at)
	v.until(t, at)
	v.mustBe(t, map[string]string{"device/a": "before"})
}

func badOps(t *testing.T, s *site) {
	st := s.open(t, Options{})
	many := make([]store.Op, store.MaxOps+1)
	for i := range many {
		many[i] = put(fmt.Sprint(i), "")
	}
	heavy := make([]store.Op, store.MaxCommitBytes/store.MaxValueBytes+1)
	for i := range heavy {
		heavy[i] = store.Op{Kind: kind, ID: fmt.Sprint(i), Value: make([]byte, store.MaxValueBytes)}
	}
	both := put("a", "")
	both.If = store.Condition{Absent: true, Revision: 1}
	for name, c := range map[string]struct {
		ops  []store.Op
		want devices.Kind
	}{
		"none":                {nil, devices.Invalid},
		"no kind":             {[]store.Op{{ID: "a", Value: []byte("1")}}, devices.Invalid},
		"a kind in capitals":  {[]store.Op{{Kind: "Device", ID: "a"}}, devices.Invalid},
		"a kind with a brace": {[]store.Op{{Kind: "a}b", ID: "a"}}, devices.Invalid},
		"a long kind":         {[]store.Op{{Kind: store.Kind(strings.Repeat("k", store.MaxKindBytes+1)), ID: "a"}}, devices.Invalid},
		"no id":               {[]store.Op{put("", "1")}, devices.Invalid},
		"a long id":           {[]store.Op{put(strings.Repeat("i", store.MaxIDBytes+1), "1")}, devices.Invalid},
		"an id of two lines":  {[]store.Op{put("a\nb", "1")}, devices.Invalid},
		"an id not in UTF-8":  {[]store.Op{put("a\xff", "1")}, devices.Invalid},
		"a key twice":         {[]store.Op{put("a", "1"), remove("a")}, devices.Invalid},
		"two conditions":      {[]store.Op{both}, devices.Invalid},
		"a large value":       {[]store.Op{{Kind: kind, ID: "a", Value: make([]byte, store.MaxValueBytes+1)}}, devices.TooLarge},
		"too many":            {many, devices.TooLarge},
		"too heavy":           {heavy, devices.TooLarge},
	} {
		_, err := st.Commit(s.ctx, c.ops)
		if devices.KindOf(err) != c.want {
			t.Errorf("a commit with %s gives %v, want kind %v", name, err, c.want)
		}
	}
	if got := s.all(t, st, kind, 10); len(got) != 0 {
		t.Errorf("there are %d records", len(got))
	}
}

func largestCommit(t *testing.T, s *site) {
	st := s.open(t, Options{})
	v := s.watch(t, st, kind)
	ops := make([]store.Op, store.MaxOps)
	size := store.MaxCommitBytes/store.MaxOps - 8
	for i := range ops {
		ops[i] = store.Op{Kind: kind, ID: fmt.Sprintf("%06d", i), Value: bytes.Repeat([]byte{byte(i)}, size)}
	}
	at := s.commit(t, st, ops...)
	got := s.all(t, st, kind, store.MaxList)
	if len(got) != len(ops) {
		t.Fatalf("there are %d records", len(got))
	}
	for i, r := range got {
		if r.ID != ops[i].ID || !bytes.Equal(r.Value, ops[i].Value) || r.Revision != at {
			t.Fatalf("record %d is %q of revision %d", i, r.ID, r.Revision)
		}
	}
	v.until(t, at)
	if len(v.held) != len(ops) {
		t.Errorf("the feed has %d records", len(v.held))
	}
	longest := put(strings.Repeat("i", store.MaxIDBytes), strings.Repeat("v", store.MaxValueBytes))
	s.mustHold(t, st, longest.ID, string(longest.Value), s.commit(t, st, longest))
}

func fullStore(t *testing.T, s *site) {
	st := s.open(t, Options{MaxRecords: 3})
	s.commit(t, st, put("a", "1"), put("b", "1"))
	_, err := st.Commit(s.ctx, []store.Op{put("c", "1"), put("d", "1")})
	mustBe(t, "a commit of more than fit", err, devices.Exhausted, "records")
	s.mustMiss(t, st, "c")
	s.commit(t, st, put("c", "1"), put("a", "2"))
	if _, err := st.Commit(s.ctx, []store.Op{put("d", "1")}); !errors.Is(err, store.ErrFull) {
		t.Errorf("one more gives %v", err)
	}
	s.commit(t, st, put("a", "3"))
	s.commit(t, st, put("d", "1"), remove("b")) // one goes, one comes
	s.commit(t, st, remove("c"))
	s.commit(t, st, put("e", "1"))
}

func endedContext(t *testing.T, s *site) {
	st := s.open(t, Options{})
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := st.Commit(ctx, []store.Op{put("a", "1")}); !errors.Is(err, context.Canceled) {
		t.Errorf("commit gives %v", err)
	}
	if _, err := st.Get(ctx, kind, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("get gives %v", err)
	}
	if _, err := st.List(ctx, kind, "", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("list gives %v", err)
	}
	if _, err := st.Watch(ctx, kind); !errors.Is(err, context.Canceled) {
		t.Errorf("watch gives %v", err)
	}
	s.mustMiss(t, st, "a")
}

func opaqueIDs(t *testing.T, s *site) {
	st := s.open(t, Options{})
	for _, id := range []string{"a/b", "a:b", "{x}", "*", "[a]", "(", "+", "-", " ", "é", "日本", "😀", "%2e", "..", "\u2028"} {
		at := s.commit(t, st, put(id, "of "+id))
		s.mustHold(t, st, id, "of "+id, at)
	}
	before := len(s.all(t, st, kind, 4))
	s.commit(t, st, remove("*"))
	if got := len(s.all(t, st, kind, 4)); got != before-1 || before != 15 {
		t.Errorf("there were %d, and %d after one was deleted", before, got)
	}
}
