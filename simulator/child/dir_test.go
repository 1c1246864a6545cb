package child

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAFolderStaysWhileItsOwnerLivesAndNoLonger(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	mine, err := TempDir("mine")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(mine.Path(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(Place(), "dead-1") // the kernel took its owner's lock when it ended
	if err := os.MkdirAll(filepath.Join(dead, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	other, err := TempDir("other")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a dead owner left stays: %v", err)
	}
	for _, d := range []*Dir{mine, other, mine, nil} {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(Place()); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestAPlaceThatSomebodyElseMadeIsRefused(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if err := os.Symlink(t.TempDir(), Place()); err != nil {
		t.Fatal(err)
	}
	if _, err := TempDir("mine"); !errors.Is(err, errNotOurs) {
		t.Errorf("%v", err)
	}
}

// shell runs a command that leaves another one running, whose number it writes.
func shell(t *testing.T, command string) (group *Group, pid int, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pid")
	group, err = Run(t.Context(), exec.CommandContext(t.Context(), "sh", "-c", "sleep 1000 & echo $! > "+file+"; "+command))
	text, readErr := os.ReadFile(file)
	if readErr != nil {
		t.Fatal(readErr)
	}
	if pid, readErr = strconv.Atoi(strings.TrimSpace(string(text))); readErr != nil {
		t.Fatal(readErr)
	}
	return group, pid, err
}

// isAlive tells whether a process runs: one whose parent has not asked for its end yet does not.
func isAlive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(text), ") Z ")
}

func dies(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); isAlive(pid); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it lives")
		}
	}
}

func TestWhatACommandLeavesEndsWithItsGroup(t *testing.T) {
	group, pid, err := shell(t, "exit 3")
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 3 {
		t.Errorf("%v", err)
	}
	if !isAlive(pid) {
		t.Fatal("nothing was left")
	}
	group.End()
	dies(t, pid)
	alone, err := Run(t.Context(), exec.CommandContext(t.Context(), "true"))
	if err != nil || alone.id != 0 {
		t.Errorf("%v, %v", alone, err)
	}
	alone.End()
	(*Group)(nil).End()
}

func TestACommandEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	pids := make(chan int)
	file := filepath.Join(t.TempDir(), "pid")
	go func() {
		defer cancel()
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
			if text, _ := os.ReadFile(file); len(text) > 0 {
				return
			}
		}
	}()
	go func() {
		_, err := Run(ctx, exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", "sleep 1000 & echo $! > "+file+"; wait"))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		text, _ := os.ReadFile(file) // looked at below
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		pids <- pid
	}()
	pid := <-pids
	if pid == 0 {
		t.Fatal("it did not run")
	}
	dies(t, pid)
}
