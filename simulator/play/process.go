package play

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fleetcast/fleetcast/simulator/child"
	"github.com/fleetcast/fleetcast/simulator/prove"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
	pollEvery    = 20 * time.Millisecond
)

// process is a program that a scenario started and may end and start again. Its methods are for one goroutine at a time.
type process interface {
	Kill(ctx context.Context) error
	End(ctx context.Context) error
	Signal(s syscall.Signal) error
	Restart(ctx context.Context) error
	Stop() error
}

var errEnded = errors.New("it has ended by itself")

// program is any that listens on a port of its own.
type program struct {
	name, path string
	args       []string
	address    string
	host, port string // its parts
	dir        *child.Dir
	cmd        *exec.Cmd
	done       chan struct{}
	output     *os.File
}

// startProgram starts a part and waits until it listens. It must be stopped.
func startProgram(ctx context.Context, p *Part, fill func(string) string) (*program, error) {
	path, err := find(p.Run)
	if err != nil {
		return nil, err
	}
	address, err := prove.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	dir, err := child.TempDir(p.Name)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	g := &program{name: p.Name, path: path, address: address, host: host, port: port, dir: dir}
	own := strings.NewReplacer("{port}", port, "{dir}", dir.Path())
	for _, arg := range p.Args {
		g.args = append(g.args, fill(own.Replace(arg)))
	}
	for name, text := range p.Files {
		if err := os.WriteFile(filepath.Join(dir.Path(), filepath.Base(name)), []byte(fill(own.Replace(text))), 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("start %s: %w", p.Name, err), g.Stop())
		}
	}
	if g.output, err = os.Create(filepath.Join(dir.Path(), "output.log")); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", p.Name, err), g.Stop())
	}
	if err := g.Restart(ctx); err != nil {
		return nil, errors.Join(err, g.Stop())
	}
	return g, nil
}

// find returns the path of a program; Debian keeps some where only root looks.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path := filepath.Join("/usr/sbin", filepath.Base(name))
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find program %s: it is not installed", name)
	}
	return path, nil
}

// Restart starts it and waits until it listens.
func (g *program) Restart(ctx context.Context) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), g.path, g.args...) //nolint:gosec // the program that it is given
	cmd.Stdout, cmd.Stderr = g.output, g.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C at the terminal is for the simulator
	done := make(chan struct{})                           // Kill and Stop wait for it; a killed program always ends with an error
	if err := child.Start(cmd, func(error) { close(done) }); err != nil {
		return fmt.Errorf("start %s: %w", g.name, err)
	}
	g.cmd, g.done = cmd, done
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if !poll(ctx, func() bool { return g.hasEnded() || listens(ctx, g.address) }) || g.hasEnded() {
		output, _ := os.ReadFile(g.output.Name()) // told where it can be read
		return fmt.Errorf("start %s: it does not listen: %s", g.name, output[max(0, len(output)-2000):])
	}
	return nil
}

func (g *program) hasEnded() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

func listens(ctx context.Context, address string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close() // it was only to see whether somebody answers
	return true
}

// Kill ends it with SIGKILL and returns when it is gone.
func (g *program) Kill(context.Context) error { return g.end(syscall.SIGKILL) }

// End asks it to end and returns when it is gone.
func (g *program) End(context.Context) error { return g.end(syscall.SIGTERM) }

func (g *program) end(s syscall.Signal) error {
	if err := g.Signal(s); err != nil {
		return err
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-g.done:
	case <-timer.C:
		_ = g.cmd.Process.Kill()
		<-g.done
	}
	return nil
}

// Signal sends it a signal.
func (g *program) Signal(s syscall.Signal) error {
	if g.cmd == nil || g.hasEnded() {
		return fmt.Errorf("signal %s: %w", g.name, errEnded)
	}
	if err := g.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %s: %w", g.name, err)
	}
	return nil
}

// Stop ends it and removes its directory. It may be called twice.
func (g *program) Stop() error {
	if g.cmd != nil && !g.hasEnded() {
		_ = g.Signal(syscall.SIGCONT) // it may be frozen
		_ = g.end(syscall.SIGTERM)    // it may have ended just now
	}
	var err error
	if g.output != nil {
		err = g.output.Close()
		g.output = nil
	}
	return errors.Join(err, g.dir.Remove())
}

// poll waits for a condition; false means that ctx ended first.
func poll(ctx context.Context, holds func() bool) bool {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// guarded is a process whose faults come one after the other.
type guarded struct {
	mu sync.Mutex // held while something is done to it: faults are long, and only they wait for it
	process
}
