package devices

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// DeadLetter is a message that a door did not understand, as far as it is kept for people to look at. It is shown where
// they ask for it and nowhere else: it may hold anything.
type DeadLetter struct {
	At      int64  `json:"at"` // when it came, unix ms by the door's clock
	Reason  string `json:"reason"`
	Topic   string `json:"topic"`             // its beginning, where it is long
	Client  string `json:"client,omitempty"`  // the MQTT client id; none from an external broker
	Account string `json:"account,omitempty"` // the credential
	Device  string `json:"device,omitempty"`  // for whom the topic speaks
	Payload []byte `json:"payload"`           // its beginning, where it is long
	Bytes   int    `json:"bytes"`             // of the whole payload
}

// IsOf tells whether the letter came from a device or speaks for it, as far as its sender said who it is.
func (l *DeadLetter) IsOf(device DeviceID) bool {
	id := device.String()
	return l.Device == id || l.Client == id || l.Account == id
}

// AppendJSON appends the letter as people see it: the payload as text where it is some, else in base64.
func (l *DeadLetter) AppendJSON(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"at":`...), l.At, 10)
	for _, m := range [...]struct{ name, value string }{
		{`,"reason":`, l.Reason},
		{`,"topic":`, l.Topic},
		{`,"client":`, l.Client},
		{`,"account":`, l.Account},
		{`,"device":`, l.Device},
	} {
		if m.value != "" {
			dst = AppendJSONString(append(dst, m.name...), m.value)
		}
	}
	dst = strconv.AppendInt(append(dst, `,"bytes":`...), int64(l.Bytes), 10)
	if len(l.Payload) < l.Bytes {
		dst = append(dst, `,"truncated":true`...)
	}
	if text := textOf(l.Payload, len(l.Payload) < l.Bytes); text != nil {
		dst = AppendJSONString(append(dst, `,"payload":`...), string(text))
	} else {
		dst = base64.StdEncoding.AppendEncode(append(dst, `,"payload_base64":"`...), l.Payload)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// textOf is the payload where it is UTF-8 text, else nil. A character that was cut off at the end is left out.
func textOf(payload []byte, cut bool) []byte {
	text := payload
	if cut {
		for n := range min(utf8.UTFMax, len(text)) {
			if utf8.Valid(text[:len(text)-n]) {
				text = text[:len(text)-n]
				break
			}
		}
	}
	if !utf8.Valid(text) {
		return nil
	}
	for _, b := range text {
		if b < ' ' && b != '\n' && b != '\r' && b != '\t' {
			return nil
		}
	}
	return append([]byte{}, text...)
}
