package scenario

import (
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

func TestASingleProcessKeepsWhatItAcknowledgedOverKills(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	o := durable([]string{g.MQTT()}, []string{g.URL()})
	o.Faults, o.FaultCount, o.ResumeEvery = []prove.Fault{g.KillFault()}, times(4, 200), 2*time.Second
	run(t, o)
}
