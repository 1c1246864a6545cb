package app

import (
	"flag"
	"testing"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

func TestMain(m *testing.M) {
	// Most of these tests wait for one another's programs: two at a time on two cores would mostly do nothing.
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	// go-redis dials on for a second after it was closed while its server was away.
	goleak.VerifyTestMain(browsertest.Sharing(m), goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
