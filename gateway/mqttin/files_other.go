//go:build !unix

package mqttin

// openFiles is how many files the process may have open, or 0 where the system does not say.
func openFiles() uint64 { return 0 }
