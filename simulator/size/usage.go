package size

import "math"

// Shape is how many processes of each kind there are, and over how many partitions the devices are spread.
type Shape struct {
	Doors, Bridges, Redis, Edges int
	Partitions                   int
	Fixes                        int // that the trail of a device holds
}

// Usage is what a demand is expected to use of a shape, of one cell and of all processes of a kind together: as it is, where Size
// is at half use and rounded.
type Usage struct {
	Door   Load `json:"door"`
	Bridge Load `json:"bridge"`
	Redis  Load `json:"redis"`
	Edge   Load `json:"edge"`

	// What the processes say to each other, in bytes a second without the headers of their packets.
	Append  float64 `json:"append_bytes"`  // doors to Redis
	Read    float64 `json:"read_bytes"`    // Redis to bridges
	Publish float64 `json:"publish_bytes"` // bridges to Redis
	Follow  float64 `json:"follow_bytes"`  // Redis to edges
	Out     float64 `json:"out_bytes"`     // edges to viewers

	Calls float64 `json:"calls"` // to Redis, a second
}

// Load is what the processes of a kind use.
type Load struct {
	Cores float64 `json:"cores"`
	Bytes float64 `json:"bytes"` // of memory; Redis by its own account, the others as they are resident
}

// Expect says what a demand that was checked uses of a shape. Whatever comes within the same commit or window goes together, so the
// calls are fewer than the messages: of n that come at random, 1-exp(-n) of the windows have one.
func Expect(d Demand, s Shape) Usage {
	f := flowOf(d, s)
	devices, masters, edges := float64(d.Devices), float64(s.Redis), float64(s.Edges)
	waiting := 0.0 // bridges that wait for the partitions of others: all but one that is alone
	if s.Bridges > 1 {
		waiting = float64(s.Bridges)
	}
	var u Usage
	u.Door = Load{
		float64(s.Doors)*(doorAwake+doorPerMaster*(masters-1))*math.Min(1, f.messages/float64(s.Doors)/doorAwakeFrom) +
			f.messages*doorPerMessage.Seconds() + f.appends*doorPerAppend.Seconds(),
		devices*doorPerDevice + float64(s.Doors)*processOverhead,
	}
	u.Bridge = Load{
		float64(s.Bridges)*(bridgeAwake+bridgePerMaster*masters) + waiting*bridgeWaits +
			f.messages*bridgePerMessage.Seconds() + f.appends*bridgePerAppend.Seconds() + f.batches*bridgePerBatch.Seconds(),
		devices*bridgePerDevice + float64(s.Bridges)*processOverhead,
	}
	u.Redis = Load{
		masters*redisAwake + waiting*redisPerWaiting + f.messages*redisPerMessage.Seconds() + f.appends*redisPerAppend.Seconds() +
			f.batches*(redisPerBatch.Seconds()+edges*redisPerHanding.Seconds()),
		devices*(redisPerState+float64(min(s.Fixes, fixesOfTrail))*bytesOfFix) + f.messages*redisPerInlet + f.log(),
	}
	u.Edge = Load{
		d.writing() + edges*(f.following()+f.looking(d)),
		float64(d.Viewers)*edgePerViewer + edges*(devices*edgePerDevice+processOverhead),
	}
	u.Append = f.messages*bytesOfEntry + f.appends*bytesOfAppend
	u.Read = f.messages*bytesOfEntry + f.appends*bytesOfRead
	u.Publish = f.changes*bytesOfPublish + f.batches*bytesOfStep
	u.Follow = edges * (f.changes*bytesOfChange + f.batches*bytesOfBatch)
	u.Out = float64(d.Viewers) * (d.seen()*bytesOfUpdate + d.writes()*bytesOfWrite)
	if !d.Plain {
		u.Out *= gzipOf
	}
	u.Calls = 2*f.appends + 2*f.batches + callsAlways + waiting*callsOfWaiting
	return u
}

// flow is how much goes through a cell in a second, and over how much it is spread.
type flow struct {
	messages, changes float64
	appends, batches  float64
	partitions        float64
	views             float64 // of each edge: those that look at the same count once
}

func flowOf(d Demand, s Shape) flow {
	f := flow{messages: d.messages(), changes: d.changes(), partitions: float64(max(s.Partitions, 1))}
	f.appends = some(f.messages, float64(s.Doors)*commitsPerSecond*f.partitions)
	f.batches = some(f.messages, flushesPerSecond*f.partitions)
	views := d.Views
	if views == 0 {
		views = d.Fleets
	}
	f.views = math.Min(float64(views), float64(ceil(float64(d.Viewers)/float64(max(s.Edges, 1)))))
	return f
}

// some is how many of the windows of a second have one of n that come at random.
func some(n, windows float64) float64 { return windows * (1 - math.Exp(-n/windows)) }

// log is what Redis holds of batches, for feeds that have a gap.
func (f *flow) log() float64 {
	if f.batches == 0 {
		return 0
	}
	inOne := f.changes/f.batches*bytesOfChange + bytesOfBatch
	return f.partitions * math.Min(batchesOfLog*inOne, bytesOfLog)
}

// following is what an edge uses to follow everything.
func (f *flow) following() float64 {
	return edgeAwake + f.batches*edgePerBatch.Seconds() + f.changes*edgePerChange.Seconds()
}

// writing is what all edges use to write to viewers.
func (d *Demand) writing() float64 {
	return float64(d.Viewers) * (d.writes()*edgePerWrite.Seconds() + d.seen()*edgePerUpdate.Seconds())
}

// looking is what one edge uses to encode what its viewers look at.
func (f *flow) looking(d Demand) float64 {
	ticks := math.Min(f.batches, f.views*d.writes())
	return ticks*edgePerTick.Seconds() + f.views*d.seen()*edgePerEncoding.Seconds()
}

func (d *Demand) messages() float64 { return float64(d.Devices) / d.Every.Seconds() }

// changes are those that are published: a device changes at most once a window.
func (d *Demand) changes() float64 {
	return math.Min(d.messages(), float64(d.Devices)*flushesPerSecond)
}

// seen is the changes a second that a viewer is told.
func (d *Demand) seen() float64 {
	shown := float64(min(d.InView, d.Devices))
	return math.Min(shown/d.Every.Seconds(), shown/d.Tick.Seconds())
}

// writes are those to a viewer, a second.
func (d *Demand) writes() float64 {
	return some(float64(min(d.InView, d.Devices))/d.Every.Seconds(), 1/d.Tick.Seconds())
}
