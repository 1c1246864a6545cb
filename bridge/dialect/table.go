package dialect

// row says which decoder reads the topics of a template.
type row struct {
	template string
	// id names the levels that make the device's id, joined by ':'. Empty: the level {device}, or the payload says it.
	id     []string
	decode decoder
	status bool // the topics carry nothing but online and offline
	down   bool // the way to a device: nothing that is read here, but what a device may subscribe to
	// filter is what is subscribed to and may be published on, where that is less than what the template matches.
	filter string
}

// preset is an ecosystem: its topics, its format, and the fleet of its devices.
type preset struct {
	name  string
	about string
	fleet string // the rule, see parseFleetRule
	rows  []row
}

// presets are all that are known, in the order in which people are told of them.
var presets = []preset{
	{
		name: "native", about: "JSON as this program defines it", fleet: "{fleet}",
		rows: []row{
			{template: "fleets/{fleet}/devices/{device}/telemetry", decode: decodeNative},
			{template: "fleets/{fleet}/devices/{device}/status", decode: decodeStatus, status: true},
		},
	},
	{
		name: "owntracks", about: "OwnTracks apps and what speaks their format", fleet: "owntracks",
		rows: []row{
			{template: "owntracks/{user}/{device}", id: []string{"user", "device"}, decode: decodeOwnTracks},
			{template: "owntracks/{user}/{device}/cmd", id: []string{"user", "device"}, decode: decodeCommand, down: true},
			{template: "owntracks/{user}/{device}/{kind}", id: []string{"user", "device"}, decode: decodeOwnTracks},
		},
	},
}

// decodeCommand names what goes down to a device, whatever its payload.
func decodeCommand(_ *input, out *Result) bool {
	out.Kind = Command
	return true
}
