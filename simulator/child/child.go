package child

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts a command. It calls ended with what Wait said when the command has ended, in a goroutine of its own, and never
// where it returns an error. What cmd.SysProcAttr says holds too.
func Start(cmd *exec.Cmd, ended func(error)) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	dieWithUs(cmd.SysProcAttr)
	started := make(chan error)
	go live(cmd, started, ended) // ends with the program, which the caller waits for
	return <-started
}

// live starts the program and waits for its end on one thread: the kernel takes the end of the thread that started it for the
// end of the parent (prctl(2), PR_SET_PDEATHSIG), and threads come and go.
func live(cmd *exec.Cmd, started chan<- error, ended func(error)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	started <- err
	if err == nil {
		ended(cmd.Wait())
	}
}
