package app

import (
	"errors"
	"fmt"
	"slices"
	_ "time/tzdata" // mappings name time zones, and small containers have no table of them

	"go.yaml.in/yaml/v3"

	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
)

// DialectOptions are the formats that are understood.
type DialectOptions struct {
	Presets []dialect.PresetChoice `name:"preset" help:"Ecosystems whose topics and formats are understood, such as hsl or tasmota, each perhaps with the fleet of its devices: tasmota=home. The embedded broker always knows native and owntracks as well; from an external broker exactly these are taken, or those two where none is named. gateway presets lists them." placeholder:"NAME"`

	// Mappings are formats that the settings file describes, under its key mappings.
	Mappings []dialect.Mapping `kong:"-"`
}

// router makes the router of the devices' door.
func (o *Options) router() (*dialect.Router, error) {
	router, err := dialect.New(dialect.Options{
		OwnTracksFleet: o.Fleet.OwnTracksFleet, Presets: o.presets(), Mappings: o.Dialects.Mappings,
	})
	if err != nil {
		return nil, fmt.Errorf("build dialects: %w", err)
	}
	return router, nil
}

// presets are the chosen ones; with the embedded broker the default ones too, or a device that worked would fall silent.
func (o *Options) presets() []dialect.PresetChoice {
	chosen := slices.Clone(o.Dialects.Presets)
	if len(chosen) > 0 && !o.embedsBroker() {
		return chosen
	}
	for _, byDefault := range dialect.DefaultPresets() {
		if !slices.ContainsFunc(chosen, func(c dialect.PresetChoice) bool { return c.Name == byDefault.Name }) {
			chosen = append(chosen, byDefault)
		}
	}
	return chosen
}

func (o *Options) checkDialects() error {
	seen := map[string]bool{}
	for _, c := range o.Dialects.Presets {
		if seen[c.Name] {
			return devices.Errorf(devices.Invalid, "preset", "names %s twice", c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}

// mappingsKey is the one key of the settings file that is no flag.
const mappingsKey = "mappings"

// parseMappings reads the mappings of the settings file.
func (s *settingsFile) parseMappings(value *yaml.Node) error {
	node, err := s.node(value, 0)
	if err != nil {
		return err
	}
	s.mappings, err = dialect.ParseMappings(node)
	if wrong, ok := errors.AsType[*dialect.MappingError](err); ok {
		return fmt.Errorf("%s: %w", s.at(wrong.Line), wrong)
	}
	return err
}

// maxMappingDepth is deeper than any key of a mapping.
const maxMappingDepth = 8

// node is a piece of the file without the library's types. Aliases are refused, and with them documents that grow when
// they are expanded.
func (s *settingsFile) node(y *yaml.Node, depth int) (dialect.Node, error) {
	n := dialect.Node{Line: y.Line}
	if depth > maxMappingDepth {
		return n, fmt.Errorf("%s: %s is nested too deep", s.at(y.Line), mappingsKey)
	}
	switch y.Kind {
	case yaml.ScalarNode:
		if y.Tag == "!!null" {
			return n, fmt.Errorf("%s: %s: a value is missing", s.at(y.Line), mappingsKey)
		}
		n.Text = y.Value
	case yaml.SequenceNode:
		n.Kind = dialect.ListNode
		for _, each := range y.Content {
			child, err := s.node(each, depth+1)
			if err != nil {
				return n, err
			}
			n.List = append(n.List, child)
		}
	case yaml.MappingNode:
		n.Kind = dialect.MapNode
		for i := 0; i+1 < len(y.Content); i += 2 {
			key := y.Content[i]
			if key.Kind != yaml.ScalarNode {
				return n, fmt.Errorf("%s: %s: a key is a plain word", s.at(key.Line), mappingsKey)
			}
			child, err := s.node(y.Content[i+1], depth+1)
			if err != nil {
				return n, err
			}
			n.Members = append(n.Members, dialect.Member{Key: key.Value, Line: key.Line, Value: child})
		}
	default:
		return n, fmt.Errorf("%s: %s: aliases are not followed", s.at(y.Line), mappingsKey)
	}
	return n, nil
}
