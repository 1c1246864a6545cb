package fleet

import (
	"fmt"
	"io"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

// Summary is the report of a run. Rates and the ledger of the load are of the steady time, after the ramp; connections
// are of the whole run.
type Summary struct {
	Health measure.Health `json:"generator"`

	Devices  int     `json:"devices"`
	QoS      byte    `json:"qos"`
	Interval float64 `json:"interval_seconds"`
	Seed     uint64  `json:"seed"`
	Broker   string  `json:"broker"`

	RampSeconds   float64 `json:"ramp_seconds"`
	SteadySeconds float64 `json:"steady_seconds"`
	DownSeconds   float64 `json:"down_seconds"`
	OfferedRate   float64 `json:"offered_per_second"`
	AchievedRate  float64 `json:"achieved_per_second"`
	Steady        Counts  `json:"steady"`
	Whole         Counts  `json:"whole"`

	Lateness measure.Percentiles `json:"late_from_intended"`   // intended instant to the system call
	Puback   measure.Percentiles `json:"puback_from_intended"` // intended instant to the PUBACK
	Acking   measure.Percentiles `json:"puback_from_sent"`     // system call to the PUBACK
	Connect  measure.Percentiles `json:"connect"`              // dial to CONNACK
}

// Summary returns the report; during a run it is that of the run so far.
func (f *Fleet) Summary() Summary {
	f.mu.Lock()
	p := f.phases
	f.mu.Unlock()
	if !p.ended && p.probe != nil {
		p.end, p.atEnd = f.elapsed(), f.count.counts()
		p.healthAtEnd, _ = p.probe.Health() // the end reports it if it fails
	}
	if !p.isSteady {
		p.steady = p.end
		p.atSteady = Counts{}
	}
	if !p.isDown {
		p.down, p.atDown, p.kept = p.end, p.atEnd, f.count.latencies()
	}
	s := Summary{
		Health: p.healthAtEnd, Devices: len(f.devices), QoS: f.options.QoS, Seed: f.options.Seed, Broker: f.options.MQTT,
		RampSeconds: p.steady.Seconds(), SteadySeconds: (p.down - p.steady).Seconds(), DownSeconds: (p.end - p.down).Seconds(),
		Steady: p.atDown.since(p.atSteady), Whole: p.atEnd,
		Lateness: measure.Sum(p.kept.lateness), Puback: measure.Sum(p.kept.puback), Acking: measure.Sum(p.kept.acking),
		Connect: measure.Sum(f.count.connect),
	}
	if f.options.Rate > 0 {
		s.Interval = f.options.Rate.Interval().Seconds()
	}
	if s.SteadySeconds > 0 {
		s.OfferedRate = float64(s.Steady.Offered) / s.SteadySeconds
		s.AchievedRate = float64(s.Steady.Sent) / s.SteadySeconds
	}
	return s
}

// Latencies are copies of the steady time's histograms by the names that a report gives them.
func (f *Fleet) Latencies() map[string]*measure.Histogram {
	f.mu.Lock()
	kept, isDown := f.phases.kept, f.phases.isDown
	f.mu.Unlock()
	if !isDown {
		kept = f.count.latencies()
	}
	return map[string]*measure.Histogram{
		"send": kept.lateness, "ack": kept.puback, "ack_from_sent": kept.acking, "connect": f.count.connect.Copy(),
	}
}

// WriteText writes the report for people.
func (s Summary) WriteText(w io.Writer) error {
	var b strings.Builder
	s.Health.AppendText(&b)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-13s "+format+"\n", append([]any{name}, args...)...)
	}
	line("devices", "%d at QoS %d every %g s, seed %d, broker %s", s.Devices, s.QoS, s.Interval, s.Seed, s.Broker)
	line("time", "ramp %.1f s, steady %.1f s, down %.1f s", s.RampSeconds, s.SteadySeconds, s.DownSeconds)
	line("rate", "offered %.1f/s, achieved %.1f/s", s.OfferedRate, s.AchievedRate)
	c := s.Steady
	line("messages", "offered %d, sent %d, acked %d, refused %d, unacked %d", c.Offered, c.Sent, c.Acked, c.AckRefused, c.Unacked)
	line("late", "%d sent more than 50 ms after their instant", c.Late)
	k := c.Skipped
	line("skipped", "%d: generator behind %d, socket full %d, window full %d, not connected %d; failed %d",
		k.Total(), k.Behind, k.Busy, k.Window, k.NotConnected, c.Failed)
	if c.Buffered+c.Quiet > 0 {
		line("trackers", "%d fixes were held back in tunnels, at %d turns there was nothing to report", c.Buffered, c.Quiet)
	}
	w2 := s.Whole
	if made := w2.Faults; made != (Made{}) {
		line("faults", "duplicates %d, disordered %d, malformed %d; connections dropped %d, taken over %d, vanished %d",
			made.Duplicates, made.Disordered, made.Malformed, made.Dropped, made.Takeovers, made.Vanished)
	}
	line("connections", "%d at the end, %d made, %d reconnect attempts; lost %d, dial failed %d, handshake failed %d, refused %d",
		w2.Connected, w2.Connects, w2.Reconnects, w2.Trouble.Lost, w2.Trouble.Dial, w2.Trouble.Handshake, w2.Trouble.Refused)
	for _, p := range []struct {
		name string
		p    measure.Percentiles
	}{{"send late", s.Lateness}, {"puback", s.Puback}, {"  from sent", s.Acking}, {"connect", s.Connect}} {
		if p.p.Count > 0 {
			line(p.name, "%s", p.p.Text())
		}
	}
	_, err := io.WriteString(w, b.String())
	if err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}
