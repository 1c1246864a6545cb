package child

import "syscall"

// dieWithUs has the kernel kill the program where the thread that starts it ends first.
func dieWithUs(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
