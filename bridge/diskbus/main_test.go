package diskbus

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		beVictim(dir) // until it is killed
		return
	}
	goleak.VerifyTestMain(m)
}
