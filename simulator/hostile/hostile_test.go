package hostile

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Mosquitto stands all of it: what is tested is that each kind does what it says, to a broker that others use meanwhile.
func TestEveryKindIsTriedOnABrokerThatOthersUse(t *testing.T) {
	address := testbroker.Start(t)
	f, err := fleet.New(fleet.Options{MQTT: address, Devices: 5, Rate: 10, QoS: 1})
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Options{MQTT: address, Connections: 2 * len(kinds)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done, harmed := make(chan error, 1), make(chan struct{})
	go func() { done <- f.Run(ctx) }()
	go func() {
		defer close(harmed)
		h.Run(ctx)
	}()
	testbroker.Eventually(t, "many attempts", func() bool {
		c := h.Counts()
		return c.Attempts > 50 && c.Ended > 20 && f.Counts().Acked > 50
	})
	cancel()
	<-harmed
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c := f.Counts(); c.Trouble.Lost > 0 {
		t.Errorf("%+v", c)
	}
}

func TestNobodyThereIsRefused(t *testing.T) {
	h, err := New(Options{MQTT: testbroker.FreeAddress(t), Connections: 1, Kinds: []string{"garbage"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	h.Run(ctx)
	if c := h.Counts(); c.Refused == 0 || c.Refused < c.Attempts-1 {
		t.Errorf("%+v", c)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for _, o := range []Options{{Connections: 0}, {Connections: MaxConnections + 1}, {Connections: 1, Kinds: []string{"friendly"}}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	if !slices.Contains(Kinds(), "flood") {
		t.Error(Kinds())
	}
}
