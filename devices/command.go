package devices

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Command is what a person asks of a device, and what became of it. Its JSON is the object of REST and of the stream's
// `command` events, and it is what the bus keeps of it.
type Command struct {
	ID     CommandID       `json:"id"`
	Device DeviceID        `json:"device"`
	Fleet  FleetID         `json:"fleet"`
	Name   string          `json:"name"`
	Params json.RawMessage `json:"params,omitempty"`
	State  CommandState    `json:"state"`
	// At is when the state was reached, Accepted when the first one was, and Expires when it is of no use any more; unix ms.
	At       int64  `json:"at"`
	Accepted int64  `json:"accepted"`
	Expires  int64  `json:"expires"`
	By       string `json:"by,omitempty"` // who sent it
	// Result and Error are what the device answered. A command that failed before it reached the device has an Error of ours.
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
	// Unconfirmed: it was sent at QoS 0, so that only an answer tells that it arrived, and it is not sent again.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
	// Truncated: Params or Result is left out here, since it is long.
	Truncated bool `json:"truncated,omitempty"`
}

// Bounds of a command.
const (
	MaxCommandNameBytes  = 128
	MaxCommandValueBytes = 16 << 10 // of params, and of a result
	MaxCommandErrorBytes = 1 << 10
	MaxCommandByBytes    = 256
	MaxCommandTTL        = 7 * 24 * 60 * 60 * 1000 // ms
	// CommandEventValueBytes is up to what params and a result are part of an event in the stream.
	CommandEventValueBytes = 4 << 10
	maxCommandEventBytes   = 14 << 10 // of an event: a bus takes 16 KiB
)

// CommandState is where a command stands. States follow each other upwards; one may be left out, none comes twice.
type CommandState uint8

// The states. A command that is Done, Failed or Expired stays so.
const (
	CommandAccepted  CommandState = iota + 1 // it is kept, and waits for the device
	CommandSent                              // a door sent it
	CommandDelivered                         // the device acknowledged it
	CommandDone                              // the device says that it did it
	CommandFailed                            // the device says that it did not, or it could not be sent
	CommandExpired                           // its time ended before
)

var commandStates = [...]string{"", "accepted", "sent", "delivered", "done", "failed", "expired"}

// String returns the state's name as it is shown.
func (s CommandState) String() string {
	if int(s) < len(commandStates) {
		return commandStates[s]
	}
	return ""
}

// IsFinal tells whether nothing comes after it.
func (s CommandState) IsFinal() bool { return s >= CommandDone }

// ParseCommandState reads the name of a state.
func ParseCommandState(s string) (CommandState, error) {
	if i := slices.Index(commandStates[:], s); i > 0 {
		return CommandState(i), nil
	}
	return 0, Errorf(Invalid, "state", "is none of accepted, sent, delivered, done, failed, expired")
}

// MarshalText returns the state's name.
func (s CommandState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses as ParseCommandState does.
func (s *CommandState) UnmarshalText(text []byte) (err error) {
	*s, err = ParseCommandState(string(text))
	return err
}

// CommandID names a command: 26 characters, of which none has a meaning in a topic. The zero value names none. It is
// comparable and may key maps.
type CommandID struct{ name string }

// commandIDs are 128 bits in the digits of RFC 4648 section 7, in lower case and without padding.
var commandIDs = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

const (
	commandIDBytes = 16
	commandIDChars = 26
)

// NewCommandID returns an id that nobody can guess.
func NewCommandID() CommandID {
	var b [commandIDBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	return CommandID{commandIDs.EncodeToString(b[:])}
}

// CommandIDFor returns the id of the command that somebody sends to a device with an idempotency key: the same for the
// same three, so that a repeated request is the same command at every process.
func CommandIDFor(subject, key string, device DeviceID) CommandID {
	var b []byte
	for _, s := range []string{"command", subject, key, device.String()} {
		b = append(append(b, byte(len(s)>>8), byte(len(s))), s...)
	}
	sum := sha256.Sum256(b)
	return CommandID{commandIDs.EncodeToString(sum[:commandIDBytes])}
}

// ParseCommandID checks s and returns it as an id, sharing its memory.
func ParseCommandID(s string) (CommandID, error) {
	if len(s) != commandIDChars {
		return CommandID{}, Errorf(Invalid, "command", "is no id of a command")
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'v') {
			return CommandID{}, Errorf(Invalid, "command", "is no id of a command")
		}
	}
	return CommandID{s}, nil
}

// String returns the id's text.
func (c CommandID) String() string { return c.name }

// IsZero tells whether c names no command.
func (c CommandID) IsZero() bool { return c.name == "" }

// MarshalText returns the id's text.
func (c CommandID) MarshalText() ([]byte, error) { return []byte(c.name), nil }

// UnmarshalText parses as ParseCommandID does.
func (c *CommandID) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCommandID(string(text))
	return err
}

// CheckCommandName refuses what is no short line of text.
func CheckCommandName(name string) error {
	switch {
	case name == "":
		return Errorf(Invalid, "name", "is missing")
	case len(name) > MaxCommandNameBytes:
		return Errorf(Invalid, "name", "is longer than %d bytes", MaxCommandNameBytes)
	case !isLine(name):
		return Errorf(Invalid, "name", "is no line of text")
	}
	return nil
}

func isLine(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}

// CompactCommandValue makes params or a result one line and drops a null. What is too long or no JSON is refused.
func CompactCommandValue(field string, value []byte) (json.RawMessage, error) {
	value = bytes.TrimSpace(value)
	if len(value) == 0 || string(value) == "null" {
		return nil, nil
	}
	var out bytes.Buffer
	if err := json.Compact(&out, value); err != nil || !utf8.Valid(value) {
		return nil, Errorf(Invalid, field, "is no JSON")
	}
	if out.Len() > MaxCommandValueBytes {
		return nil, Errorf(TooLarge, field, "has more than %d bytes", MaxCommandValueBytes)
	}
	return out.Bytes(), nil
}

// JSON returns the command as one line.
func (c *Command) JSON() []byte {
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	lines.SetEscapeHTML(false)              // it is not HTML, and would be up to six times as long
	if err := lines.Encode(c); err != nil { // its raw members were checked where they came in
		return c.without().JSON()
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

// without leaves out what may be long.
func (c *Command) without() *Command {
	short := *c
	short.Params, short.Result, short.Truncated = nil, nil, true
	return &short
}

// EventJSON returns the command as it is told in the stream: without what is long.
func (c *Command) EventJSON() []byte {
	short := *c
	if len(short.Params) > CommandEventValueBytes {
		short.Params, short.Truncated = nil, true
	}
	if len(short.Result) > CommandEventValueBytes {
		short.Result, short.Truncated = nil, true
	}
	if b := short.JSON(); len(b) <= maxCommandEventBytes {
		return b
	}
	return c.without().JSON() // an error full of control characters
}

// ParseCommand reads what JSON wrote.
func ParseCommand(b []byte) (*Command, error) {
	c := new(Command)
	if err := json.Unmarshal(b, c); err != nil {
		return nil, &Error{Kind: Invalid, Field: "command", Detail: "is no command", Err: err}
	}
	if c.ID.IsZero() || c.Device.IsZero() || c.Fleet.IsZero() || c.State == 0 {
		return nil, Errorf(Invalid, "command", "lacks a member")
	}
	return c, nil
}
