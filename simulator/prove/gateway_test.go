package prove

import (
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The real gateway as a program, which no code of the simulator's imports.
const gatewayPackage = "github.com/fleetcast/fleetcast/gateway"

func buildGateway(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "gateway")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, gatewayPackage).CombinedOutput(); err != nil {
		t.Fatalf("build gateway: %v: %s", err, out)
	}
	return program
}

func startGateway(t *testing.T, program string, args ...string) (*Gateway, Options) {
	t.Helper()
	return startOptions(t, GatewayOptions{Program: program, Args: append(args, "--window=20ms")})
}

func startOptions(t *testing.T, options GatewayOptions) (*Gateway, Options) {
	t.Helper()
	g, err := StartGateway(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
	return g, Options{
		URLs: []string{g.URL()}, MQTT: []string{g.MQTT()}, Devices: 20, Rate: 20, Viewers: 5, Seed: 7, Terms: durable(),
		ResumeEvery: time.Second, Reconnect: 100 * time.Millisecond, TLS: g.Trust(),
	}
}

func TestTheRealGateway(t *testing.T) {
	program := buildGateway(t)
	t.Run("keeps all that it acknowledged while it runs", func(t *testing.T) {
		_, o := startGateway(t, program, "--in-memory")
		o.For, o.NoResets = 2*time.Second, true
		r, err := prove(t, o)
		if err != nil || r.Acked != r.Sent || r.Streams <= 5 {
			t.Errorf("%v: %+v", err, r)
		}
	})
	t.Run("says what it forgot when it is killed with its memory", func(t *testing.T) {
		g, o := startGateway(t, program, "--in-memory")
		o.Faults, o.FaultEvery, o.FaultCount, o.Durable = []Fault{g.KillFault()}, time.Second, 2, false
		r, err := prove(t, o)
		if err != nil || r.Faults < 2 || r.Resets == 0 || r.Totals.Lost != 0 || r.Acked == 0 {
			t.Errorf("%v: %+v", err, r)
		}
	})
	t.Run("keeps all that it acknowledged when it is killed with a disk", func(t *testing.T) {
		g, o := startGateway(t, program)
		o.Faults, o.FaultEvery, o.FaultCount, o.NoResets = []Fault{g.KillFault()}, 500*time.Millisecond, 3, true
		r, err := prove(t, o)
		if err != nil || r.Faults < 3 || r.Kept != 3 || r.Acked != r.Sent {
			t.Errorf("%v: %+v", err, r)
		}
	})
	t.Run("keeps it for viewers of every kind", func(t *testing.T) { proveCrowd(t, program) })
}

func TestAProgramThatIsNoGatewayIsTold(t *testing.T) {
	if _, err := StartGateway(t.Context(), GatewayOptions{Program: "/bin/false"}); err == nil {
		t.Error("false is a gateway")
	}
	if _, err := StartGateway(t.Context(), GatewayOptions{Program: filepath.Join(t.TempDir(), "missing"), Dir: t.TempDir()}); err == nil {
		t.Error("a missing program is a gateway")
	}
}

func TestAGatewayThatEndsByItselfIsATrouble(t *testing.T) {
	g, _ := startGateway(t, buildGateway(t), "--in-memory")
	if err := g.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-g.done
	if err := g.Kill(t.Context()); !errors.Is(err, errEnded) {
		t.Errorf("%v", err)
	}
}
