package dialect

import (
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// A PresetChoice turns a preset on. Its text is the preset's name, or name=fleet to choose the fleet of its devices:
// a fleet's id, in which one level of the preset's topics may stand by its name: hsl=hsl-{mode}.
type PresetChoice struct {
	Name  string
	Fleet string // "" is the preset's own rule
}

// DefaultPresets are on where nobody chose.
func DefaultPresets() []PresetChoice { return []PresetChoice{{Name: "native"}, {Name: "owntracks"}} }

// AllPresets are every preset with its own rule.
func AllPresets() []PresetChoice {
	all := make([]PresetChoice, len(presets))
	for i := range presets {
		all[i].Name = presets[i].name
	}
	return all
}

// PresetInfo is a preset for people.
type PresetInfo struct {
	Name   string
	About  string
	Fleet  string // the rule
	Topics string // filters, separated by blanks
}

// Presets tells of every preset.
func Presets() []PresetInfo {
	infos := make([]PresetInfo, 0, len(presets))
	for i := range presets {
		p := &presets[i]
		info := PresetInfo{Name: p.name, About: p.about, Fleet: p.fleet}
		if router, err := New(Options{Presets: []PresetChoice{{Name: p.name}}}); err == nil { // the table's own: tested
			for n, f := range router.Filters() {
				if n > 0 {
					info.Topics += " "
				}
				info.Topics += f.Topic
			}
		}
		infos = append(infos, info)
	}
	return infos
}

// String returns the choice's text.
func (c PresetChoice) String() string {
	if c.Fleet == "" {
		return c.Name
	}
	return c.Name + "=" + c.Fleet
}

// MarshalText returns the choice's text.
func (c PresetChoice) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a choice and refuses one that New would refuse.
func (c *PresetChoice) UnmarshalText(text []byte) error {
	name, fleet, chosen := strings.Cut(string(text), "=")
	*c = PresetChoice{Name: name, Fleet: fleet}
	if chosen && fleet == "" {
		return devices.Errorf(devices.Invalid, "preset", "%s= names no fleet", name)
	}
	rows, err := Options{Presets: []PresetChoice{*c}}.rows()
	if err == nil {
		_, err = newRouter(rows)
	}
	return err
}

// rows binds the rows of the chosen presets to their fleets.
func (o Options) rows() ([]boundRow, error) {
	choices := o.Presets
	if len(choices) == 0 {
		choices = DefaultPresets()
	}
	var rows []boundRow
	seen := map[string]bool{}
	for _, choice := range choices {
		p, err := presetNamed(choice.Name)
		if err != nil {
			return nil, err
		}
		if seen[p.name] {
			return nil, devices.Errorf(devices.Invalid, "preset", "%s is chosen twice", p.name)
		}
		seen[p.name] = true
		text := choice.Fleet
		switch {
		case text != "":
		case p.name == "owntracks" && !o.OwnTracksFleet.IsZero():
			text = o.OwnTracksFleet.String()
		default:
			text = p.fleet
		}
		rule, err := parseFleetRule(text)
		if err != nil {
			return nil, err
		}
		for _, r := range p.rows {
			if o.Anywhere && r.anywhere != "" {
				r.template = r.anywhere
			}
			rows = append(rows, boundRow{row: r, preset: p.name, fleet: rule})
		}
	}
	return rows, nil
}

func presetNamed(name string) (*preset, error) {
	names := make([]string, len(presets))
	for i := range presets {
		if presets[i].name == name {
			return &presets[i], nil
		}
		names[i] = presets[i].name
	}
	return nil, devices.Errorf(devices.Invalid, "preset", "there is no %q; there are %s", name, strings.Join(names, ", "))
}

// fleetRule says of which fleet the devices of a template are: a fixed one, or one whose name has a level of the topic
// in it. One level at most, so that the rule can be read backwards: from a fleet to the topics that it may publish on.
type fleetRule struct {
	fixed          devices.FleetID // where no level is named
	level          string
	before, behind string // what stands around the level
	any            bool   // the payload may name any other
}

// fleetLevel is the level by which a topic of ours names the fleet. A level of another name that a rule uses is a
// platform's own grouping, which a registered fleet may differ from.
const fleetLevel = "fleet"

func parseFleetRule(text string) (fleetRule, error) {
	before, rest, hasLevel := strings.Cut(text, "{")
	if !hasLevel {
		fleet, err := devices.ParseFleetID(text)
		return fleetRule{fixed: fleet}, err
	}
	name, behind, closed := strings.Cut(rest, "}")
	if !closed || name == "" || strings.ContainsAny(behind, "{}") {
		return fleetRule{}, devices.Errorf(devices.Invalid, "fleet", "%q is no id, and no id with one {level} in it", text)
	}
	if _, err := devices.ParseFleetID(before + "x" + behind); err != nil {
		return fleetRule{}, err
	}
	return fleetRule{level: name, before: before, behind: behind}, nil
}

// of returns the fleet of a topic, and whether it is a valid one.
func (f *fleetRule) of(t *template, captures []string) (devices.FleetID, bool) {
	if f.level == "" {
		return f.fixed, true
	}
	level, _ := t.capture(captures, f.level)
	if level == "" {
		return devices.FleetID{}, false
	}
	if f.before+f.behind != "" {
		level = f.before + level + f.behind
	}
	fleet, err := devices.ParseFleetID(level)
	return fleet, err == nil
}

// back returns what the level holds in topics of the fleet, and whether there are such topics. It is "" where the rule
// names no level.
func (f *fleetRule) back(fleet devices.FleetID) (level string, ok bool) {
	if f.level == "" {
		return "", f.any || fleet == f.fixed
	}
	level, ok = strings.CutPrefix(fleet.String(), f.before)
	if !ok {
		return "", false
	}
	level, ok = strings.CutSuffix(level, f.behind)
	return level, ok && level != ""
}
