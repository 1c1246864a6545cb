package bench

import "syscall"

// dieWithUs has the kernel end the program where this one is killed and cannot do it. It holds for the thread that starts
// the program, which must live as long.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
