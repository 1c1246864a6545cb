package doctor

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// fewFiles leaves no room for a fleet and its viewers: each connection is a file.
	fewFiles = 10_000
	// littleMemory is what a gateway with some thousand devices and viewers takes.
	littleMemory = 256 << 20
)

// files compares the limit of open files with the connections that are to be held.
func files(connections int) []Finding {
	const check = "open files"
	const remedy = "raise `LimitNOFILE=` of the unit, `ulimits` of the container or `ulimit -n`"
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return bad(Warn, check, "", "the limit cannot be read: %v", err)
	}
	limit := min(r.Max, math.MaxInt64) // Go raises the soft limit to the hard one
	devices := limit / 4 * 3
	switch {
	case connections > 0 && uint64(connections) > devices:
		return bad(Fail, check, remedy+", or lower --mqtt-max-connections", "%d may be open, and three quarters of that are fewer than --mqtt-max-connections %d", limit, connections)
	case limit < fewFiles:
		return bad(Warn, check, remedy, "%d may be open: %d connections of devices at most, and the viewers share the rest", limit, devices)
	}
	return ok(check, "%d may be open: %d connections of devices at most", limit, devices)
}

// memory compares what the control group gives with what Go was told.
func memory(context.Context) []Finding {
	const check = "memory"
	limit, limited := groupLimit()
	goal := debug.SetMemoryLimit(-1)
	switch {
	case !limited && goal == math.MaxInt64:
		return ok(check, "is not limited but by the machine")
	case !limited:
		return ok(check, "GOMEMLIMIT is %d MiB", goal>>20)
	case limit < littleMemory:
		return bad(Warn, check, "give it more; see what things cost in ARCHITECTURE.md", "the control group gives %d MiB", limit>>20)
	case goal == math.MaxInt64:
		return bad(Warn, check, "set GOMEMLIMIT to nine tenths of it: the collector then works harder before the kernel kills the process", "the control group gives %d MiB, and GOMEMLIMIT is not set", limit>>20)
	case goal > limit:
		return bad(Warn, check, "set GOMEMLIMIT to nine tenths of what the control group gives", "GOMEMLIMIT is %d MiB, and the control group gives %d", goal>>20, limit>>20)
	}
	return ok(check, "GOMEMLIMIT is %d MiB of the %d that the control group gives", goal>>20, limit>>20)
}

// groupLimit is the least limit of the control groups (version 2) that the process is in.
func groupLimit() (least int64, limited bool) {
	of, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(of)) {
		path, isTwo := strings.CutPrefix(strings.TrimSpace(line), "0::")
		for isTwo {
			text, err := os.ReadFile("/sys/fs/cgroup" + path + "/memory.max") //nolint:gosec // the kernel's path
			if n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && bad == nil && (!limited || n < least) {
				least, limited = n, true
			}
			if path == "" || path == "/" {
				break
			}
			path = path[:strings.LastIndexByte(path, '/')]
		}
	}
	return least, limited
}

// clock asks the kernel whether something keeps its clock right. A reading is dated by this clock where its device has none, and
// devices' clocks are judged by it.
func clock(context.Context) []Finding {
	const check = "clock"
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		return bad(Warn, check, "", "the kernel does not say whether it is kept: %v", err)
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		return bad(Warn, check, "run chrony or systemd-timesyncd; in a container it is the host's to do", "the kernel says that nothing keeps it right")
	}
	return ok(check, "is kept by the machine, within %d ms by its own estimate", t.Maxerror/1000)
}

// free is how many bytes the file system of a directory has left for this user.
func free(dir string) (bytes uint64, known bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}
