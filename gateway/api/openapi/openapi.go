package openapi

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed description/*.yaml
var files embed.FS

const base = "openapi.yaml"

var document = sync.OnceValues(func() ([]byte, error) {
	under, err := fs.Sub(files, "description")
	if err != nil {
		return nil, fmt.Errorf("open description: %w", err)
	}
	return build(under)
})

// Document returns the description as JSON. It is put together once, when it is first asked for. It is not to be changed.
func Document() ([]byte, error) { return document() }

// build puts the files together: what they share, then the areas by name.
func build(dir fs.FS) ([]byte, error) {
	whole, err := read(dir, base)
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list description: %w", err)
	}
	for _, name := range names {
		if name == base {
			continue
		}
		area, err := read(dir, name)
		if err == nil {
			err = add(whole, area)
		}
		if err != nil {
			return nil, fmt.Errorf("merge %s: %w", name, err)
		}
	}
	return appendJSON(nil, whole)
}

func read(dir fs.FS, name string) (*yaml.Node, error) {
	text, err := fs.ReadFile(dir, path.Clean(name))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("read %s: it is no mapping", name)
	}
	return doc.Content[0], nil
}

// add puts what an area says into the whole: its tags behind the others, its paths and components beside them.
func add(whole, area *yaml.Node) error {
	for i := 0; i < len(area.Content); i += 2 {
		key, value := area.Content[i].Value, area.Content[i+1]
		into := member(whole, key)
		switch {
		case into == nil:
			return fmt.Errorf("%s is for %s alone", key, base)
		case key == "tags":
			into.Content = append(into.Content, value.Content...)
		case key == "paths":
			if err := addMembers(into, value); err != nil {
				return err
			}
		case key == "components":
			if err := addComponents(into, value); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s is for %s alone", key, base)
		}
	}
	return nil
}

func addComponents(into, from *yaml.Node) error {
	for i := 0; i < len(from.Content); i += 2 {
		kind := from.Content[i].Value
		of := member(into, kind)
		if of == nil {
			return fmt.Errorf("components of the kind %s are not known", kind)
		}
		if err := addMembers(of, from.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func addMembers(into, from *yaml.Node) error {
	for i := 0; i < len(from.Content); i += 2 {
		if member(into, from.Content[i].Value) != nil {
			return fmt.Errorf("%s is there twice", from.Content[i].Value)
		}
		into.Content = append(into.Content, from.Content[i], from.Content[i+1])
	}
	return nil
}

// member returns the value of a mapping's member, nil where there is none.
func member(of *yaml.Node, name string) *yaml.Node {
	for i := 0; i < len(of.Content); i += 2 {
		if of.Content[i].Value == name {
			return of.Content[i+1]
		}
	}
	return nil
}

// appendJSON writes a node with its members in the order of the file: people read the document too.
func appendJSON(dst []byte, n *yaml.Node) ([]byte, error) {
	switch n.Kind {
	case yaml.MappingNode:
		return appendList(dst, n, '{', '}')
	case yaml.SequenceNode:
		return appendList(dst, n, '[', ']')
	case yaml.ScalarNode:
		return appendScalar(dst, n)
	default:
		return dst, errors.New("anchors and aliases are not understood")
	}
}

func appendList(dst []byte, n *yaml.Node, opening, closing byte) (_ []byte, err error) {
	dst = append(dst, opening)
	for i, each := range n.Content {
		isValue := n.Kind == yaml.MappingNode && i%2 == 1
		switch {
		case isValue:
			dst = append(dst, ':')
		case i > 0:
			dst = append(dst, ',')
		}
		if n.Kind == yaml.MappingNode && !isValue {
			dst, err = appendText(dst, each.Value) // "200" and true are names here
		} else {
			dst, err = appendJSON(dst, each)
		}
		if err != nil {
			return dst, err
		}
	}
	return append(dst, closing), nil
}

func appendScalar(dst []byte, n *yaml.Node) ([]byte, error) {
	if n.Tag == "!!str" || n.Tag == "!!timestamp" {
		return appendText(dst, n.Value)
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return dst, fmt.Errorf("read line %d: %w", n.Line, err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return dst, fmt.Errorf("read line %d: %w", n.Line, err)
	}
	return append(dst, text...), nil
}

func appendText(dst []byte, s string) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return dst, fmt.Errorf("encode text: %w", err)
	}
	return append(dst, text...), nil
}
