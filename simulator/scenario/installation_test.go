package scenario

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

// away is how long a killed process stays away: long enough that the others notice.
const away = 500 * time.Millisecond

// startGateway runs the program until the test ends. Where the test failed, the end of its log is told.
func startGateway(t *testing.T, args ...string) *prove.Gateway {
	t.Helper()
	return startProgram(t, gatewayProgram(t), args...)
}

func startProgram(t *testing.T, program string, args ...string) *prove.Gateway {
	t.Helper()
	dir := t.TempDir()
	g, err := prove.StartGateway(t.Context(), prove.GatewayOptions{
		Program: program, Args: append(args, "--window=20ms"), Dir: dir, Down: away,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
		if log, err := os.ReadFile(filepath.Join(dir, "gateway.log")); t.Failed() && err == nil {
			t.Logf("%v: …%s", args, log[max(0, len(log)-3000):])
		}
	})
	return g
}

// part runs a process with a part of the roles around a Redis.
func part(t *testing.T, redis, roles string) *prove.Gateway {
	t.Helper()
	return startGateway(t, "--roles="+roles, "--redis=redis://"+redis)
}

// durable are the options of a run against an installation that keeps all that it acknowledged.
func durable(doors, edges []string) prove.Options {
	return prove.Options{
		URLs: edges, MQTT: doors, Devices: 20, Rate: 10, Viewers: 8, Seed: 7, FaultEvery: time.Second,
		Terms: prove.Terms{Durable: true, OneEdge: len(edges) == 1, NoResets: true}, Reconnect: 100 * time.Millisecond,
		Settle: time.Minute, // of a machine that is busy; nothing waits for it where all is well
	}
}

// run keeps the ledger and fails the test where a promise was broken.
func run(t *testing.T, o prove.Options) prove.Report {
	t.Helper()
	p, err := prove.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Run(t.Context())
	var text bytes.Buffer
	err = errors.Join(err, r.WriteText(&text))
	t.Logf("%s", &text)
	if err != nil {
		t.Error(err)
	}
	if r.Acked != r.Sent || r.Totals.Lost != 0 || r.Kept != int64(len(r.Recoveries)) || len(r.Recoveries) != o.FaultCount {
		t.Errorf("of %d messages %d are acked and %d lost; %d of %d recoveries of %d are whole", r.Sent, r.Acked, r.Totals.Lost, r.Kept, len(r.Recoveries), o.FaultCount)
	}
	return r
}
