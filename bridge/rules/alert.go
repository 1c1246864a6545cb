package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/devices"
)

// AlertState is a step of an alert's life.
type AlertState string

// The states of an alert.
const (
	Raised       AlertState = "raised"
	Acknowledged AlertState = "acknowledged" // a person has seen it
	Cleared      AlertState = "cleared"      // its condition no longer holds, or its rule is gone
)

// Alert is one step of an alert's life, as it stands in the stream's event and in the API.
type Alert struct {
	ID       string           `json:"id"` // the same in every step
	Rule     string           `json:"rule"`
	Name     string           `json:"name,omitempty"` // of the rule
	Severity Severity         `json:"severity,omitempty"`
	Device   devices.DeviceID `json:"device"`
	Fleet    devices.FleetID  `json:"fleet"`
	State    AlertState       `json:"state"`
	At       int64            `json:"at"`     // of this step, unix ms
	Raised   int64            `json:"raised"` // when it was raised, unix ms
	// Value is what the rule's field was, Lat and Lon where the device was, in degrees, as far as they are known.
	Value *float64 `json:"value,omitempty"`
	Lat   *float64 `json:"lat,omitempty"`
	Lon   *float64 `json:"lon,omitempty"`
	By    string   `json:"by,omitempty"`   // who acknowledged it
	Text  string   `json:"text,omitempty"` // what happened, in words
	// Comment is what who acknowledged it wrote.
	Comment string `json:"comment,omitempty"`
}

// JSON is the alert on one line.
func (a *Alert) JSON() []byte {
	text, err := json.Marshal(a)
	if err != nil {
		panic(err) // no member can fail: the numbers are finite
	}
	return text
}

const alertIDBytes = 10 // 80 bits: nobody guesses one, and two never meet

// alertID names an alert. It follows from what raised it, so that an owner that applies the same entry again, after
// another's crash, makes the same one, and who has seen it already knows.
func alertID(rule string, device devices.DeviceID, cause uint64, at int64) string {
	h := sha256.New()
	var number [16]byte
	binary.LittleEndian.PutUint64(number[:], cause)
	binary.LittleEndian.PutUint64(number[8:], uint64(at))
	for _, part := range [][]byte{[]byte(rule), {0}, []byte(device.String()), {0}, number[:]} {
		h.Write(part) // which never returns an error
	}
	return hex.EncodeToString(h.Sum(nil)[:alertIDBytes])
}

// placed says in words what a fence rule found, and what of it no longer holds.
var placed = map[On]struct{ raised, cleared string }{
	Enter:   {"entered ", "left "},
	Exit:    {"left ", "came back to "},
	Inside:  {"inside ", "no longer inside "},
	Outside: {"outside ", "no longer outside "},
	Dwell:   {"stayed in ", "left "},
}

// describe says in words what the rule found, or what of it no longer holds.
func (r *rule) describe(a *devices.Asset, state AlertState) (text string, value *float64) {
	c, not := &r.When, ""
	if state == Cleared {
		not = "no longer "
	}
	switch c.Type {
	case Threshold:
		v, ok := r.value(a)
		if !ok {
			return "", nil
		}
		side, limit := "above", c.Above
		if limit == nil {
			side, limit = "below", c.Below
		}
		return fmt.Sprintf("%s %s is %s%s %s", c.Field, number(v), not, side, number(*limit)), &v
	case Offline:
		return not + "offline", nil
	case InFence:
		if state == Cleared {
			return placed[c.On].cleared + r.placeFor(a.Fleet), nil
		}
		return placed[c.On].raised + r.placeFor(a.Fleet), nil
	case Expression:
		return not + cut(c.Expression, maxTextBytes), nil
	}
	return "", nil
}

// maxTextBytes bounds the expression in an alert's text: it stands in the device's state for as long as the alert is open.
const maxTextBytes = 200

// cut shortens a text to whole letters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
