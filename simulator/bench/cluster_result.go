package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/size"
)

func (o *Cluster) section(rows []*ClusterRow) *Section {
	s := &Section{Title: "Several processes of each kind, beside the model", Result: rows}
	s.say("Behind one door are so many Redis masters, bridges and edges, each in a process of its own on the same machine; one master is a single Redis, several are a Cluster. Devices send at %g/s and QoS 1; devices and viewers are dealt over %d fleets, and a viewer sees one of them at one of the edges, plain.", float64(o.Rate), o.Fleets)
	s.say("Bytes are what the processes' system calls moved, without the headers of packets; what a door wrote is less the PUBACKs. Calls are the commands that came over connections; scripts do the rest. Of Redis's memory it is what came since it was empty, by its own account, %s. Resident sizes of ours hold garbage that nobody collected yet, which at these sizes is more than what devices and viewers are.", fixesText(rows))
	for _, r := range rows {
		s.say("%s: %s %d partitions have devices.", r.name(), healthText("meanwhile", &r.Sample.Generator), r.Partitions)
		if r.Viewers.Violations > 0 {
			s.note("%s: %d broken promises: %s", r.name(), r.Viewers.Violations, strings.Join(r.Viewers.Examples, "; "))
		}
	}
	if len(rows) == 0 {
		return s
	}
	s.Tables = append(s.Tables, besideModel(rows), eachMillion(rows))
	if t := distribution(rows); len(t.Rows) > 0 {
		s.Tables = append(s.Tables, t)
	}
	s.Tables = append(s.Tables, spreadTable(rows))
	low, high := modelBounds(rows)
	s.mark("cluster: the model's cores over those measured, of every kind of process and all together", reported, None, "%.2f to %.2f", low, high)
	return s
}

func fixesText(rows []*ClusterRow) string {
	if len(rows) == 0 {
		return "with the trails so far"
	}
	return fmt.Sprintf("with trails of %.0f fixes", rows[0].TrailFixes)
}

// clusterLines are what is compared.
var clusterLines = []struct {
	name  string
	unit  float64
	digit string
	of    func(*size.Usage) float64
}{
	{"cores of the door", 1, "%.3f", func(u *size.Usage) float64 { return u.Door.Cores }},
	{"cores of the bridges", 1, "%.3f", func(u *size.Usage) float64 { return u.Bridge.Cores }},
	{"cores of Redis", 1, "%.3f", func(u *size.Usage) float64 { return u.Redis.Cores }},
	{"cores of the edges", 1, "%.3f", func(u *size.Usage) float64 { return u.Edge.Cores }},
	{"cores of all", 1, "%.3f", cores},
	{"kB/s from the door to Redis", 1e3, "%.0f", func(u *size.Usage) float64 { return u.Append }},
	{"kB/s from Redis to the bridges", 1e3, "%.0f", func(u *size.Usage) float64 { return u.Read }},
	{"kB/s from the bridges to Redis", 1e3, "%.0f", func(u *size.Usage) float64 { return u.Publish }},
	{"kB/s from Redis to the edges", 1e3, "%.0f", func(u *size.Usage) float64 { return u.Follow }},
	{"kB/s from the edges to viewers", 1e3, "%.0f", func(u *size.Usage) float64 { return u.Out }},
	{"calls to Redis a second", 1, "%.0f", func(u *size.Usage) float64 { return u.Calls }},
	{"MB resident of the door", 1e6, "%.0f", func(u *size.Usage) float64 { return u.Door.Bytes }},
	{"MB resident of the bridges", 1e6, "%.0f", func(u *size.Usage) float64 { return u.Bridge.Bytes }},
	{"MB that Redis keeps", 1e6, "%.1f", func(u *size.Usage) float64 { return u.Redis.Bytes }},
	{"MB resident of the edges", 1e6, "%.0f", func(u *size.Usage) float64 { return u.Edge.Bytes }},
}

// Beside is a number that was measured, and the model's.
type Beside struct {
	Name       string
	Got, Model float64
}

// Compared is everything of a row in which the model is compared.
func Compared(r *ClusterRow) []Beside {
	var all []Beside
	for _, line := range clusterLines {
		all = append(all, Beside{line.name, line.of(&r.Got), line.of(&r.Model)})
	}
	return all
}

func cores(u *size.Usage) float64 {
	return u.Door.Cores + u.Bridge.Cores + u.Redis.Cores + u.Edge.Cores
}

func besideModel(rows []*ClusterRow) Table {
	t := Table{Title: "Measured, and in brackets the model's over it", Head: []string{""}}
	for _, r := range rows {
		t.Head = append(t.Head, r.name())
	}
	for _, line := range clusterLines {
		cells := []string{line.name}
		for _, r := range rows {
			got := line.of(&r.Got)
			cells = append(cells, fmt.Sprintf(line.digit+" (%.2f)", got/line.unit, ratio(line.of(&r.Model), got)))
		}
		t.add(cells...)
	}
	return t
}

// modelBounds are the least and the largest ratio of cores.
func modelBounds(rows []*ClusterRow) (low, high float64) {
	var all []float64
	for _, r := range rows {
		for _, line := range clusterLines[:5] {
			all = append(all, ratio(line.of(&r.Model), line.of(&r.Got)))
		}
	}
	return slices.Min(all), slices.Max(all)
}

func ratio(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}

func eachMillion(rows []*ClusterRow) Table {
	t := Table{
		Title: "CPU seconds: of the door, the bridges and Redis a million messages, of the edges a million updates to viewers; commands of Redis with those inside scripts",
		Head:  []string{"", "messages/s", "door", "bridges", "Redis", "updates/s", "edges", "commands/s", "from the intended instant to the viewer p50 / p99", "PUBACK p99"},
	}
	for _, r := range rows {
		each := func(cores, rate float64) string { return fmt.Sprintf("%.1f", ratio(cores, rate)*1e6) }
		t.add(r.name(), fmt.Sprintf("%.0f", r.Messages), each(r.Got.Door.Cores, r.Messages), each(r.Got.Bridge.Cores, r.Messages), each(r.Got.Redis.Cores, r.Messages),
			fmt.Sprintf("%.0f", r.Viewers.Updates), each(r.Got.Edge.Cores, r.Viewers.Updates), fmt.Sprintf("%.0f", r.Commands),
			fmt.Sprintf("%.0f / %.0f ms", r.Viewers.Latency.P50, r.Viewers.Latency.P99), fmt.Sprintf("%.0f ms", r.Puback99))
	}
	return t
}

// distribution puts the same load on few and on many processes beside each other.
func distribution(rows []*ClusterRow) Table {
	t := Table{
		Title: "What several of each cost more than one of each, at the same load, in cores; without devices it is what they use while nothing comes",
		Head:  []string{"load", "processes", "door", "bridges", "Redis", "edges", "all", "all without devices", "p50 / p99 to the viewer"},
	}
	for _, one := range rows {
		for _, r := range rows {
			if one.Each != 1 || r.Each == 1 || r.Load != one.Load {
				continue
			}
			more := func(of func(*size.Usage) float64) string { return fmt.Sprintf("%+.3f", of(&r.Got)-of(&one.Got)) }
			t.add(fmt.Sprintf("%d devices, %d viewers", r.Load.Devices, r.Load.Viewers), fmt.Sprintf("%d for 1", r.Each),
				more(clusterLines[0].of), more(clusterLines[1].of), more(clusterLines[2].of), more(clusterLines[3].of),
				fmt.Sprintf("%+.3f (%.2f times)", cores(&r.Got)-cores(&one.Got), ratio(cores(&r.Got), cores(&one.Got))),
				fmt.Sprintf("%+.3f", cores(&r.Idle)-cores(&one.Idle)),
				fmt.Sprintf("%+.0f / %+.0f ms", r.Viewers.Latency.P50-one.Viewers.Latency.P50, r.Viewers.Latency.P99-one.Viewers.Latency.P99))
		}
	}
	return t
}

func spreadTable(rows []*ClusterRow) Table {
	t := Table{Title: "How even it is: the most that one of them has over the mean", Head: []string{"", "Redis: cores", "Redis: calls", "bridges: cores", "partitions owned, by bridge", "devices, by bridge", "edges: cores"}}
	for _, r := range rows {
		if r.Each == 1 {
			continue
		}
		number := func(of func(*ClusterPart) float64) string {
			var all []string
			for i := range r.Spread {
				if kind(r.Spread[i].Role) == "bridge" {
					all = append(all, fmt.Sprintf("%.0f", of(&r.Spread[i])))
				}
			}
			return strings.Join(all, ", ")
		}
		t.add(r.name(), skew(r, "redis", coresOf), skew(r, "redis", func(p *ClusterPart) float64 { return p.Calls }), skew(r, "bridge", coresOf),
			number(func(p *ClusterPart) float64 { return p.Partitions }), number(func(p *ClusterPart) float64 { return p.Devices }), skew(r, "edge", coresOf))
	}
	return t
}

func coresOf(p *ClusterPart) float64 { return p.Cores }

// skew is the most over the mean.
func skew(r *ClusterRow, of string, value func(*ClusterPart) float64) string {
	most, all, n := 0.0, 0.0, 0.0
	for i := range r.Spread {
		if p := &r.Spread[i]; kind(p.Role) == of {
			most, all, n = max(most, value(p)), all+value(p), n+1
		}
	}
	return fmt.Sprintf("%.2f", ratio(most*n, all))
}
