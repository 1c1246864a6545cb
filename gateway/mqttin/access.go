package mqttin

import (
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
)

// This file is who may do what, and nothing else: no connection, no lock, no clock. Everything that is not granted here
// is refused. What stands in for {fleet} and {device} comes from the credential, never from what a client sends.

// Topics of ours that no format is for: commands down, and the answers to them. A gateway has them for each device of its
// fleets.
const (
	fleetPrefix  = "fleets/"
	devicesLevel = "/devices/"
	commandsTail = "/commands/#"
	repliesTail  = "/replies/+"
)

// access knows the topics of every format that is understood.
type access struct{ templates []dialect.AccessTemplate }

// filters are those within which the principal may subscribe, down, or publish.
func (a access) filters(p *devices.Principal, down bool) []string {
	switch p.Kind {
	case devices.DevicePrincipal:
		filters := []string{ownFilter(p.Fleet, p.Device.String(), down)}
		for _, t := range a.templates {
			if f, ok := t.ForDevice(p.Device, p.Fleet); ok && t.Down == down {
				filters = append(filters, f)
			}
		}
		return filters
	case devices.GatewayPrincipal:
		var filters []string
		for _, fleet := range p.Fleets {
			filters = append(filters, ownFilter(fleet, "+", down))
			for _, t := range a.templates {
				if f, ok := t.ForFleet(fleet); ok && t.Down == down {
					filters = append(filters, f)
				}
			}
		}
		return filters
	case devices.ClientPrincipal:
		if down {
			return p.Subscribe
		}
		return p.Publish
	case devices.AnonymousPrincipal:
	}
	return nil
}

func ownFilter(fleet devices.FleetID, device string, down bool) string {
	if down {
		return fleetPrefix + fleet.String() + devicesLevel + device + commandsTail
	}
	return fleetPrefix + fleet.String() + devicesLevel + device + repliesTail
}

// maySubscribe tells whether every topic that the filter stands for is the principal's to read. The filter of a shared
// subscription is judged like any other.
func (a access) maySubscribe(p *devices.Principal, filter string) bool {
	return p.Kind == devices.AnonymousPrincipal || coveredByAny(a.filters(p, true), filter)
}

// mayPublish tells whether the principal may publish to a topic. For telemetry that is the first half: whoever a payload
// is about is judged by inScope.
func (a access) mayPublish(p *devices.Principal, topic string) bool {
	return p.Kind == devices.AnonymousPrincipal || coveredByAny(a.filters(p, false), topic)
}

// inScope tells whether the principal may speak for a device of a fleet, which is the registry's where it knows the
// device, on a topic that names a fleet, or whose preset does.
func inScope(p *devices.Principal, device devices.DeviceID, fleet, named devices.FleetID) bool {
	if p.Kind == devices.ClientPrincipal { // its rules are of topics; the wall between fleets stands for it as well
		return fleet == named || slices.Contains(p.Fleets, fleet)
	}
	return p.SpeaksFor(device, fleet)
}

func coveredByAny(rules []string, filter string) bool {
	return slices.ContainsFunc(rules, func(rule string) bool { return covers(rule, filter) })
}

// covers tells whether every topic that matches the filter matches the rule as well. A topic is a filter without
// wildcards. To match a filter against a rule as if it were a topic would not do: "+/commands" matches the rule "+/+" and
// so does "#" the rule "+", and the first is within it and the second is not.
func covers(rule, filter string) bool {
	if filter == "" || rule == "" || (filter[0] == '$') != (rule[0] == '$') { // [MQTT-4.7.2-1]
		return false
	}
	for {
		r, restOfRule, moreRule := strings.Cut(rule, "/")
		f, restOfFilter, moreFilter := strings.Cut(filter, "/")
		switch {
		case r == "#":
			return true
		case f == "#", r != "+" && r != f:
			return false
		case !moreFilter: // "a/#" matches "a" too
			return !moreRule || restOfRule == "#"
		case !moreRule:
			return false
		}
		rule, filter = restOfRule, restOfFilter
	}
}

// sharedFilter splits the filter of a shared subscription (MQTT 5.0 section 4.8.2). ok is false where it is none.
func sharedFilter(filter string) (group, rest string, ok bool) {
	const prefix = "$share/"
	inner, ok := strings.CutPrefix(filter, prefix)
	if !ok {
		return "", filter, false
	}
	group, rest, _ = strings.Cut(inner, "/")
	return group, rest, true
}

// validFilter holds a filter to MQTT 5.0 section 4.7: a wildcard is a whole level, and '#' is the last.
func validFilter(filter string) bool {
	if filter == "" {
		return false
	}
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if (strings.Contains(level, "+") && level != "+") || (strings.Contains(level, "#") && (level != "#" || more)) {
			return false
		}
	}
	return true
}
