package devices

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func fleetsOf(t rapid.TB, names ...string) []FleetID {
	t.Helper()
	var ids []FleetID
	for _, n := range names {
		id, err := ParseFleetID(n)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func TestTheZeroCallerMayNothing(t *testing.T) {
	var c Caller
	if c.May(NoRole) || c.May(Viewer) || c.RulesAll() || !c.Scope.IsEmpty() || c.Scope.Sees(FleetID{}) || c.Scope.Sees(fleetsOf(t, "north")[0]) {
		t.Errorf("%+v may something", c)
	}
	if narrow := c.Scope.Narrow(fleetsOf(t, "north")); !narrow.IsEmpty() {
		t.Errorf("asking for a fleet gives %v", narrow)
	}
}

func TestRolesIncludeThoseBelow(t *testing.T) {
	for _, c := range []struct {
		role Role
		may  []Role
	}{{Viewer, []Role{Viewer}}, {Operator, []Role{Viewer, Operator}}, {Admin, []Role{Viewer, Operator, Admin}}} {
		caller := Caller{Role: c.role}
		for _, r := range []Role{Viewer, Operator, Admin} {
			if caller.May(r) != slices.Contains(c.may, r) {
				t.Errorf("%v and %v", c.role, r)
			}
		}
		again, err := ParseRole(c.role.String())
		if err != nil || again != c.role {
			t.Errorf("%v comes back as %v, %v", c.role, again, err)
		}
	}
	for _, bad := range []string{"", "none", "root", "Admin"} {
		if _, err := ParseRole(bad); KindOf(err) != Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The scope against sets of names.
func TestScopesAreSetsOfFleets(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) (Scope, func(string) bool) {
			if rapid.Bool().Draw(t, label+" is all") {
				return AllFleets(), func(string) bool { return true }
			}
			some := rapid.SliceOf(rapid.SampledFrom(names)).Draw(t, label)
			return OnlyFleets(fleetsOf(t, some...)...), func(n string) bool { return slices.Contains(some, n) }
		}
		s, in := draw("scope")
		outer, inOuter := draw("outer")
		asked := rapid.SliceOf(rapid.SampledFrom(names)).Draw(t, "asked")
		narrow := s.Narrow(fleetsOf(t, asked...))
		within := !s.IsAll() || outer.IsAll()
		for _, n := range names {
			id := fleetsOf(t, n)[0]
			if s.Sees(id) != in(n) {
				t.Fatalf("%v sees %s: %v", s, n, s.Sees(id))
			}
			if want := in(n) && (len(asked) == 0 || slices.Contains(asked, n)); narrow.Sees(id) != want {
				t.Fatalf("%v narrowed to %v sees %s: %v", s, asked, n, narrow.Sees(id))
			}
			within = within && (!in(n) || inOuter(n))
		}
		if s.Within(outer) != within {
			t.Fatalf("%v within %v: %v", s, outer, s.Within(outer))
		}
	})
}
