package size

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// Write says a size for people.
func Write(w io.Writer, d Demand, s Size) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }
	line("%d devices in %d fleets, a message each %v; %d viewers of %d devices each", d.Devices, d.Fleets, d.Every, d.Viewers, d.InView)
	line("")
	line("\tprocesses\tcores at half use\tGB")
	for _, p := range []struct {
		name string
		part Part
	}{{"doors", s.Doors}, {"bridges", s.Bridges}, {"Redis masters", s.Redis}, {"edges", s.Edges}} {
		line("%s\t%d\t%s\t%s", p.name, p.part.Processes, number(p.part.Cores), number(p.part.GB))
	}
	line("")
	line("cells\t%d", s.Cells)
	line("partitions\t%d", s.Partitions)
	line("messages a second\t%s", number(s.MessagesPerSecond))
	line("updates a second to viewers\t%s", number(s.UpdatesPerSecond))
	line("Mbit/s from devices; from Redis to edges; to viewers\t%s; %s; %s", number(s.InMbps), number(s.BusMbps), number(s.OutMbps))
	if most := Largest(d.Every); d.Devices/d.Fleets > most {
		line("a fleet has more than %d devices: its one owner cannot keep up, split it", most)
	}
	return t.Flush()
}

// Row is a line of a table in Markdown.
func Row(d Demand, s Size) string {
	return fmt.Sprintf("| %d | %v | %d | %d | %d | %d: %s | %d: %s | %d: %s | %d: %s | %s / %s / %s |",
		d.Devices, d.Every, d.Viewers, s.Cells, s.Partitions,
		s.Doors.Processes, number(s.Doors.Cores), s.Bridges.Processes, number(s.Bridges.Cores), s.Redis.Processes, number(s.Redis.Cores), s.Edges.Processes, number(s.Edges.Cores),
		number(s.InMbps), number(s.BusMbps), number(s.OutMbps))
}

func number(f float64) string { return strconv.FormatFloat(round(f), 'f', -1, 64) }
