package watch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// update is what a viewer needs of an asset. Its slices alias the message.
type update struct {
	id, fleet []byte // the raw text between the quotes: equal ids have equal text
	at        int64  // 0: none
	received  int64
	stamped   bool // at is a simulated device's intended instant in milliseconds, since there is a seq
}

var errMalformed = errors.New("malformed asset")

const (
	gotID = 1 << iota
	gotFleet
	gotStatus
	gotReceived
	gotAt
	required = gotID | gotFleet | gotStatus | gotReceived
)

// scan reads what a viewer needs and nothing else: with a thousand viewers of a thousand updates a second it runs a
// million times a second, where a decoder of all members would be the load. It walks the members of the object until it
// has them all; what stands behind is only looked at for a "seq". So it finds a member that is missing or of another type
// and an object that is cut, but not every error of JSON's grammar: checkFully does, for a share of the viewers.
func scan(b []byte) (update, error) {
	var u update
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return u, fmt.Errorf("%w: no object", errMalformed)
	}
	got, rest := 0, b[1:]
	for got != required|gotAt && len(rest) > 1 {
		name, value, ok := member(rest)
		if !ok {
			return u, fmt.Errorf("%w: member cut short", errMalformed)
		}
		n := valueLength(value)
		if n == 0 {
			return u, fmt.Errorf("%w: member without a value", errMalformed)
		}
		seen, err := u.take(name, value[:n])
		if err != nil {
			return u, err
		}
		got |= seen
		if rest = value[n:]; len(rest) > 0 && rest[0] == ',' {
			rest = rest[1:]
		} else if len(rest) != 1 {
			return u, fmt.Errorf("%w: no comma between members", errMalformed)
		}
	}
	if got&required != required {
		return u, fmt.Errorf("%w: id, fleet, status or received is missing", errMalformed)
	}
	u.stamped = u.at != 0 && bytes.Contains(rest, seqMember)
	return u, nil
}

var seqMember = []byte(`"seq":`)

// member splits `"name":value…` at the colon.
func member(b []byte) (name, value []byte, ok bool) {
	if len(b) < 4 || b[0] != '"' {
		return nil, nil, false
	}
	end := bytes.IndexByte(b[1:], '"') + 1
	if end <= 0 || end+2 >= len(b) || b[end+1] != ':' {
		return nil, nil, false
	}
	return b[1:end], b[end+2:], true
}

// take keeps a member that is needed.
func (u *update) take(name, value []byte) (seen int, err error) {
	switch string(name) {
	case "id":
		u.id, err = text(value)
		return gotID, err
	case "fleet":
		u.fleet, err = text(value)
		return gotFleet, err
	case "status":
		_, err = text(value)
		return gotStatus, err
	case "at":
		u.at, err = millis(value)
		return gotAt, err
	case "received":
		u.received, err = millis(value)
		return gotReceived, err
	}
	return 0, nil
}

func text(value []byte) ([]byte, error) {
	if len(value) < 3 || value[0] != '"' {
		return nil, fmt.Errorf("%w: id, fleet or status is no text", errMalformed)
	}
	return value[1 : len(value)-1], nil
}

func millis(value []byte) (int64, error) {
	var n int64
	for _, c := range value {
		if c < '0' || c > '9' || n > 1<<53 {
			return 0, fmt.Errorf("%w: time is no whole number", errMalformed)
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}

// valueLength is the length of the value at the start of b: up to the comma or bracket that ends it.
func valueLength(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := textLength(b[i:])
			if n == 0 {
				return 0
			}
			i += n - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return 0
}

// textLength is the length of the string, with its quotes, at the start of b; 0 where it does not end.
func textLength(b []byte) int {
	end := bytes.IndexByte(b[1:], '"') + 1
	if end > 0 && b[end-1] != '\\' { // nearly always
		return end + 1
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// each calls visit for each element of a JSON array.
func each(b []byte, visit func([]byte) error) error {
	if len(b) < 2 || b[0] != '[' || b[len(b)-1] != ']' {
		return fmt.Errorf("%w: no array", errMalformed)
	}
	for rest := b[1:]; len(rest) > 1; {
		n := valueLength(rest)
		if n == 0 {
			return fmt.Errorf("%w: array cut short", errMalformed)
		}
		if err := visit(rest[:n]); err != nil {
			return err
		}
		if rest = rest[n:]; rest[0] == ',' {
			rest = rest[1:]
		}
	}
	return nil
}

// checkFully decodes every member, as a dashboard does, and looks at the types that the design names.
func checkFully(b []byte) error {
	var asset struct {
		ID       string         `json:"id"`
		Fleet    string         `json:"fleet"`
		Name     string         `json:"name"`
		Status   string         `json:"status"`
		At       int64          `json:"at"`
		Received int64          `json:"received"`
		Lat      *float64       `json:"lat"`
		Lon      *float64       `json:"lon"`
		Altitude float64        `json:"altitude"`
		Speed    float64        `json:"speed"`
		Heading  float64        `json:"heading"`
		Accuracy float64        `json:"accuracy"`
		Battery  float64        `json:"battery"`
		Metrics  map[string]any `json:"metrics"`
	}
	if err := json.Unmarshal(b, &asset); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	switch {
	case asset.Status != "online" && asset.Status != "offline" && asset.Status != "unknown":
		return fmt.Errorf("%w: status %q", errMalformed, asset.Status)
	case (asset.Lat == nil) != (asset.Lon == nil):
		return fmt.Errorf("%w: half a position", errMalformed)
	case asset.Lat != nil && !(*asset.Lat >= -90 && *asset.Lat <= 90 && *asset.Lon >= -180 && *asset.Lon <= 180):
		return fmt.Errorf("%w: position %g, %g", errMalformed, *asset.Lat, *asset.Lon)
	case asset.At > asset.Received:
		return fmt.Errorf("%w: at %d is after received %d", errMalformed, asset.At, asset.Received)
	}
	return nil
}
