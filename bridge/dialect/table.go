package dialect

import "github.com/fleetcast/fleetcast/devices"

// row says which decoder reads the topics of a template, and whose messages they are.
type row struct {
	template string
	// id names the levels that make the device's id, joined by ':'. Empty: the level {device}.
	id []string
	// fleet is the fleet where the template has no level {fleet}.
	fleet  devices.FleetID
	decode decoder
	status bool // the topics carry nothing but online and offline
}

// table is every topic that is understood without configuration.
func table(o Options) []row {
	user := []string{"user", "device"}
	return []row{
		{template: "fleets/{fleet}/devices/{device}/telemetry", decode: decodeNative},
		{template: "fleets/{fleet}/devices/{device}/status", decode: decodeStatus, status: true},
		{template: "owntracks/{user}/{device}", id: user, fleet: o.OwnTracksFleet, decode: decodeOwnTracks},
		{template: "owntracks/{user}/{device}/{kind}", id: user, fleet: o.OwnTracksFleet, decode: decodeOwnTracks},
	}
}
