package main

import (
	"encoding/json"
	"io"
	"time"

	"github.com/fleetcast/fleetcast/simulator/size"
)

// sizeCommand is `simulator size`.
type sizeCommand struct {
	Devices int           `help:"How many devices." default:"10000"`
	Every   time.Duration `help:"How often each sends a message." default:"10s"`
	Fleets  int           `help:"In how many fleets they are; a fleet is one partition at most." default:"10"`
	Viewers int           `help:"How many viewers look at once." default:"100"`
	InView  int           `help:"How many devices each of them sees." default:"1000"`
	Views   int           `help:"How many different filters the viewers have together; 0 is one a fleet."`
	Tick    time.Duration `help:"How often a viewer is written to at most." default:"100ms"`
	Plain   bool          `help:"Viewers take no gzip."`
	JSON    bool          `name:"json" help:"As one JSON object."`
}

// Run computes.
func (c *sizeCommand) Run(t *terminal) error {
	d := size.Demand{Devices: c.Devices, Every: c.Every, Fleets: c.Fleets, Viewers: c.Viewers, InView: c.InView, Views: c.Views, Tick: c.Tick, Plain: c.Plain}
	if err := d.Check(); err != nil {
		return err
	}
	return writeSize(t.out, d, c.JSON)
}

func writeSize(w io.Writer, d size.Demand, asJSON bool) error {
	s := size.Of(d)
	if !asJSON {
		return size.Write(w, d, s)
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(s)
}
