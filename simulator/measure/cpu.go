package measure

import (
	"fmt"
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

func seconds(t syscall.Timeval) float64 {
	return (time.Duration(t.Sec)*time.Second + time.Duration(t.Usec)*time.Microsecond).Seconds()
}

// Total is user and system time together.
func (c CPU) Total() float64 { return c.User + c.System }

// Sub is what was used since earlier.
func (c CPU) Sub(earlier CPU) CPU { return CPU{c.User - earlier.User, c.System - earlier.System} }
