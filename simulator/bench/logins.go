package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/units"
)

// Logins asks what it costs when all devices connect at once, each with a credential of its own, beside the same without
// credentials.
type Logins struct {
	Devices int           `help:"How many devices." default:"10000"`
	Limit   time.Duration `help:"How long to wait until all are connected." default:"3m"`
}

// atOnce is a rate of connections at which none waits for another.
const atOnce units.Rate = 1_000_000

// Name is logins.
func (*Logins) Name() string { return "logins" }

func (o *Logins) shrink() { o.Devices = 300 }

// LoginsRow is one storm of logins.
type LoginsRow struct {
	Kind    string  `json:"kind"`
	Devices int     `json:"devices"`
	Missing int     `json:"never_connected"`
	Seconds float64 `json:"until_all_are_connected"`
	CPU     float64 `json:"server_cpu_seconds"`
	Before  int64   `json:"resident_bytes_before"`
	Peak    int64   `json:"resident_bytes_peak"`
}

func (o *Logins) run(ctx context.Context, l *lab) (*Section, error) {
	var rows []*LoginsRow
	open, err := o.measure(ctx, l, "without credentials", func(ctx context.Context) (*server, error) { return l.startGateway(ctx) }, false)
	if err != nil {
		return o.section(rows), err
	}
	rows = append(rows, open)
	required, err := o.measure(ctx, l, "with tokens", func(ctx context.Context) (*server, error) {
		return l.startGatewayWith(ctx, "--device-auth", "required")
	}, true)
	if err != nil {
		return o.section(rows), err
	}
	return o.section(append(rows, required)), nil
}

// measure connects the devices to a fresh gateway, all at once.
func (o *Logins) measure(ctx context.Context, l *lab, kind string, start func(context.Context) (*server, error), tokens bool) (*LoginsRow, error) {
	s, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	options := fleet.Options{Devices: o.Devices, ConnectRate: atOnce, MQTT: s.mqtt, Fleets: []string{"bench"}}
	if tokens {
		l.say("registering %d devices", o.Devices)
		if options.Identities, err = register(ctx, s, o.Devices); err != nil {
			return nil, err
		}
	}
	if err := pause(ctx, l.Warm); err != nil {
		return nil, err
	}
	l.say("connecting %d devices at once, %s", o.Devices, kind)
	return o.connect(ctx, s, options, &LoginsRow{Kind: kind, Devices: o.Devices})
}

func (o *Logins) connect(ctx context.Context, s *server, options fleet.Options, row *LoginsRow) (*LoginsRow, error) {
	pid := s.parts[0].pid()
	f, err := fleet.New(options)
	if err != nil {
		return nil, err
	}
	resetErr := resetPeak(pid)
	before, sizeErr := residentBytes(pid)
	cpu, cpuErr := cpuSeconds(pid)
	if err := errors.Join(resetErr, sizeErr, cpuErr); err != nil {
		return nil, err
	}
	begin := now()
	running := runInBackground(ctx, f.Run)
	err = waitFor(ctx, o.Limit, "devices are connected", func() bool { return f.Counts().Connected >= int64(o.Devices) })
	row.Seconds, row.Missing, row.Before = since(begin), o.Devices-int(f.Counts().Connected), before
	if err != nil && ctx.Err() != nil {
		return nil, errors.Join(err, running.stop())
	}
	after, cpuErr := cpuSeconds(pid)
	row.CPU = after - cpu
	row.Peak, err = peakBytes(pid)
	return row, errors.Join(err, cpuErr, running.stop())
}

// register makes devices and returns what each has to show.
func register(ctx context.Context, s *server, count int) ([]fleet.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var rows strings.Builder
	rows.WriteString("id,fleet\n")
	for i := range count {
		fmt.Fprintf(&rows, "login-%d,bench\n", i)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.http+"/api/devices.csv", strings.NewReader(rows.String()))
	if err != nil {
		return nil, fmt.Errorf("register devices: %w", err)
	}
	request.Header.Set("Content-Type", "text/csv")
	client := &http.Client{Timeout: connectTimeout}
	answer, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("register devices: %w", err)
	}
	defer answer.Body.Close()
	var all []fleet.Identity
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		var line struct{ ID, Fleet, Token string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("register devices: %w", err)
		}
		if line.ID != "" && line.Token != "" {
			all = append(all, fleet.Identity{Username: line.ID, Password: line.Token, Fleet: line.Fleet})
		}
	}
	if err := errors.Join(lines.Err(), ctx.Err()); err != nil {
		return nil, fmt.Errorf("register devices: %w", err)
	}
	if len(all) != count {
		return nil, fmt.Errorf("register devices: %d of %d have a token; the answer was %s", len(all), count, answer.Status)
	}
	return all, nil
}

func (o *Logins) section(rows []*LoginsRow) *Section {
	s := &Section{Title: fmt.Sprintf("Logins: %d devices connect at once", o.Devices), Result: rows}
	s.say("Every device opens its connection in the same moment, from one process that is on the same machine: the time until all are connected has the generator's own work in it, and the kernel's queue of connections that were not accepted yet.")
	t := Table{Head: []string{"devices", "until all are connected", "never connected", "server CPU s", "CPU ms a device", "RSS before → peak", "kB more a device"}}
	for _, r := range rows {
		t.add(fmt.Sprintf("%d %s", r.Devices, r.Kind), fmt.Sprintf("%.2f s", r.Seconds), fmt.Sprint(r.Missing), fmt.Sprintf("%.2f", r.CPU),
			fmt.Sprintf("%.3f", r.CPU*1000/float64(r.Devices)), fmt.Sprintf("%.0f → %.0f MB", float64(r.Before)/1e6, float64(r.Peak)/1e6),
			fmt.Sprintf("%.1f", float64(r.Peak-r.Before)/float64(r.Devices)/1000))
		s.mark(fmt.Sprintf("%d devices connect at once %s: time; CPU; peak", r.Devices, r.Kind), "all are connected", met(r.Missing == 0),
			"%.1f s; %.2f s; +%.0f MB", r.Seconds, r.CPU, float64(r.Peak-r.Before)/1e6)
	}
	s.Tables = append(s.Tables, t)
	return s
}
