package play

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// The gateway as a program, which no code of the simulator's imports.
const gatewayPackage = "github.com/fleetcast/fleetcast/gateway"

// programs is the folder of what is built once for all tests.
var programs string

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "fleetcast-play-"); err != nil {
		panic(err)
	}
	// Scenarios wait more than they work: on two cores two of them at a time would take minutes of doing nothing.
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	code := m.Run()            // the caller exits with it
	_ = os.RemoveAll(programs) // what stays is in the folder for temporary files
	if code != 0 {
		return
	}
	if err := goleak.Find(); err != nil {
		panic(err)
	}
}

var buildOnce = sync.OnceValues(func() (string, error) {
	program := filepath.Join(programs, "gateway")
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", program, gatewayPackage).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build gateway: %w: %s", err, out)
	}
	return program, nil
})

func gatewayProgram(t *testing.T) string {
	t.Helper()
	program, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// isSoak tells whether the long forms are to be run.
func isSoak() bool { return os.Getenv("FLEETCAST_SOAK") != "" }
