package size

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// demands are those of the table in deploy/docs/capacity.md.
var demands = []Demand{
	{Devices: 1000, Every: 10 * time.Second, Fleets: 1, Viewers: 20, InView: 1000, Tick: 100 * time.Millisecond},
	{Devices: 10_000, Every: 10 * time.Second, Fleets: 10, Viewers: 200, InView: 1000, Tick: 100 * time.Millisecond},
	{Devices: 100_000, Every: 10 * time.Second, Fleets: 100, Viewers: 2000, InView: 1000, Tick: 100 * time.Millisecond},
	{Devices: 1_000_000, Every: 30 * time.Second, Fleets: 1000, Viewers: 20_000, InView: 1000, Tick: time.Second},
	{Devices: 10_000_000, Every: 30 * time.Second, Fleets: 10_000, Viewers: 1_000_000, InView: 500, Tick: time.Second},
}

// TestThePageHasTheModelsTable holds the page to the model.
func TestThePageHasTheModelsTable(t *testing.T) {
	page, err := os.ReadFile("../../deploy/docs/capacity.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range demands {
		if row := Row(d, Of(d)); !bytes.Contains(page, []byte(row+"\n")) {
			t.Errorf("the page has no row\n%s", row)
		}
	}
}

// The model at what was measured: the whole path of 2,000 devices at 1/s and 100 viewers took 0.23 to 0.26 of a core with Redis and split
// roles, and one that holds 20,000 viewers writes to each ten times a second.
func TestTheModelIsNearWhatWasMeasured(t *testing.T) {
	s := Of(Demand{Devices: 2000, Every: time.Second, Fleets: 1, Viewers: 100, InView: 2000, Tick: 100 * time.Millisecond, Plain: true})
	cores := (s.Doors.Cores + s.Bridges.Cores + s.Redis.Cores + s.Edges.Cores) * use
	if cores < 0.2 || cores > 0.35 {
		t.Errorf("%v cores: it took 0.23 to 0.26", cores)
	}
	if s.MessagesPerSecond != 2000 || s.UpdatesPerSecond != 200_000 || s.Cells != 1 || s.Partitions != 1 {
		t.Errorf("%+v", s)
	}
}

func TestMoreNeedsMore(t *testing.T) {
	base := demands[2]
	small := Of(base)
	for name, change := range map[string]func(*Demand){
		"devices": func(d *Demand) { d.Devices *= 20 },
		"rate":    func(d *Demand) { d.Every /= 50 },
		"viewers": func(d *Demand) { d.Viewers *= 50 },
	} {
		d := base
		change(&d)
		s := Of(d)
		before, after := small.Doors.Cores+small.Bridges.Cores+small.Redis.Cores+small.Edges.Cores, s.Doors.Cores+s.Bridges.Cores+s.Redis.Cores+s.Edges.Cores
		if after <= before {
			t.Errorf("more %s: %v cores in place of %v", name, after, before)
		}
		if s.Partitions > d.Fleets {
			t.Errorf("more %s: %d partitions of %d fleets", name, s.Partitions, d.Fleets)
		}
		if s.Bridges.Processes != s.Cells {
			t.Errorf("more %s: %+v of %d cells", name, s.Bridges, s.Cells)
		}
		for _, p := range []Part{s.Doors, s.Redis, s.Edges} {
			if p.Processes < s.Cells || p.Cores > edgeCores*float64(p.Processes)*1.01 {
				t.Errorf("more %s: %+v of %d cells", name, p, s.Cells)
			}
		}
	}
	slower := base
	slower.Tick = 10 * time.Second
	if s := Of(slower); s.Edges.Cores >= small.Edges.Cores {
		t.Error("viewers that are written to seldom cost as much")
	}
}

func TestWhatCannotBeIsSaid(t *testing.T) {
	for _, change := range []func(*Demand){
		func(d *Demand) { d.Devices = 0 }, func(d *Demand) { d.Fleets = 0 }, func(d *Demand) { d.Fleets = d.Devices + 1 },
		func(d *Demand) { d.Every = 0 }, func(d *Demand) { d.Tick = time.Millisecond }, func(d *Demand) { d.Viewers = -1 },
	} {
		d := demands[0]
		change(&d)
		if d.Check() == nil {
			t.Errorf("%+v is taken", d)
		}
	}
	large := Demand{Devices: 100_000, Every: time.Second, Fleets: 1, Viewers: 1, InView: 1, Tick: time.Second}
	var out bytes.Buffer
	if err := Write(&out, large, Of(large)); err != nil || !strings.Contains(out.String(), "split it") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
