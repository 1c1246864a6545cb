package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices/redisconn/redistest"
	"github.com/fleetcast/fleetcast/simulator/prove"
)

// failover changes which server of a Redis Cluster is the master of a third of the partitions.
type failover struct {
	t       *testing.T
	servers []*redistest.Server
	killed  *redistest.Server
}

// ask runs a command and gives its answer as text.
func ask(ctx context.Context, s *redistest.Server, args ...any) (string, error) {
	c := s.Client()
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return c.Do(ctx, args...).Text()
}

func is(ctx context.Context, s *redistest.Server, role string) bool {
	info, err := ask(ctx, s, "INFO", "replication")
	return err == nil && strings.Contains(info, role)
}

// holdsDevices tells whether the ledger's devices are in a partition of this server.
func holdsDevices(ctx context.Context, s *redistest.Server) bool {
	c := s.Client()
	defer func() { _ = c.Close() }()
	for p := range 16 {
		if n, err := c.Exists(ctx, fmt.Sprintf("fleetcast:{p%d}:state", p)).Result(); err == nil && n == 1 {
			return true
		}
	}
	return false
}

// pair finds the master that has the devices, and a replica that follows it.
func (f *failover) pair(ctx context.Context) (master, replica *redistest.Server, err error) {
	err = until(ctx, "a master with a replica", func() bool {
		for _, m := range f.servers {
			if !m.Runs() || !is(ctx, m, "role:master") || !holdsDevices(ctx, m) {
				continue
			}
			for _, r := range f.servers {
				if r.Runs() && is(ctx, r, fmt.Sprintf("master_port:%d\r", m.Port)) && is(ctx, r, "master_link_status:up") {
					master, replica = m, r
					return true
				}
			}
		}
		return false
	})
	return master, replica, err
}

// planned has a replica take over by agreement, as before an upgrade.
func (f *failover) planned() prove.Fault {
	return prove.Fault{Name: "a planned failover", Break: func(ctx context.Context) error {
		_, replica, err := f.pair(ctx)
		if err != nil {
			return err
		}
		var asked time.Time
		return until(ctx, "the replica to be master", func() bool {
			if time.Since(asked) > 6*time.Second { // Redis gives one up after five
				asked = time.Now()
				_, _ = ask(ctx, replica, "CLUSTER", "FAILOVER") // one that is refused is asked again
			}
			return is(ctx, replica, "role:master")
		})
	}}
}

// pauseMS is far longer than the kill takes on a machine that is busy: a write that comes between is lost with the master.
const pauseMS = 20_000

// crash kills a master at a moment at which its replica has all that was acknowledged. What a master had acknowledged
// and not passed on is lost with any Redis, which would hide what is ours.
func (f *failover) crash() prove.Fault {
	return prove.Fault{
		Name: "a master that is killed",
		Break: func(ctx context.Context) error {
			master, replica, err := f.pair(ctx)
			if err != nil {
				return err
			}
			if _, err := ask(ctx, master, "CLIENT", "PAUSE", pauseMS, "WRITE"); err != nil {
				return fmt.Errorf("hold writes: %w", err)
			}
			if err := until(ctx, "the replica to have everything", func() bool { return offset(ctx, master) == offset(ctx, replica) }); err != nil {
				return err
			}
			master.Kill()
			f.killed = master
			return until(ctx, "the replica to be master", func() bool { return is(ctx, replica, "role:master") })
		},
		Mend: func(context.Context) error {
			if f.killed == nil {
				return errors.New("nothing was killed")
			}
			f.killed.Begin(f.t) // it comes back as the replica of the other
			f.killed = nil
			return nil
		},
	}
}

// offset is how far a server's stream of replication is.
func offset(ctx context.Context, s *redistest.Server) string {
	info, err := ask(ctx, s, "INFO", "replication")
	if err != nil {
		return err.Error() + s.Addr() // as no other's
	}
	_, rest, _ := strings.Cut(info, "master_repl_offset:")
	value, _, _ := strings.Cut(rest, "\r")
	return value
}

func TestNothingAcknowledgedIsLostWhenAClusterFailsOver(t *testing.T) {
	t.Parallel()
	servers, url := redistest.StartCluster(t, 3, true, "--appendonly", "yes")
	cluster := &failover{t: t, servers: servers}
	role := func(roles string) *prove.Gateway {
		return startGateway(t, "--roles="+roles, "--redis="+url)
	}
	door := role("broker")
	role("bridge")
	role("bridge")
	first, second := role("edge"), role("edge")
	for _, fault := range []prove.Fault{cluster.planned(), cluster.crash()} {
		t.Run(fault.Name, func(t *testing.T) {
			o := durable([]string{door.MQTT()}, []string{first.URL(), second.URL()})
			o.Faults, o.FaultCount = []prove.Fault{fault}, times(1, 10)
			r := run(t, o)
			if r.Streams != int64(r.Viewers) {
				t.Errorf("%d viewers needed %d streams: they are to stay open", r.Viewers, r.Streams)
			}
		})
	}
}
