package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/units"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Memory asks what a connection takes: the resident size of a fresh server with them less without, by the connections.
type Memory struct {
	Viewers int        `help:"Idle viewers." default:"10000"`
	Secure  int        `help:"Idle viewers over TLS, of each kind." default:"2000"`
	Devices int        `help:"Devices, idle and sending." default:"8000"`
	Rate    units.Rate `help:"How often each sends, where it does." default:"1/s"`
}

// The marks of memory, in bytes.
const (
	wantViewerBytes  = 8_000
	wantIdleBytes    = 28_000
	wantSendingBytes = 40_000
)

// Name is memory.
func (*Memory) Name() string { return "memory" }

func (m *Memory) shrink() { m.Viewers, m.Secure, m.Devices = 200, 50, 200 }

// MemoryRow is one kind of connection at one server.
type MemoryRow struct {
	Server string  `json:"server"`
	What   string  `json:"what"`
	Count  int     `json:"connections"`
	Bytes  float64 `json:"resident_bytes_per_connection"`
	Before int64   `json:"resident_bytes_before"`
	After  int64   `json:"resident_bytes_after"`
	Cores  float64 `json:"cores"` // while the size settled
}

func (m *Memory) run(ctx context.Context, l *lab) (*Section, error) {
	var rows []*MemoryRow
	add := func(row *MemoryRow, err error) error {
		if row != nil {
			rows = append(rows, row)
		}
		return err
	}
	gateway, bare := l.startGateway, l.startBare
	floor := func(ctx context.Context) (*server, error) { return l.startFloor(ctx, 0.1, 200) }
	idle := fleet.Options{Devices: m.Devices, QoS: 1}
	sending := idle
	sending.Rate = m.Rate
	steps := []func() error{
		func() error { return add(l.viewerMemory(ctx, "gateway", m.Viewers, gateway)) },
		func() error { return add(l.viewerMemory(ctx, "floor", m.Viewers, floor)) },
		func() error { return add(l.deviceMemory(ctx, "gateway", "idle device", idle, gateway)) },
		func() error { return add(l.deviceMemory(ctx, "bare mochi", "idle device", idle, bare)) },
		func() error {
			return add(l.deviceMemory(ctx, "gateway", m.sending(), sending, gateway))
		},
		func() error { return add(l.deviceMemory(ctx, "bare mochi", m.sending(), sending, bare)) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return m.section(rows), err
		}
	}
	secure, err := l.secureMemory(ctx, m.Secure)
	s := m.section(append(rows, secure...))
	return s, err
}

func (m *Memory) sending() string { return fmt.Sprintf("device at %g/s, QoS 1", float64(m.Rate)) }

// emptySettle is how long a server that has only started is left alone.
const emptySettle = 5 * time.Second

// grown measures what count connections add to a server.
func (l *lab) grown(ctx context.Context, s *server, row *MemoryRow, connect func() (stop func() error, err error)) error {
	var err error
	if row.Before, err = l.settled(ctx, s, min(emptySettle, l.Settle)); err != nil {
		return err
	}
	stop, err := connect()
	if err != nil {
		return err
	}
	before, err := s.cpu()
	if err != nil {
		return errors.Join(err, stop())
	}
	l.say("letting %d of %s settle at %s", row.Count, row.What, row.Server)
	start := now()
	row.After, err = l.settled(ctx, s, l.Settle)
	if after, cpuErr := s.cpu(); cpuErr == nil {
		row.Cores = (after[0] - before[0]) / since(start)
	}
	row.Bytes = float64(row.After-row.Before) / float64(row.Count)
	return errors.Join(err, stop())
}

func (l *lab) viewerMemory(ctx context.Context, name string, count int, start func(context.Context) (*server, error)) (*MemoryRow, error) {
	s, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	row := &MemoryRow{Server: name, What: "idle viewer, HTTP/1.1", Count: count}
	return row, l.grown(ctx, s, row, func() (func() error, error) {
		c, err := l.startCrowd(ctx, s, watch.Options{Viewers: count})
		if err != nil {
			return nil, err
		}
		return c.stop, nil
	})
}

func (l *lab) deviceMemory(ctx context.Context, name, what string, o fleet.Options, start func(context.Context) (*server, error)) (*MemoryRow, error) {
	s, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	row := &MemoryRow{Server: name, What: what, Count: o.Devices}
	return row, l.grown(ctx, s, row, func() (func() error, error) {
		d, err := l.startFleet(ctx, s, o)
		if err != nil {
			return nil, err
		}
		return d.stop, nil
	})
}

func (r *MemoryRow) cells() []string {
	return []string{fmt.Sprintf("%s (%d)", r.What, r.Count), r.Server, fmt.Sprintf("%.1f", r.Bytes/1000), fmt.Sprintf("%.0f", float64(r.After)/1e6), fmt.Sprintf("%.3f", r.Cores)}
}

func (m *Memory) section(rows []*MemoryRow) *Section {
	s := &Section{Title: "Memory of a connection", Result: rows}
	s.say("The resident size of a fresh process with the connections, less without, by the connections; all state of ours is in it. It is read once it holds still, but garbage that nobody collected yet counts.")
	t := Table{Head: []string{"connection", "server", "kB resident each", "MB of the process", "cores meanwhile"}}
	for _, r := range rows {
		t.add(r.cells()...)
		if r.Server != "gateway" {
			continue
		}
		want, bound := map[string]float64{"idle viewer, HTTP/1.1": wantViewerBytes, "idle device": wantIdleBytes, m.sending(): wantSendingBytes}[r.What]
		if !bound {
			s.mark(fmt.Sprintf("memory, %s, %d of them", r.What, r.Count), reported, None, "%.1f kB", r.Bytes/1000)
			continue
		}
		s.mark(fmt.Sprintf("memory, %s, %d of them", r.What, r.Count), fmt.Sprintf("≤ %.0f kB", want/1000), met(r.Bytes <= want), "%.1f kB", r.Bytes/1000)
	}
	s.Tables = append(s.Tables, t)
	return s
}
