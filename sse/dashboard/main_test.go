package dashboard_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(browsertest.Sharing(m)) }
