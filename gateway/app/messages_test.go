package app

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fleetcast/fleetcast/gateway/api/openapi/openapitest"
)

// The examples of what devices send are understood whole, at the topics that the description names. (Every event that a test
// of this package reads from a stream is held to the description too: see stream.isDescribed.)
func TestDescribedMessagesOfDevicesAreUnderstood(t *testing.T) {
	t.Parallel()
	described, err := openapitest.LoadMessages()
	if err != nil {
		t.Fatal(err)
	}
	o := Defaults()
	for _, name := range []string{"telemetry", "status"} {
		address := described.Async.Channels[name].Address
		topic := strings.NewReplacer("{fleet}", "north", "{device}", "truck-17").Replace(address)
		for _, example := range described.Async.Components.Messages[name].Examples {
			payload := []byte(example.Payload)
			if name == "status" { // plain text
				var word string
				if err := json.Unmarshal(payload, &word); err != nil {
					t.Fatal(err)
				}
				payload = []byte(word)
			}
			d, err := o.Decode(topic, payload, time.UnixMilli(1795353543301), nil)
			if err != nil || d.Reason != "" || d.Dropped != 0 || d.Rule != address || len(d.Readings) != 1 {
				t.Errorf("%s %s: %+v, %v", topic, payload, d, err)
			}
		}
	}
}

// What is said over WebSocket, both ways, is as it is described.
func TestMessagesOverWebSocketAreThoseThatAreDescribed(t *testing.T) {
	t.Parallel()
	described, err := openapitest.LoadMessages()
	if err != nil {
		t.Fatal(err)
	}
	g := startGateway(t)
	g.telemetry("north", "truck-17", `{"lat":48.85833,"lon":2.29513}`)
	g.waitAsset("truck-17", any1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(g.url("/stream/ws"), "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	heard := map[string]bool{}
	until := func(event string) {
		t.Helper()
		for !heard[event] {
			_, text, err := c.Read(ctx)
			if err != nil {
				t.Fatalf("waiting for %s: %v", event, err)
			}
			if text[0] == '[' {
				heard["array"] = true
				err = described.Check("batch", text)
			} else {
				err = described.Check("said", text)
				var m struct {
					Event string
					Data  json.RawMessage
				}
				if err := json.Unmarshal(text, &m); err != nil {
					t.Fatal(err)
				}
				heard[m.Event] = true
				if _, isEvent := described.Async.Channels["stream"].Messages[m.Event]; isEvent {
					err = errors.Join(err, described.CheckEvent(m.Event, string(m.Data)))
				}
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	for _, step := range []struct{ message, text, answer string }{
		{"subscribe", `{"action":"subscribe","fleets":["north"]}`, "array"},
		{"subscribe", `{"action":"subscribe","fleets":["north"],"envelope":true,"ref":"a"}`, "assets"},
		{"change", `{"action":"view","seq":1,"bbox":[2,48,3,49],"every":500}`, "view"},
		{"request", `{"action":"command","device":"truck-17","name":"reboot","params":{"delay":3},"ttl":60}`, "accepted"},
		{"unsubscribe", `{"action":"unsubscribe","ref":"b"}`, "unsubscribed"},
		{"", `{"action":"dance"}`, "error"},
	} {
		if step.message != "" {
			if err := described.Check(step.message, []byte(step.text)); err != nil {
				t.Error(err)
			}
		}
		if err := c.Write(ctx, websocket.MessageText, []byte(step.text)); err != nil {
			t.Fatal(err)
		}
		until(step.answer)
	}
}
