package openapi

import (
	"embed"
	"fmt"
	"io/fs"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed messages.yaml
var messagesFile embed.FS

var messages = sync.OnceValues(func() ([]byte, error) {
	whole, err := read(messagesFile, "messages.yaml")
	if err != nil {
		return nil, err
	}
	under, err := fs.Sub(files, "description")
	if err != nil {
		return nil, fmt.Errorf("open description: %w", err)
	}
	names, err := fs.Glob(under, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list description: %w", err)
	}
	into := member(member(whole, "components"), "schemas")
	for _, name := range names {
		area, err := read(under, name)
		if err != nil {
			return nil, err
		}
		if err := addMembers(into, schemasOf(area)); err != nil {
			return nil, fmt.Errorf("merge %s: %w", name, err)
		}
	}
	return appendJSON(nil, whole)
})

// Messages returns, as JSON, what goes over MQTT, Server-Sent Events and WebSocket: an AsyncAPI 3.0 document, with the schemas of
// Document. It is put together once, when it is first asked for. It is not to be changed.
func Messages() ([]byte, error) { return messages() }

// schemasOf are those of an area; none where it has none.
func schemasOf(area *yaml.Node) *yaml.Node {
	if c := member(area, "components"); c != nil {
		if s := member(c, "schemas"); s != nil {
			return s
		}
	}
	return &yaml.Node{Kind: yaml.MappingNode}
}
