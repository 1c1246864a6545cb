package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/units"
)

// Ingest asks what a message costs: the gateway keeps it and, at QoS 1, acknowledges then; a bare mochi and a Mosquitto
// without a subscriber acknowledge at once and drop it.
type Ingest struct {
	Devices int          `help:"How many devices." default:"2000"`
	Rates   []units.Rate `name:"rate" help:"How often each sends, repeatable." default:"1/s,10/s"`
	QoS     []int        `name:"qos" help:"Qualities of service, repeatable." default:"0,1"`
}

// wantIngest is the mark at QoS 1 and the highest rate, in seconds a million.
const wantIngest = 40

// Name is ingest.
func (*Ingest) Name() string { return "ingest" }

func (o *Ingest) shrink() { o.Devices, o.Rates, o.QoS = 200, []units.Rate{5}, []int{1} }

func (o *Ingest) run(ctx context.Context, l *lab) (*Section, error) {
	servers := []ingestServer{{"gateway", l.startGateway}, {"bare mochi", l.startBare}}
	mosquitto := find("mosquitto")
	if mosquitto != "" {
		servers = append(servers, ingestServer{"Mosquitto", func(ctx context.Context) (*server, error) { return l.startMosquitto(ctx, mosquitto) }})
	}
	var steps []*IngestStep
	for _, qos := range o.QoS {
		for _, rate := range o.Rates {
			step, err := o.step(ctx, l, servers, qos, rate)
			if err != nil {
				return o.section(steps), err
			}
			steps = append(steps, step)
		}
	}
	s := o.section(steps)
	if mosquitto == "" {
		s.note("mosquitto is not installed and was not measured")
	}
	return s, nil
}

// ingestServer is a server that takes messages.
type ingestServer struct {
	name  string
	start func(context.Context) (*server, error)
}

// step measures all servers at a rate, one after the other.
func (o *Ingest) step(ctx context.Context, l *lab, servers []ingestServer, qos int, rate units.Rate) (*IngestStep, error) {
	step := &IngestStep{QoS: qos, Rate: float64(rate)}
	for _, server := range servers {
		side, err := o.measure(ctx, l, server, qos, rate)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", server.name, err)
		}
		step.Sides = append(step.Sides, side)
	}
	step.conclude()
	return step, nil
}

// measure connects the devices to a fresh server, measures and disconnects them.
func (o *Ingest) measure(ctx context.Context, l *lab, server ingestServer, qos int, rate units.Rate) (IngestSide, error) {
	side := IngestSide{Server: server.name}
	s, err := server.start(ctx)
	if err != nil {
		return side, err
	}
	defer s.stop()
	empty, err := s.resident()
	if err != nil {
		return side, err
	}
	d, err := l.startFleet(ctx, s, fleet.Options{Devices: o.Devices, Rate: rate, QoS: byte(qos)})
	if err != nil {
		return side, err
	}
	readings, err := o.read(ctx, l, s, d)
	var full int64
	if err == nil {
		full, err = s.resident()
	}
	if err == nil {
		summary := d.Summary()
		side.fill(readings, &summary, qos)
		side.DeviceBytes = float64(full-empty) / float64(o.Devices)
	}
	return side, errors.Join(err, d.stop())
}

// A reading is what stood in the books at a moment.
type reading struct {
	at     time.Time
	cpu    float64 // seconds that the server used so far
	counts fleet.Counts
}

// read takes a reading before and after each slice.
func (o *Ingest) read(ctx context.Context, l *lab, s *server, d *devices) ([]reading, error) {
	if err := pause(ctx, l.Warm); err != nil {
		return nil, err
	}
	l.say("measuring %s for %v", s.parts[0].role, l.Measure)
	var all []reading
	for {
		cpu, err := s.cpu()
		if err != nil {
			return nil, err
		}
		all = append(all, reading{time.Now(), cpu[0], d.Counts()})
		if len(all) > sliceCount {
			return all, nil
		}
		if err := pause(ctx, l.Measure/sliceCount); err != nil {
			return nil, err
		}
	}
}
