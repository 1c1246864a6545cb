package mqttin

import (
	"strings"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Filters that stand in mochi's tree for those of clients. Nothing is routed, so what a client subscribes to makes no
// difference to what it receives; but mochi's tree takes seconds of a global lock for a filter of 30,000 levels, keeps
// subscriptions of sessions that are gone, and races when a wildcard meets a retained message. With one literal filter
// for all, none of that can be reached, and clients that subscribe as a matter of course are told that they may.
const (
	parkedFilter  = "$fleetcast/parked"
	refusedFilter = "$fleetcast/refused" // OnACLCheck refuses it
	invalidFilter = ""                   // mochi refuses it as no filter at all
)

// OnSubscribe puts a filter of ours in the place of each, by what the client is to be told.
func (h *hook) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	for i := range pk.Filters {
		f := &pk.Filters[i]
		f.Filter = standIn(f.Filter)
		if f.Filter != parkedFilter {
			h.broker.counters.note(FilterRefused, cl.Net.Remote)
		}
	}
	return pk
}

// OnUnsubscribe does the same, so that a filter is found again.
func (h *hook) OnUnsubscribe(_ *mqtt.Client, pk packets.Packet) packets.Packet {
	for i := range pk.Filters {
		pk.Filters[i].Filter = standIn(pk.Filters[i].Filter)
	}
	return pk
}

func standIn(filter string) string {
	switch {
	case len(filter) > maxFilterBytes || strings.Count(filter, "/") >= maxFilterLevels:
		return refusedFilter
	case !validFilter(filter):
		return invalidFilter
	case isSysTopic(filter), len(filter) >= len("$share") && strings.EqualFold(filter[:len("$share")], "$share"):
		return refusedFilter
	}
	return parkedFilter
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
