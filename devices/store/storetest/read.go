package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

var readTests = map[string]func(*testing.T, *site){
	"a list is in the order of bytes, in pages": listInOrder,
	"a list knows its kind only":                listOfKind,
	"a list follows what changes":               listFollows,
	"a list is bounded":                         listBounded,
	"questions that mean nothing are refused":   badReads,
}

func listInOrder(t *testing.T, s *site) {
	st := s.open(t, Options{})
	ids := []string{"b", "a", "aa", "Z", "é", "z", "a b", "10", "9", "日本", "a-", "a/"}
	for _, id := range ids {
		s.commit(t, st, put(id, "of "+id))
	}
	slices.Sort(ids)
	for page := 1; page <= len(ids)+1; page++ {
		got := s.all(t, st, kind, page)
		if len(got) != len(ids) {
			t.Fatalf("in pages of %d there are %d records", page, len(got))
		}
		for i, r := range got {
			if r.ID != ids[i] || r.Kind != kind || string(r.Value) != "of "+ids[i] || r.Revision == 0 {
				t.Errorf("in pages of %d record %d is %+v, want %q", page, i, r, ids[i])
			}
		}
	}
	got, err := st.List(s.ctx, kind, "aaa", 2) // after what is not there
	if err != nil || len(got) != 2 || got[0].ID != "b" {
		t.Errorf("after aaa come %v, %v", got, err)
	}
	got, err = st.List(s.ctx, kind, "\U0010FFFF", 2)
	if err != nil || len(got) != 0 {
		t.Errorf("after the last come %v, %v", got, err)
	}
}

func listOfKind(t *testing.T, s *site) {
	st := s.open(t, Options{})
	s.commit(t, st, put("a", "1"), store.Op{Kind: other, ID: "b", Value: []byte("2")}, store.Op{Kind: "devices", ID: "c", Value: []byte("3")})
	if got := s.all(t, st, kind, 10); len(got) != 1 || got[0].ID != "a" {
		t.Errorf("devices are %v", got)
	}
	if got := s.all(t, st, "nothing", 10); len(got) != 0 {
		t.Errorf("of a kind that nobody wrote there are %v", got)
	}
}

func listFollows(t *testing.T, s *site) {
	st := s.open(t, Options{})
	for n := range 5 {
		s.commit(t, st, put(fmt.Sprint("d", n), "1"))
	}
	s.all(t, st, kind, 2)
	s.commit(t, st, remove("d1"), put("d10", "1"), put("d3", "2"))
	var got []string
	for _, r := range s.all(t, st, kind, 2) {
		got = append(got, r.ID+"="+string(r.Value))
	}
	if want := "d0=1 d10=1 d2=1 d3=2 d4=1"; strings.Join(got, " ") != want {
		t.Errorf("the list is %v, want %s", got, want)
	}
}

func listBounded(t *testing.T, s *site) {
	st := s.open(t, Options{})
	var ops []store.Op
	for n := range store.MaxOps {
		ops = append(ops, put(fmt.Sprintf("a%05d", n), ""))
	}
	s.commit(t, st, ops...)
	s.commit(t, st, put("b", ""))
	got, err := st.List(s.ctx, kind, "", store.MaxList+100)
	if err != nil || len(got) != store.MaxList {
		t.Errorf("a list of more than it may have has %d, %v", len(got), err)
	}
}

func badReads(t *testing.T, s *site) {
	st := s.open(t, Options{})
	for _, limit := range []int{0, -1} {
		_, err := st.List(s.ctx, kind, "", limit)
		mustBe(t, "a list of nothing", err, devices.Invalid, "limit")
	}
	for _, bad := range []store.Kind{"", "A", "a b", "a:b"} {
		_, err := st.List(s.ctx, bad, "", 1)
		mustBe(t, "a list of no kind", err, devices.Invalid, "kind")
		_, err = st.Get(s.ctx, bad, "a")
		mustBe(t, "a get of no kind", err, devices.Invalid, "kind")
		_, err = st.Watch(s.ctx, kind, bad)
		mustBe(t, "watching no kind", err, devices.Invalid, "kind")
	}
	_, err := st.Watch(s.ctx)
	mustBe(t, "watching nothing", err, devices.Invalid, "kind")
	_, err = st.Get(s.ctx, kind, "")
	mustBe(t, "a get without an id", err, devices.Invalid, "id")
}
