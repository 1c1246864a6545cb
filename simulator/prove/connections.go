package prove

import "github.com/fleetcast/fleetcast/simulator/sseclient"

// askConnections are those on which a run asks whether an edge is ready and what it holds, and moves boxes.
const askConnections = 8

// Connections are how many devices have to all doors, and viewers to all edges, at the most. A viewer that is cut and comes back
// at once may have two for a moment.
func (o *Options) Connections() (doors, edges int) {
	shared := 0
	for i := range o.Viewers {
		switch h := o.habits(i); {
		case h.over == overHTTP2:
			shared++
		case h.cut && o.ResumeEvery > 0:
			edges += 2
		default:
			edges++
		}
	}
	return o.Devices, edges + sseclient.SharedConnections(shared) + askConnections
}
