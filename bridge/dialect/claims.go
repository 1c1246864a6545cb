package dialect

import "github.com/fleetcast/fleetcast/devices"

// Claim is for whom a topic speaks, by one of the templates that it fits. A door compares it with the sender's
// credential before it looks at a payload.
type Claim struct {
	Device devices.DeviceID // zero where the topic names none: the payload does
	Fleet  devices.FleetID  // what the topic names, or else the preset's
	Named  bool             // the topic itself names the fleet
}

// Claims returns a claim for each template that the topic fits, the most specific first.
func (r *Route) Claims() []Claim {
	claims := make([]Claim, 0, len(r.candidates))
	for i := range r.candidates {
		c := &r.candidates[i]
		claims = append(claims, Claim{Device: c.device, Fleet: c.fleet, Named: c.row.fleet.level == fleetLevel})
	}
	return claims
}
