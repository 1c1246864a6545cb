package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/fleetcast/fleetcast/bridge/dialect"
)

// maxFileBytes bounds the settings file: a path to a device or a huge file must not be read into memory.
const maxFileBytes = 1 << 20

// A configFile is the path of the settings file. When kong meets the flag, its hook loads the file.
type configFile string

// BeforeResolve loads the file between kong's reading of flags and variables and its filling of what they left open.
func (configFile) BeforeResolve(file *settingsFile, k *kong.Kong, ctx *kong.Context, trace *kong.Path) error {
	path, ok := ctx.FlagValue(trace.Flag).(configFile)
	if !ok || path == "" {
		return nil
	}
	text, err := readBounded(string(path))
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	if err := file.parse(string(path), text); err != nil {
		return err
	}
	return file.check(k.Model, ctx)
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the path is the setting itself
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFileBytes)
	}
	return text, nil
}

// settingsFile is the settings file: a flat map from the names of flags to values, and the mappings. Without a file it is empty.
type settingsFile struct {
	path     string
	values   map[string]setting
	mappings []dialect.Mapping
}

// A setting is a value of the file and the line that it stands on.
type setting struct {
	line  int
	value any // a string, or an []any of strings
}

// at names a place in the file as editors and terminals know it.
func (s *settingsFile) at(line int) string { return fmt.Sprintf("%s:%d", s.path, line) }

func (s *settingsFile) parse(path string, text []byte) error {
	s.path, s.values = path, map[string]setting{}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF): // nothing, or comments only
		return nil
	case err != nil:
		return fmt.Errorf("parse %s: %w", path, err) // the library's text names the line
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: holds more than one document", path)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" { // a document that is only "---"
		return nil
	}
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("%s: is not a map of settings", s.at(root.Line))
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if err := s.add(root.Content[i], root.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (s *settingsFile) add(key, value *yaml.Node) error {
	if key.Kind != yaml.ScalarNode {
		return fmt.Errorf("%s: the name of a setting is a plain word", s.at(key.Line))
	}
	if before, twice := s.values[key.Value]; twice {
		return fmt.Errorf("%s: %s stands on line %d already", s.at(key.Line), key.Value, before.line)
	}
	if key.Value == mappingsKey {
		if s.mappings != nil {
			return fmt.Errorf("%s: %s stands there twice", s.at(key.Line), mappingsKey)
		}
		return s.parseMappings(value)
	}
	v := setting{line: key.Line}
	switch {
	case isText(value):
		v.value = value.Value
	case value.Kind == yaml.SequenceNode && !slices.ContainsFunc(value.Content, func(n *yaml.Node) bool { return !isText(n) }):
		list := make([]any, len(value.Content))
		for i, n := range value.Content {
			list[i] = n.Value
		}
		v.value = list
	default:
		return fmt.Errorf("%s: %s has no value that a flag could have", s.at(key.Line), key.Value)
	}
	s.values[key.Value] = v
	return nil
}

// isText tells whether a node is one word of the file. Anything else (a map, an alias, nothing at all) is no value of a
// flag; refusing aliases also refuses documents that grow when they are expanded.
func isText(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag != "!!null" }

// check refuses what is no setting, as a misspelt name must not be a silent default, and values that a setting cannot
// have. It names all of them, in the order of the file, but for those that a flag or a variable replaces.
func (s *settingsFile) check(model *kong.Application, ctx *kong.Context) error {
	known := map[string]*kong.Flag{}
	for _, f := range model.Flags {
		if s, ok := settingOf(f); ok && s.File {
			known[f.Name] = f
		}
	}
	names := slices.SortedFunc(maps.Keys(s.values), func(a, b string) int { return s.values[a].line - s.values[b].line })
	var wrong []error
	for _, name := range names {
		f, at := known[name], s.at(s.values[name].line)
		switch {
		case f == nil:
			wrong = append(wrong, fmt.Errorf("%s: there is no setting %q%s", at, name, didYouMean(name, slices.Sorted(maps.Keys(known)))))
		case !isReplaced(ctx, f):
			if err := try(f, s.values[name].value); err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %s: %w", at, name, err))
			}
		}
	}
	return errors.Join(wrong...)
}

// isReplaced tells whether the arguments or the environment have a flag, so that the file's value is not asked for.
func isReplaced(ctx *kong.Context, f *kong.Flag) bool {
	return variableOf(f) != "" || slices.ContainsFunc(ctx.Path, func(p *kong.Path) bool { return p.Flag == f && !p.Resolved })
}

// Validate is a part of kong.Resolver; the file is checked when it is loaded.
func (s *settingsFile) Validate(*kong.Application) error { return nil }

// Resolve gives kong the file's value of a flag that neither the arguments nor the environment set. Left to itself,
// kong would let the file win over the environment.
func (s *settingsFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	v, ok := s.values[flag.Name]
	if !ok || variableOf(flag) != "" {
		return nil, nil //nolint:nilnil // kong's word for "not from here"
	}
	return v.value, nil
}

// try decodes a value as kong will, into nothing.
func try(flag *kong.Flag, value any) error {
	if _, isList := value.([]any); isList && !flag.IsSlice() {
		return errors.New("takes one value, not a list")
	}
	scan := kong.Scan().PushTyped(value, kong.FlagValueToken)
	target := reflect.New(flag.Target.Type()).Elem()
	if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, target); err != nil {
		return err
	}
	if text, _ := value.(string); flag.Enum != "" && !flag.EnumMap()[text] {
		return fmt.Errorf("is %q; it is one of %s", text, strings.Join(flag.EnumSlice(), ", "))
	}
	return nil
}
