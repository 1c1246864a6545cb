package bench

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// cpuSeconds is the user and system time that all threads of a process used so far, those that ended included. It asks the
// process's own clock, whose id is made of its number as clock_getcpuclockid(3) does: /proc counts in hundredths of a
// second, which is as much as a small crowd of viewers costs in a whole measurement.
func cpuSeconds(pid int) (float64, error) {
	const scheduled = 2 // CPUCLOCK_SCHED of the kernel: what the scheduler accounted, in ns
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|scheduled, &t); err != nil {
		return 0, fmt.Errorf("read processor time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()).Seconds(), nil
}
