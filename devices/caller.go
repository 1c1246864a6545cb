package devices

import (
	"slices"
	"time"
)

// Role is what a person, or a program that acts for one, may do in the fleets of their scope.
type Role uint8

// The roles, each with what the ones before it may do. NoRole is the zero value: who has none may do nothing.
const (
	NoRole   Role = iota
	Viewer        // see
	Operator      // command devices, see to alerts, set rules and fences
	Admin         // manage devices and fleets; with all fleets also people and credentials
)

var roleNames = [...]string{"none", "viewer", "operator", "admin"}

// String returns the role's name as it stands in tokens and records.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return roleNames[NoRole]
}

// ParseRole reads the name of a role that may do something.
func ParseRole(s string) (Role, error) {
	if i := slices.Index(roleNames[:], s); i > 0 {
		return Role(i), nil
	}
	return NoRole, Errorf(Invalid, "role", "is none of viewer, operator, admin")
}

// MarshalText returns the role's name.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText parses as ParseRole does.
func (r *Role) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRole(string(text))
	return err
}

// Scope is the fleets whose data somebody may see. The zero value is none: whoever forgets to set one shows nothing. It
// is immutable and may be shared.
type Scope struct {
	all    bool
	fleets []FleetID // sorted, each once
}

// AllFleets is the scope of whoever may see every fleet, also those that are made later.
func AllFleets() Scope { return Scope{all: true} }

// OnlyFleets is the scope of the fleets that are named; of none where none is.
func OnlyFleets(fleets ...FleetID) Scope {
	s := Scope{fleets: slices.Clone(fleets)}
	slices.SortFunc(s.fleets, compareFleets)
	s.fleets = slices.Compact(s.fleets)
	return s
}

func compareFleets(a, b FleetID) int {
	switch {
	case a.name < b.name:
		return -1
	case a.name > b.name:
		return 1
	}
	return 0
}

// IsAll tells whether the scope is every fleet.
func (s Scope) IsAll() bool { return s.all }

// IsEmpty tells whether there is no fleet in it.
func (s Scope) IsEmpty() bool { return !s.all && len(s.fleets) == 0 }

// Fleets are the scope's fleets, sorted; nil where it is all or none of them. It is not to be changed.
func (s Scope) Fleets() []FleetID { return s.fleets }

// Sees tells whether a fleet is in the scope.
func (s Scope) Sees(fleet FleetID) bool {
	if s.all {
		return !fleet.IsZero()
	}
	_, found := slices.BinarySearchFunc(s.fleets, fleet, compareFleets)
	return found
}

// Narrow is the part of the scope that is in fleets; the whole scope where fleets names none. What is asked for beyond
// the scope is left out without a word: whether a fleet exists is nobody's business who may not see it.
func (s Scope) Narrow(fleets []FleetID) Scope {
	if len(fleets) == 0 {
		return s
	}
	asked := OnlyFleets(fleets...)
	if s.all {
		return asked
	}
	asked.fleets = slices.DeleteFunc(asked.fleets, func(f FleetID) bool { return !s.Sees(f) })
	return asked
}

// Within tells whether every fleet of the scope is in outer: nobody gives away more than they have.
func (s Scope) Within(outer Scope) bool {
	if s.all || outer.all {
		return outer.all
	}
	return !slices.ContainsFunc(s.fleets, func(f FleetID) bool { return !outer.Sees(f) })
}

// Caller is who asks something over HTTP. Everything that they may do follows from this. It is made by whoever checked
// their proof, is not changed afterwards and may be shared by any number of goroutines.
type Caller struct {
	// Subject names them in the audit log: a user, a key, the subject of a token.
	Subject string
	Role    Role
	Scope   Scope
	// Expires is when the proof ends by itself; zero: never.
	Expires time.Time
	// Proof is what revocation asks about: the session, the key or the user that the proof hangs on. "" in open mode.
	Proof string
}

// May tells whether the caller's role includes another.
func (c *Caller) May(r Role) bool { return r != NoRole && c.Role >= r }

// RulesAll tells whether the caller is an admin of the whole installation.
func (c *Caller) RulesAll() bool { return c.Role == Admin && c.Scope.IsAll() }
