package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

// startMosquitto runs a broker that writes its sessions and their messages to disk when it ends.
func startMosquitto(t *testing.T) *server {
	t.Helper()
	path, address, dir := find(t, "mosquitto"), freeAddress(t), t.TempDir()
	config := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\nmax_queued_messages 100000\n", portOf(t, address), dir)
	if os.Getuid() == 0 {
		config += "user root\n" // it would leave root's rights and then not be let into the test's folder
	}
	file := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, address, path, "-c", file)
}

func TestNothingThatABrokerInFrontAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t)
	// Without a group: a Mosquitto that restarts has forgotten the subscriptions of groups, though it kept the session, and
	// acknowledges and drops what comes before the door is back. That loss is the broker's, and no door can see it.
	g := startGateway(t, "--mqtt-upstream=mqtt://"+broker.address)

	o := durable([]string{broker.address}, []string{g.URL()})
	o.Faults = []prove.Fault{inTurn(broker.restart("a broker that is restarted", syscall.SIGTERM, away), g.KillFault())}
	o.FaultCount = times(2, 60)
	run(t, o)
}
