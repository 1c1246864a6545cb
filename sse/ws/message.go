package ws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/problem"
	"github.com/fleetcast/fleetcast/sse"
)

// message is what a client says. Which members count is for the action.
type message struct {
	Action string `json:"action"`
	// Ref is repeated in what answers this message alone.
	Ref string `json:"ref"`

	sse.Filter        // subscribe and view
	Position   string `json:"position"` // subscribe: where the client was
	Envelope   bool   `json:"envelope"` // subscribe

	Seq *uint64 `json:"seq"` // view

	// command: what POST /api/devices/{id}/commands takes.
	Device devices.DeviceID `json:"device"`
	Name   json.RawMessage  `json:"name"`
	Params json.RawMessage  `json:"params"`
	TTL    json.RawMessage  `json:"ttl"`
	Key    string           `json:"key"` // Idempotency-Key
}

// maxRef bounds what is repeated.
const maxRef = 64

// act does what a message asks for. What is wrong with it is answered; an error ends the connection.
func (c *conn) act(text []byte) error {
	var m message
	err := sse.DecodeStrict(text, &m)
	if len(m.Ref) > maxRef {
		m.Ref = ""
	}
	if err == nil {
		err = c.do(&m)
	} else {
		c.h.messages[unknown].Add(1)
	}
	if _, written := errors.AsType[*writeError](err); err == nil || written {
		return err
	}
	c.h.errors.Add(1)
	if devices.KindOf(err) == devices.Internal {
		c.h.log.Error("a message over websocket failed", "action", m.Action, "error", err)
	}
	data, err := json.Marshal(problem.Of(err))
	if err != nil {
		return err
	}
	return c.say("error", m.Ref, data)
}

func (c *conn) do(m *message) error {
	switch m.Action {
	case actionNames[subscribe]:
		c.h.messages[subscribe].Add(1)
		return c.subscribe(m)
	case actionNames[unsubscribe]:
		c.h.messages[unsubscribe].Add(1)
		c.drop()
		return c.say("unsubscribed", m.Ref, nil)
	case actionNames[changeView]:
		c.h.messages[changeView].Add(1)
		return c.view(m)
	case actionNames[command]:
		c.h.messages[command].Add(1)
		return c.command(m)
	}
	c.h.messages[unknown].Add(1)
	return devices.Errorf(devices.Invalid, "action", "is none of subscribe, unsubscribe, view, command")
}

// subscribe replaces the subscription. Whoever had one and does not say where they are drops what they have, so that what
// they show afterwards is the new one's.
func (c *conn) subscribe(m *message) error {
	if string(bytes.TrimSpace(m.Fleets)) == "[]" { // as the plainest client says that it wants none
		c.drop()
		return c.say("unsubscribed", m.Ref, nil)
	}
	q, err := m.Query(c.caller.Scope)
	if err != nil {
		return err
	}
	if m.Every == nil {
		q.Every = DefaultEvery
	}
	if len(m.Position) > sse.MaxLastEventID {
		m.Position = "" // not one of ours: a snapshot
	}
	had := c.sub != nil
	c.drop()
	if had && m.Position == "" {
		if err := c.say("reset", m.Ref, []byte(`{"reason":"subscription"}`)); err != nil {
			return err
		}
	}
	format := Bare
	if m.Envelope {
		format = Envelope
	}
	return c.listen(q, format, m.Position)
}

// view changes what the subscription shows; the stream says so.
func (c *conn) view(m *message) error {
	switch {
	case c.sub == nil:
		return devices.Errorf(devices.Conflict, "", "there is no subscription whose view could change")
	case m.Seq == nil:
		return devices.Errorf(devices.Invalid, "seq", "is missing: number the changes of a subscription upwards")
	}
	_, err := c.sub.viewed.Turn(*m.Seq, &m.Filter)
	return err
}

// commandTime bounds how long a command may take to be kept.
const commandTime = 10 * time.Second

// command has a device sent something; how that goes is told by the stream's `command` events.
func (c *conn) command(m *message) error {
	switch {
	case c.h.options.Commander == nil:
		return devices.Errorf(devices.Unavailable, "", "this server takes no commands")
	case !c.caller.May(devices.Operator):
		return devices.Errorf(devices.Forbidden, "", "this needs the role %s", devices.Operator)
	case m.Device.IsZero():
		return devices.Errorf(devices.Invalid, "device", "is missing")
	}
	body := map[string]json.RawMessage{}
	for name, value := range map[string]json.RawMessage{"name": m.Name, "params": m.Params, "ttl": m.TTL} {
		if value != nil {
			body[name] = value
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	accepted, err := c.h.options.Commander.Command(ctx, c.caller, m.Device, text, m.Key)
	if err != nil {
		return err
	}
	return c.say("accepted", m.Ref, accepted)
}

// writeError is an error of the connection, not of a message.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// say answers a message. It waits for a client that does not read, and with it waits what the client says next.
func (c *conn) say(event, ref string, data []byte) error {
	var b []byte
	if ref == "" {
		b = appendEvent(nil, event, data, "")
	} else {
		if len(data) == 0 {
			data = []byte("{}")
		}
		text := devices.AppendJSONString([]byte(`{"event":"`+event+`","ref":`), ref)
		text = append(append(append(text, dataBegin...), data...), '}')
		b = append(appendHeader(nil, opText, len(text)), text...)
	}
	if _, err := c.wire.frames(b); err != nil {
		return &writeError{err}
	}
	return nil
}
