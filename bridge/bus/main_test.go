package bus

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/devices"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func device(t testing.TB, s string) devices.DeviceID {
	t.Helper()
	id, err := devices.ParseDeviceID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func fleet(t testing.TB, s string) devices.FleetID {
	t.Helper()
	id, err := devices.ParseFleetID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
