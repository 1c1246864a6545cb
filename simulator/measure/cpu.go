package measure

import (
	"fmt"
	"runtime"
	"syscall"
	"time"
)

// CPU is the processor time that this process used since it started.
type CPU struct {
	User   float64 `json:"user_seconds"`
	System float64 `json:"system_seconds"`
}

// SelfCPU asks the kernel.
func SelfCPU() (CPU, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return CPU{}, fmt.Errorf("read processor time: %w", err)
	}
	return CPU{User: seconds(u.Utime), System: seconds(u.Stime)}, nil
}

// SelfPeak is the most memory, in bytes, that this process had resident since it started.
func SelfPeak() (int64, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss), nil //nolint:unconvert // it is an int32 on some systems
	}
	return int64(u.Maxrss) << 10, nil //nolint:unconvert // the same; the others count in KiB
}

func seconds(t syscall.Timeval) float64 {
	return (time.Duration(t.Sec)*time.Second + time.Duration(t.Usec)*time.Microsecond).Seconds()
}

// Total is user and system time together.
func (c CPU) Total() float64 { return c.User + c.System }

// Sub is what was used since earlier.
func (c CPU) Sub(earlier CPU) CPU { return CPU{c.User - earlier.User, c.System - earlier.System} }
