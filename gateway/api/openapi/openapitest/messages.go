package openapitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/fleetcast/fleetcast/gateway/api/openapi"
)

// Messages is the description of what goes over MQTT, SSE and WebSocket. It may be used concurrently.
type Messages struct {
	Async   Async
	schemas openapi3.Schemas
}

// Async is what of an AsyncAPI document is looked at.
type Async struct {
	AsyncAPI string
	Info     struct{ Title, Version string }
	Servers  map[string]struct{ Host, Protocol string }
	Channels map[string]struct {
		Address  string
		Servers  []Ref
		Messages map[string]Ref
	}
	Operations map[string]struct {
		Action   string
		Channel  Ref
		Messages []Ref
	}
	Components struct {
		Messages map[string]struct {
			Payload  json.RawMessage
			Examples []struct{ Payload json.RawMessage }
		}
		Schemas map[string]json.RawMessage
	}
}

// Ref points into the document.
type Ref struct {
	To string `json:"$ref"`
}

// LoadMessages reads the description once. The schemas are read by the library that reads those of OpenAPI: AsyncAPI's are a
// superset of JSON Schema likewise.
var LoadMessages = sync.OnceValues(func() (*Messages, error) {
	text, err := openapi.Messages()
	if err != nil {
		return nil, err
	}
	m := &Messages{schemas: openapi3.Schemas{}}
	if err := json.Unmarshal(text, &m.Async); err != nil {
		return nil, fmt.Errorf("read description of messages: %w", err)
	}
	all := maps.Clone(m.Async.Components.Schemas)
	for name, message := range m.Async.Components.Messages {
		all["message."+name] = message.Payload
	}
	document, err := json.Marshal(map[string]any{
		"openapi": "3.1.1", "info": map[string]string{"title": "messages", "version": "1"}, "paths": map[string]any{}, "components": map[string]any{"schemas": all},
	})
	if err != nil {
		return nil, fmt.Errorf("write schemas: %w", err)
	}
	closed, err := closeObjects(document)
	if err != nil {
		return nil, err
	}
	loaded, err := openapi3.NewLoader().LoadFromData(closed)
	if err != nil {
		return nil, fmt.Errorf("read schemas: %w", err)
	}
	m.schemas = loaded.Components.Schemas
	return m, nil
})

// Check holds a message to its description, by its name there. What is not described is an error.
func (m *Messages) Check(name string, payload []byte) error {
	s := m.schemas["message."+name]
	if s == nil {
		return fmt.Errorf("messages named %q are not described", name)
	}
	var v any
	if err := json.Unmarshal(payload, &v); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := s.Value.VisitJSON(v, openapi3.EnableFormatValidation()); err != nil {
		return fmt.Errorf("%s is not as it is described: %w\n%s", name, err, payload)
	}
	return nil
}

// CheckEvent holds an event of a stream to its description.
func (m *Messages) CheckEvent(event, data string) error {
	if event == "" {
		event = "asset"
	}
	if _, known := m.Async.Channels["stream"].Messages[event]; !known {
		return fmt.Errorf("a stream has no event %q by its description", event)
	}
	return m.Check(event, []byte(data))
}

// Resolve tells whether a reference leads somewhere.
func (a *Async) Resolve(r Ref) bool {
	parts := strings.Split(strings.TrimPrefix(r.To, "#/"), "/")
	switch {
	case len(parts) == 2 && parts[0] == "servers":
		_, ok := a.Servers[parts[1]]
		return ok
	case len(parts) == 2 && parts[0] == "channels":
		_, ok := a.Channels[parts[1]]
		return ok
	case len(parts) == 4 && parts[0] == "channels" && parts[2] == "messages":
		_, ok := a.Channels[parts[1]].Messages[parts[3]]
		return ok
	case len(parts) == 3 && parts[0] == "components" && parts[1] == "messages":
		_, ok := a.Components.Messages[parts[2]]
		return ok
	}
	return false
}
