package bench

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

var errProc = errors.New("unexpected text in /proc")

// residentBytes is what a process has in memory.
func residentBytes(pid int) (int64, error) { return statusBytes(pid, "VmRSS:") }

// peakBytes is the most that it had since the last resetPeak.
func peakBytes(pid int) (int64, error) { return statusBytes(pid, "VmHWM:") }

// resetPeak makes the peak what the process has now (proc_pid_clear_refs(5)).
func resetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset peak of memory: %w", err)
	}
	return nil
}

func statusBytes(pid int, member string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read resident size: %w", err)
	}
	return parseStatus(text, member)
}

// parseStatus reads a size (proc_pid_status(5)), which is in kB of 1024 bytes.
func parseStatus(text []byte, member string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		value, found := strings.CutPrefix(line, member)
		if !found {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("parse status: %w", err)
		}
		return kb << 10, nil
	}
	return 0, fmt.Errorf("parse status: %w: no %s", errProc, member)
}
