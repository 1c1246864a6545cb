//go:build unix

package mqttin

import "syscall"

// openFiles is how many files the process may have open, or 0 where the system does not say. The Go runtime has raised
// it to the hard limit before main.
func openFiles() uint64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	return uint64(r.Cur) //nolint:unconvert // signed on some systems
}
