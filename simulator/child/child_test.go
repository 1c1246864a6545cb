package child

import (
	"errors"
	"os/exec"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// That a program ends with a simulator that is killed is tested where the simulator is: see TestNothingStaysOfAKilledSimulator.
func TestHowAProgramEndedIsTold(t *testing.T) {
	ended := make(chan error, 1)
	if err := Start(exec.CommandContext(t.Context(), "sh", "-c", "exit 7"), func(err error) { ended <- err }); err != nil {
		t.Fatal(err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](<-ended); !ok || exit.ExitCode() != 7 {
		t.Errorf("%v", exit)
	}
	if err := Start(exec.CommandContext(t.Context(), "/nonexistent"), func(error) { t.Error("it has ended") }); err == nil {
		t.Error("it was started")
	}
}
