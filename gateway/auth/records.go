package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// The kinds of records that people's proofs are kept in.
const (
	KindUser    store.Kind = "user"
	KindKey     store.Kind = "apikey"
	KindSession store.Kind = "session"
	KindSigning store.Kind = "signing" // the secrets that tokens and tickets are signed with
	KindRevoked store.Kind = "revoked" // tokens that ended before their time
	KindTicket  store.Kind = "ticket"  // tickets that were used
	KindSetup   store.Kind = "setup"   // the links for the first admin
)

// Grant is what somebody may: a role in some fleets, or in all.
type Grant struct {
	Role      devices.Role      `json:"role"`
	Fleets    []devices.FleetID `json:"fleets,omitempty"`
	AllFleets bool              `json:"all_fleets,omitempty"`
}

// maxGrantFleets bounds the fleets that a grant names.
const maxGrantFleets = 1_000

// Check tells the first thing that is wrong with the grant, as an Invalid error.
func (g *Grant) Check() error {
	switch {
	case g.Role == devices.NoRole:
		return devices.Errorf(devices.Invalid, "role", "is missing")
	case g.AllFleets && len(g.Fleets) > 0:
		return devices.Errorf(devices.Invalid, "fleets", "contradicts all_fleets")
	case !g.AllFleets && len(g.Fleets) == 0:
		return devices.Errorf(devices.Invalid, "fleets", "is empty; all_fleets says every one")
	case len(g.Fleets) > maxGrantFleets:
		return devices.Errorf(devices.Invalid, "fleets", "has more than %d names", maxGrantFleets)
	}
	return nil
}

// Scope is the grant's fleets.
func (g *Grant) Scope() devices.Scope {
	if g.AllFleets {
		return devices.AllFleets()
	}
	return devices.OnlyFleets(g.Fleets...)
}

// Within tells whether a caller may give the grant away: nobody gives more than they have.
func (g *Grant) Within(c *devices.Caller) bool { return c.May(g.Role) && g.Scope().Within(c.Scope) }

// User is a person who signs in with a password.
type User struct {
	Name string `json:"name"`
	Grant
	Disabled bool   `json:"disabled,omitempty"`
	Password string `json:"password_hash"`
	Serial   string `json:"serial"` // another after each change of the password: sessions from before end
	Created  int64  `json:"created"`
	Updated  int64  `json:"updated"`
}

// Key is what a program proves itself with.
type Key struct {
	ID string `json:"id"`
	Grant
	Note    string `json:"note,omitempty"`
	Hash    []byte `json:"hash"` // of the token that it shows
	Created int64  `json:"created"`
	Expires int64  `json:"expires,omitempty"` // unix ms; 0: never
	By      string `json:"by"`                // who made it
}

// session is a person who signed in. Its id is the hash of what the cookie holds.
type session struct {
	User    string `json:"user"`
	Serial  string `json:"serial"`
	Created int64  `json:"created"`
	Expires int64  `json:"expires"`
}

// signing is a secret that tokens and tickets are signed with.
type signing struct {
	Secret  []byte `json:"secret"`
	Created int64  `json:"created"`
}

// until is a record that may go when its time has come.
type until struct {
	Expires int64 `json:"expires"`
}

// MaxUserNameBytes bounds the names of people.
const MaxUserNameBytes = 64

// CheckUserName tells whether a name may be a person's.
func CheckUserName(name string) error {
	switch {
	case name == "":
		return devices.Errorf(devices.Invalid, "name", "is empty")
	case len(name) > MaxUserNameBytes:
		return devices.Errorf(devices.Invalid, "name", "is longer than %d bytes", MaxUserNameBytes)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == '/' }):
		return devices.Errorf(devices.Invalid, "name", "holds white space, a control character or '/'")
	}
	return nil
}

// decode reads a record of ours. A member that is not known is from a later version and means something that this one
// would not do, so it is refused.
func decode(value []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("read record: %w", err)
	}
	return nil
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // records hold nothing that can fail
	}
	return text
}
