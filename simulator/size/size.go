package size

import (
	"errors"
	"math"
	"time"
)

// Demand is what an installation is to carry.
type Demand struct {
	Devices int
	Every   time.Duration // how often each sends a message, at QoS 1
	Fleets  int           // each is one partition at most
	Viewers int
	InView  int           // devices that a viewer's filter or map shows
	Tick    time.Duration // how often a viewer is written to at most; 100ms unless it asks for more
	Plain   bool          // viewers take no gzip
	Views   int           // different filters that viewers have; 0 is one a fleet
}

// Size is what that needs.
type Size struct {
	Cells      int `json:"cells"`      // installations beside each other, with fleets of their own
	Partitions int `json:"partitions"` // in all of them; so the others

	Doors, Bridges, Edges Part
	Redis                 Part // shards, each a master; replicas are not counted

	MessagesPerSecond float64 `json:"messages_per_second"`
	UpdatesPerSecond  float64 `json:"updates_per_second"` // to viewers, together
	InMbps            float64 `json:"in_mbps"`            // from devices
	BusMbps           float64 `json:"bus_mbps"`           // from Redis to all edges
	OutMbps           float64 `json:"out_mbps"`           // to viewers
}

// Part is one kind of process.
type Part struct {
	Processes int     `json:"processes"`
	Cores     float64 `json:"cores"` // of all of them, at half use
	GB        float64 `json:"gb"`    // of all of them, resident
}

// Check tells what cannot be.
func (d *Demand) Check() error {
	switch {
	case d.Devices < 1 || d.Viewers < 0 || d.Views < 0 || d.Fleets < 1 || d.InView < 0:
		return errors.New("there is at least one device and one fleet")
	case d.Fleets > d.Devices:
		return errors.New("there are more fleets than devices")
	case d.Every < 10*time.Millisecond:
		return errors.New("a device sends at most 100 messages a second")
	case d.Tick < 100*time.Millisecond:
		return errors.New("a viewer is written to at most ten times a second")
	}
	return nil
}

// Of computes the size of a demand that was checked. Fleets and viewers are taken to be spread evenly; the largest fleet decides
// where they are not: see Largest.
func Of(d Demand) Size {
	var s Size
	messages, changes := d.messages(), d.changes()
	s.MessagesPerSecond = messages
	s.Cells = max(1, ceil(float64(d.Devices)/devicesOfCell), ceil(changes/changesOfCell))
	s.Partitions = max(s.Cells, min(d.Fleets, ceil(messages/(messagesOfCore*use))))

	// Cells are alike: what one of them uses, so many times. Of the parts, only edges are counted by what they use for following.
	cell := d
	cell.Devices, cell.Viewers = ceil(float64(d.Devices)/float64(s.Cells)), ceil(float64(d.Viewers)/float64(s.Cells))
	cell.Fleets = max(1, d.Fleets/s.Cells)
	shape := Shape{
		Doors: max(1, ceil(float64(cell.Devices)/connectionsOfDoor)), Bridges: 1, Redis: 1, Edges: 1,
		Partitions: min(cell.Fleets, max(partitionsOfBus, s.Partitions/s.Cells)), Fixes: fixesOfTrail,
	}
	for range 2 { // what there is of edges and of masters adds to what they use
		u := Expect(cell, shape)
		shape.Redis = max(1, ceil(u.Redis.Cores/use)) // each uses one core
		f := flowOf(cell, shape)
		shape.Edges = max(1, ceil(float64(cell.Viewers)/viewersOfEdge), ceil(cell.writing()/(edgeCores*use-f.following()-f.looking(cell))))
	}
	u := Expect(cell, shape)
	s.Doors, s.Bridges = part(u.Door, shape.Doors, s.Cells), part(u.Bridge, 1, s.Cells)
	s.Bridges.Processes = s.Cells // the first owns every partition and uses several cores; more of them stand by
	s.Redis, s.Edges = part(u.Redis, shape.Redis, s.Cells), part(u.Edge, shape.Edges, s.Cells)
	s.UpdatesPerSecond = float64(d.Viewers) * d.seen()

	s.InMbps = mbps(messages * bytesOfMessage)
	s.BusMbps = mbps(u.Follow * float64(s.Cells))
	s.OutMbps = mbps(u.Out * float64(s.Cells))
	return s
}

// part is a kind of process, of all cells.
func part(l Load, least, cells int) Part {
	cores := l.Cores / use
	n := max(least, ceil(cores/edgeCores))
	more := float64(n-least) * processOverhead
	return Part{Processes: n * cells, Cores: round(cores * float64(cells)), GB: round((l.Bytes + more) * float64(cells) / 1e9)}
}

// Largest is how many devices one fleet may have that each send so often: it is one partition, whose owner is one goroutine.
func Largest(every time.Duration) int { return int(messagesOfCore * every.Seconds()) }

func ceil(f float64) int         { return int(math.Ceil(f)) }
func mbps(bytes float64) float64 { return round(bytes * 8 / 1e6) }

// round keeps two digits: more would be a lie.
func round(f float64) float64 {
	if f <= 0 {
		return 0
	}
	scale := math.Pow(10, 1-math.Floor(math.Log10(f)))
	return math.Round(f*scale) / scale
}
