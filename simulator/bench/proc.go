package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is the unit of processor times in /proc/<pid>/stat: USER_HZ, which is 100 on every Linux that Go runs on.
const ticksPerSecond = 100

var errProc = errors.New("unexpected text in /proc")

// cpuSeconds is the user and system time that all threads of a process used so far.
func cpuSeconds(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	return parseStat(text)
}

// parseStat reads fields 14 and 15 (proc_pid_stat(5)). The second field is the program's name in parentheses and may hold
// blanks and parentheses itself.
func parseStat(text []byte) (float64, error) {
	end := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[end+1:]))
	if end < 0 || len(fields) < 13 {
		return 0, fmt.Errorf("parse stat: %w", errProc)
	}
	user, err1 := strconv.ParseUint(fields[11], 10, 64)
	system, err2 := strconv.ParseUint(fields[12], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("parse stat: %w", err)
	}
	return float64(user+system) / ticksPerSecond, nil
}

// residentBytes is what a process has in memory.
func residentBytes(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read resident size: %w", err)
	}
	return parseStatus(text)
}

// parseStatus reads VmRSS (proc_pid_status(5)), which is in kB of 1024 bytes.
func parseStatus(text []byte) (int64, error) {
	for line := range strings.Lines(string(text)) {
		value, found := strings.CutPrefix(line, "VmRSS:")
		if !found {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("parse status: %w", err)
		}
		return kb << 10, nil
	}
	return 0, fmt.Errorf("parse status: %w: no VmRSS", errProc)
}
