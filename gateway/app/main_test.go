package app

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

func TestMain(m *testing.M) {
	// go-redis dials on for a second after it was closed while its server was away.
	goleak.VerifyTestMain(browsertest.Sharing(m), goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
