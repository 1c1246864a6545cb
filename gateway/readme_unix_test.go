package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// interruptGroup is Ctrl-C for a command that leads a process group.
func interruptGroup(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(-pid, syscall.SIGINT); err != nil {
		t.Error(err)
	}
}

// background starts a command that lives until the whole README was read. The subtest that starts it ends before, so the
// cleanup hangs on the run's own test.
func (r *readmeRun) background(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.atEnd(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
}
