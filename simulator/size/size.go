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
	case d.Devices < 1 || d.Viewers < 0 || d.Fleets < 1 || d.InView < 0:
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
	messages := float64(d.Devices) / d.Every.Seconds()
	changes := math.Min(messages, float64(d.Devices)*10) // a device changes at most once a window
	s.MessagesPerSecond = messages
	s.Cells = max(1, ceil(float64(d.Devices)/devicesOfCell), ceil(changes/changesOfCell))
	s.Partitions = max(s.Cells, min(d.Fleets, ceil(messages/(messagesOfCore*use))))

	door := doorPerMessage
	if d.Every <= 100*time.Millisecond {
		door = doorPerBusyMessage
	}
	s.Doors = part(messages*door.Seconds(), float64(d.Devices)*doorPerDevice, ceil(float64(d.Devices)/connectionsOfDoor), s.Cells)
	s.Bridges = part(messages*bridgePerMessage.Seconds(), float64(d.Devices)*bridgePerDevice, 1, s.Cells)
	s.Redis = part(messages*redisPerMessage.Seconds(), float64(d.Devices)*redisPerDevice+messages*redisPerInlet, 1, s.Cells)
	s.Redis.Processes = max(s.Redis.Processes, ceil(s.Redis.Cores)) // each uses one core

	seen := float64(min(d.InView, d.Devices)) / d.Every.Seconds() // changes a second that a viewer sees
	writes := math.Min(1/d.Tick.Seconds(), seen)
	s.UpdatesPerSecond = float64(d.Viewers) * math.Min(seen, float64(min(d.InView, d.Devices))/d.Tick.Seconds())
	writing := float64(d.Viewers) * writes * edgePerWrite.Seconds()
	// An edge has two cores at half use. What it spends on following is the same for each, and at most half of that: see changesOfCell.
	following := changes / float64(s.Cells) * edgePerChange.Seconds()
	edges := max(s.Cells, ceil(float64(d.Viewers)/viewersOfEdge), ceil(writing/(edgeCores*use-following)))
	s.Edges = part(writing+following*float64(edges), float64(d.Viewers)*edgePerViewer+float64(edges)*float64(d.Devices)/float64(s.Cells)*edgePerDevice, edges, s.Cells)

	size := float64(bytesOfUpdate)
	if !d.Plain {
		size *= gzipOf
	}
	s.InMbps = mbps(messages * bytesOfMessage)
	s.BusMbps = mbps(changes / float64(s.Cells) * bytesOfChange * float64(s.Edges.Processes))
	s.OutMbps = mbps(s.UpdatesPerSecond * size)
	return s
}

// part sizes a kind of process: cores at half use, and at least two cores for each process where it has more to do.
func part(cores, bytes float64, least, cells int) Part {
	cores /= use
	n := max(least, cells, ceil(cores/edgeCores))
	return Part{Processes: n, Cores: round(cores), GB: round((bytes + float64(n)*processOverhead) / 1e9)}
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
