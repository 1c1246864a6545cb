package prove

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fleetcast/fleetcast/simulator/certs"
	"github.com/fleetcast/fleetcast/simulator/child"
)

// GatewayOptions say how to run a gateway that is to be killed.
type GatewayOptions struct {
	Program string
	Args    []string // besides the addresses, and the data directory where they say nothing of it
	// Dir is where its data directory and its output are; "" makes a temporary one, which Stop removes.
	Dir string
	// Secure has its edge speak HTTPS, with a certificate that Trust trusts: HTTP/2 needs it.
	Secure bool
	// Down is how long it stays away after a kill.
	Down time.Duration
}

// Gateway is a gateway that keeps its ports and its data directory over restarts. Its methods are for one goroutine.
type Gateway struct {
	options    GatewayOptions
	dir        string
	temporary  *child.Dir // nil: dir is not ours
	mqtt, http string
	args       []string
	trust      *tls.Config
	log        *os.File
	cmd        *exec.Cmd
	done       chan struct{} // closed when the program has ended
}

const (
	startTimeout = time.Minute // of a machine that is busy
	stopTimeout  = 15 * time.Second
	logName      = "gateway.log"
)

var errEnded = errors.New("the gateway ended")

// StartGateway starts a gateway and waits until it is ready. It must be stopped.
func StartGateway(ctx context.Context, o GatewayOptions) (*Gateway, error) {
	g := &Gateway{options: o, dir: o.Dir}
	if err := g.prepare(ctx); err != nil {
		return nil, errors.Join(err, g.clean())
	}
	if err := g.start(ctx); err != nil {
		return nil, errors.Join(err, g.Stop())
	}
	ready, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	probe := &run{options: Options{URLs: []string{g.URL()}, TLS: g.trust}}
	if !until(ready, func() bool { return probe.isReady(ready) || g.hasEnded() }) || g.hasEnded() {
		output, _ := os.ReadFile(g.log.Name()) // told where it can be read
		return nil, errors.Join(fmt.Errorf("start gateway: it is not ready: %s", tail(output)), g.Stop())
	}
	return g, nil
}

// tail is the end of a program's output.
func tail(b []byte) []byte { return b[max(0, len(b)-2000):] }

func (g *Gateway) prepare(ctx context.Context) (err error) {
	if g.dir == "" {
		if g.temporary, err = child.TempDir("gateway"); err != nil {
			return fmt.Errorf("start gateway: %w", err)
		}
		g.dir = g.temporary.Path()
	} else if err := os.MkdirAll(g.dir, 0o750); err != nil {
		return fmt.Errorf("start gateway: %w", err)
	}
	if g.mqtt, err = FreeAddress(ctx); err != nil {
		return err
	}
	if g.http, err = FreeAddress(ctx); err != nil {
		return err
	}
	g.args = append([]string{"--mqtt-listen", g.mqtt, "--http-listen", g.http}, g.options.Args...)
	if !slices.ContainsFunc(g.options.Args, saysWhereStateIs) {
		g.args = append(g.args, "--data-dir", filepath.Join(g.dir, "data"))
	}
	if g.options.Secure {
		made, err := certs.Make(g.dir)
		if err != nil {
			return fmt.Errorf("start gateway: %w", err)
		}
		g.args, g.trust = append(g.args, "--http-cert", made.Cert, "--http-key", made.Key), made.Trust
	}
	if g.log, err = os.OpenFile(g.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return fmt.Errorf("start gateway: %w", err)
	}
	return nil
}

// saysWhereStateIs tells whether a flag decides where the gateway keeps its state, so that we do not.
func saysWhereStateIs(arg string) bool {
	name, _, _ := strings.Cut(arg, "=")
	return name == "--data-dir" || name == "--in-memory" || name == "--redis"
}

// start starts the program in a process group of its own: a Ctrl-C at the terminal is for the prover, which then still
// needs the gateway to look whether all is kept.
func (g *Gateway) start(ctx context.Context) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), g.options.Program, g.args...) //nolint:gosec // the program that it is given
	cmd.Stdout, cmd.Stderr = g.log, g.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	done := make(chan struct{}) // Kill and Stop wait for it; a killed program always ends with an error
	if err := child.Start(cmd, func(error) { close(done) }); err != nil {
		return fmt.Errorf("start gateway: %w", err)
	}
	g.cmd, g.done = cmd, done
	return nil
}

func (g *Gateway) hasEnded() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// Host is the edge's address, as host:port.
func (g *Gateway) Host() string { return g.http }

// URL is the edge's address.
func (g *Gateway) URL() string {
	if g.options.Secure {
		return "https://" + g.http
	}
	return "http://" + g.http
}

// Trust is who trusts the edge; nil where it speaks plain HTTP.
func (g *Gateway) Trust() *tls.Config { return g.trust }

// MQTT is the door's address.
func (g *Gateway) MQTT() string { return g.mqtt }

// Log is the file with all that the program said, over restarts.
func (g *Gateway) Log() string { return filepath.Join(g.dir, logName) }

// Kill ends the program with SIGKILL and returns when it is gone. One that had ended by itself is an error.
func (g *Gateway) Kill(context.Context) error {
	if g.hasEnded() {
		return fmt.Errorf("kill gateway: %w by itself; its output is in %s", errEnded, g.log.Name())
	}
	if err := g.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill gateway: %w", err)
	}
	<-g.done
	return nil
}

// End asks the program to end, as a deploy does, and returns when it is gone. One that had ended by itself is an error.
func (g *Gateway) End(ctx context.Context) error {
	if g.hasEnded() {
		return fmt.Errorf("end gateway: %w by itself; its output is in %s", errEnded, g.log.Name())
	}
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end gateway: %w", err)
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-g.done:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return g.Kill(ctx)
}

// Signal sends the program a signal.
func (g *Gateway) Signal(s syscall.Signal) error {
	if err := g.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal gateway: %w", err)
	}
	return nil
}

// Restart starts the program again, with the same ports and data, after the time that it is to be away.
func (g *Gateway) Restart(ctx context.Context) error {
	if g.options.Down > 0 {
		timer := time.NewTimer(g.options.Down)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("restart gateway: %w", ctx.Err())
		}
	}
	return g.start(ctx)
}

// Become has the next Restart run another program, which is another release of it: it has the same ports, data and flags.
func (g *Gateway) Become(program string) { g.options.Program = program }

// KillFault is the fault of a killed gateway.
func (g *Gateway) KillFault() Fault {
	return Fault{Name: "kill -9", Break: g.Kill, Mend: g.Restart, Loses: true}
}

// Stop asks the program to end and waits for it, for a bounded time. It may be called twice.
func (g *Gateway) Stop() error {
	if g.cmd != nil && g.cmd.Process != nil {
		_ = g.cmd.Process.Signal(syscall.SIGTERM) // fails where it ended already
		timer := time.NewTimer(stopTimeout)
		defer timer.Stop()
		select {
		case <-g.done:
		case <-timer.C:
			_ = g.cmd.Process.Kill()
			<-g.done
		}
		g.cmd = nil
	}
	return g.clean()
}

func (g *Gateway) clean() error {
	var err error
	if g.log != nil {
		err = g.log.Close()
		g.log = nil
	}
	return errors.Join(err, g.temporary.Remove())
}

// Ports below what kernels give to outgoing connections. While the gateway is away, devices and viewers dial its ports
// again and again: a dialer that is given the very port that it dials is connected to itself (RFC 9293 section 3.5), and
// then holds the port that the gateway needs.
const (
	firstPort = 12_000
	lastPort  = 32_000
)

// FreeAddress returns an address of 127.0.0.1 that nobody listens on, for a program that is killed and started again.
func FreeAddress(ctx context.Context) (string, error) {
	var last error
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort)))
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err == nil {
			return address, l.Close()
		}
		last = err
	}
	return "", fmt.Errorf("find a free port: %w", last)
}
