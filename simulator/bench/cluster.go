package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/size"
	"github.com/fleetcast/fleetcast/simulator/units"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Cluster asks whether the model of simulator/size says what an installation of several processes uses: a Redis Cluster, bridges and
// edges, three of each, behind one door; and what it costs that there are three and not one.
type Cluster struct {
	Loads  []ClusterLoad `name:"load" help:"Devices x viewers, repeatable." default:"600x30,1500x150,3000x300"`
	Rate   units.Rate    `help:"How often each device sends, at QoS 1." default:"1/s"`
	Fleets int           `help:"Over how many fleets devices and viewers are dealt; a viewer sees one." default:"48"`
	Each   []int         `help:"How many of each kind there are, repeatable: Redis masters, bridges and edges." default:"1,3"`
}

// ClusterLoad is so many devices before so many viewers.
type ClusterLoad struct{ Devices, Viewers int }

// UnmarshalText reads a load as it is written: 600x30.
func (l *ClusterLoad) UnmarshalText(text []byte) error {
	var p Point
	if err := p.UnmarshalText(text); err != nil {
		return fmt.Errorf("read load %q: it is written as 600x30, devices and viewers", text)
	}
	l.Devices, l.Viewers = p.Viewers, p.Updates
	return nil
}

// MarshalText writes a load as it is read.
func (l ClusterLoad) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%dx%d", l.Devices, l.Viewers), nil
}

// Name is cluster.
func (*Cluster) Name() string { return "cluster" }

func (o *Cluster) shrink() { o.Loads, o.Fleets, o.Each = []ClusterLoad{{60, 12}}, 12, []int{3} }

// ClusterRow is what an installation used for a load, and what the model says of it.
type ClusterRow struct {
	Each         int                `json:"processes_of_each_kind"`
	Load         ClusterLoad        `json:"load"`
	Partitions   int                `json:"partitions_with_devices"`
	Demand       size.Demand        `json:"demand"`
	Model        size.Usage         `json:"model"`
	Got          size.Usage         `json:"measured"`
	Idle         size.Usage         `json:"without_devices"` // before the first of them
	Alone        size.Usage         `json:"without_viewers"`
	Messages     float64            `json:"messages_per_second"`
	Sample       Sample             `json:"with_viewers"`
	Viewers      Crowding           `json:"viewers"`
	Puback99     float64            `json:"puback_p99_ms"`
	Commands     float64            `json:"redis_commands_per_second"`
	ByCommand    map[string]float64 `json:"redis_commands"`
	IdleCommands map[string]float64 `json:"redis_commands_without_devices"`
	TrailFixes   float64            `json:"fixes_of_a_device_at_the_end"`
	Spread       []ClusterPart      `json:"spread"`
}

// ClusterPart is one process's part of what its kind did.
type ClusterPart struct {
	Role       string  `json:"role"`
	Cores      float64 `json:"cores"`
	Partitions float64 `json:"partitions,omitempty"`
	Devices    float64 `json:"devices,omitempty"`
	Calls      float64 `json:"calls_per_second,omitempty"`
}

func (o *Cluster) run(ctx context.Context, l *lab) (*Section, error) {
	redis := find("redis-server")
	if redis == "" {
		s := o.section(nil)
		s.note("redis-server is not installed: nothing was measured")
		return s, nil
	}
	var rows []*ClusterRow
	for _, load := range o.Loads {
		for _, each := range o.Each {
			row, err := o.measure(ctx, l, redis, load, each)
			if err != nil {
				return o.section(rows), fmt.Errorf("%d of each, %d devices, %d viewers: %w", each, load.Devices, load.Viewers, err)
			}
			rows = append(rows, row)
		}
	}
	return o.section(rows), nil
}

func (o *Cluster) measure(ctx context.Context, l *lab, redis string, load ClusterLoad, each int) (*ClusterRow, error) {
	c, err := l.startCluster(ctx, redis, each)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	row := &ClusterRow{Each: each, Load: load}
	empty, err := c.settle(ctx, l)
	if err != nil {
		return nil, err
	}
	l.say("measuring %d of each without devices", each)
	idle, err := c.over(ctx, l.Measure/2)
	if err != nil {
		return nil, err
	}
	row.Idle, row.IdleCommands = idle.usage(), idle.commands()
	began := time.Now()
	d, err := l.startFleet(ctx, &c.server, fleet.Options{Devices: load.Devices, Rate: o.Rate, QoS: 1, Fleets: o.fleets()})
	if err != nil {
		return nil, err
	}
	err = o.look(ctx, l, c, d, row, empty)
	row.TrailFixes = float64(o.Rate) * since(began)
	if err == nil {
		row.Partitions, err = c.partitionsUsed(ctx)
	}
	if err == nil {
		o.foresee(row)
	}
	return row, errors.Join(err, d.stop())
}

// look measures with devices, and then with viewers too.
func (o *Cluster) look(ctx context.Context, l *lab, c *cluster, d *devices, row *ClusterRow, empty map[string]float64) error {
	if err := pause(ctx, l.Warm); err != nil {
		return err
	}
	l.say("measuring without viewers for %v", l.Measure)
	before := d.Counts().Acked
	alone, err := c.over(ctx, l.Measure)
	if err != nil {
		return err
	}
	row.Alone = alone.usage()
	acks := float64(d.Counts().Acked-before) * bytesOfPuback / alone.seconds
	row.Alone.Append -= acks
	crowd, err := l.startCrowd(ctx, &c.server, watch.Options{Viewers: row.Load.Viewers, Address: func(i int) string {
		return fmt.Sprintf("http://%s/stream/assets?fleet=%s", c.edges[i%len(c.edges)], o.fleets()[i/len(c.edges)%o.Fleets])
	}, URL: "http://" + c.edges[0] + "/stream/assets"})
	if err != nil {
		return err
	}
	err = o.watched(ctx, l, c, d, crowd, row)
	if err == nil {
		err = c.remember(ctx, row, empty)
	}
	row.Puback99 = d.Summary().Puback.P99
	return errors.Join(err, crowd.stop())
}

// bytesOfPuback are those of MQTT (3.4).
const bytesOfPuback = 4

func (o *Cluster) watched(ctx context.Context, l *lab, c *cluster, d *devices, crowd *crowd, row *ClusterRow) error {
	first, err := c.snapshot(ctx)
	if err != nil {
		return err
	}
	before := d.Counts().Acked
	row.Sample, row.Viewers, err = l.measureCrowd(ctx, &c.server, crowd, l.Measure)
	if err != nil {
		return err
	}
	last, err := c.snapshot(ctx)
	if err != nil {
		return err
	}
	with := between(first, last)
	row.Messages = float64(d.Counts().Acked-before) / with.seconds
	row.Got = with.usage()
	row.Got.Append -= row.Messages * bytesOfPuback
	row.Got.Calls = with.calls()
	row.Got.Out = row.Viewers.Bytes
	row.Commands = with.redis("total_commands_processed")
	row.ByCommand = with.commands()
	row.Spread, err = c.spread(ctx, with)
	return err
}

func (o *Cluster) fleets() []string {
	names := make([]string, o.Fleets)
	for i := range names {
		names[i] = fmt.Sprintf("bench-%02d", i)
	}
	return names
}

// foresee asks the model about the row's demand and shape.
func (o *Cluster) foresee(row *ClusterRow) {
	row.Demand = size.Demand{
		Devices: row.Load.Devices, Every: o.Rate.Interval(), Fleets: o.Fleets, Viewers: row.Load.Viewers,
		InView: row.Load.Devices / o.Fleets, Tick: 100 * time.Millisecond, Plain: true,
	}
	row.Model = size.Expect(row.Demand, size.Shape{Doors: 1, Bridges: row.Each, Redis: row.Each, Edges: row.Each, Partitions: row.Partitions, Fixes: int(row.TrailFixes)})
}

func (row *ClusterRow) name() string {
	return fmt.Sprintf("%d devices, %d viewers, %d×%d×%d", row.Load.Devices, row.Load.Viewers, row.Each, row.Each, row.Each)
}
