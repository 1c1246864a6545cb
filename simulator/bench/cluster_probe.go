package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/size"
)

// transfers are the bytes that a process read and wrote by system calls, on sockets and files alike (proc_pid_io(5)).
type transfers struct{ read, written float64 }

func transferred(pid int) (transfers, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return transfers{}, fmt.Errorf("read transfers: %w", err)
	}
	return parseTransfers(string(text))
}

func parseTransfers(text string) (t transfers, err error) {
	for name, into := range map[string]*float64{"rchar: ": &t.read, "wchar: ": &t.written} {
		_, rest, found := strings.Cut(text, name)
		if !found {
			return t, fmt.Errorf("parse transfers: %w: no %s", errProc, name)
		}
		value, _, _ := strings.Cut(rest, "\n")
		if *into, err = strconv.ParseFloat(value, 64); err != nil {
			return t, fmt.Errorf("parse transfers: %w", err)
		}
	}
	return t, nil
}

// A stand is what stood in the books of all processes at a moment.
type stand struct {
	at    time.Time
	parts []standing
}

type standing struct {
	role  string
	cpu   float64
	moved transfers
	info  map[string]float64 // of Redis
}

func (c *cluster) snapshot(ctx context.Context) (*stand, error) {
	s := &stand{}
	for i, p := range c.parts {
		n := standing{role: p.role}
		var err error
		if n.cpu, err = cpuSeconds(p.pid()); err != nil {
			return nil, fmt.Errorf("%s: %w; its output is in %s", p.name, err, p.log)
		}
		if n.moved, err = transferred(p.pid()); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		if i < len(c.redis) {
			if n.info, err = redisInfo(ctx, c.redis[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
		}
		s.parts = append(s.parts, n)
	}
	s.at = time.Now()
	return s, nil
}

// stretch is what all processes did in a time; parts have the differences.
type stretch struct {
	seconds float64
	parts   []standing
}

func between(first, last *stand) *stretch {
	s := &stretch{seconds: last.at.Sub(first.at).Seconds()}
	for i, p := range last.parts {
		q := first.parts[i]
		d := standing{role: p.role, cpu: p.cpu - q.cpu, moved: transfers{p.moved.read - q.moved.read, p.moved.written - q.moved.written}, info: map[string]float64{}}
		for name, v := range p.info {
			d.info[name] = v - q.info[name]
		}
		s.parts = append(s.parts, d)
	}
	return s
}

// over looks at the processes for a time.
func (c *cluster) over(ctx context.Context, d time.Duration) (*stretch, error) {
	first, err := c.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, d); err != nil {
		return nil, err
	}
	last, err := c.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return between(first, last), nil
}

// usage is the stretch as the model says it. What a door wrote has its acknowledgements in it.
func (s *stretch) usage() size.Usage {
	var u size.Usage
	for _, p := range s.parts {
		cores := p.cpu / s.seconds
		switch kind(p.role) {
		case "broker":
			u.Door.Cores += cores
			u.Append += p.moved.written / s.seconds
		case "bridge":
			u.Bridge.Cores += cores
			u.Read += p.moved.read / s.seconds
			u.Publish += p.moved.written / s.seconds
		case "redis":
			u.Redis.Cores += cores
		case "edge":
			u.Edge.Cores += cores
			u.Follow += p.moved.read / s.seconds
		}
	}
	return u
}

// kind is a role without the number of the process.
func kind(role string) string {
	k, _, _ := strings.Cut(role, "-")
	return k
}

// redis is a counter of all servers, a second.
func (s *stretch) redis(name string) float64 {
	n := 0.0
	for _, p := range s.parts {
		n += p.info[name]
	}
	return n / s.seconds
}

// calls are the commands that clients sent, a second: what scripts do inside is not.
func (s *stretch) calls() float64 {
	n := 0.0
	for _, p := range s.parts {
		n += p.calls()
	}
	return n / s.seconds
}

// callNames are the commands by which the gateway's calls enter, in the steady state; the others run inside its scripts.
var callNames = []string{"evalsha", "xread", "exists"}

func (p *standing) calls() float64 {
	n := 0.0
	for _, name := range callNames {
		n += p.info["cmdstat_"+name]
	}
	return n
}

// commands are what the servers did, by command, a second.
func (s *stretch) commands() map[string]float64 {
	all := map[string]float64{}
	for _, p := range s.parts {
		for name, n := range p.info {
			if command, found := strings.CutPrefix(name, "cmdstat_"); found && n > 0 {
				all[command] += n / s.seconds
			}
		}
	}
	return all
}
