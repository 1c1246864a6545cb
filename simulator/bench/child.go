package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Bounds of the programs that a bench starts.
const (
	startTimeout = 20 * time.Second
	stopTimeout  = 15 * time.Second
	pollInterval = 50 * time.Millisecond
)

// child is a program that a bench started.
type child struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the program ended
	err  error         // how; after done
}

// startChild runs a program whose output goes to a file in dir. It ends with ctx at the latest, and politely.
func startChild(ctx context.Context, dir, name, program string, args ...string) (*child, error) {
	c := &child{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.Create(c.log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer out.Close()                                  // the child has it
	c.cmd = exec.CommandContext(ctx, program, args...) //nolint:gosec // to run the program that it is given is what a bench is for
	c.cmd.Stdout, c.cmd.Stderr = out, out
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGTERM) }
	c.cmd.WaitDelay = stopTimeout
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { // ends with the program; stop waits for it
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// until polls ready until it holds, the program ends or the time is over.
func (c *child) until(ctx context.Context, ready func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !ready(ctx) {
		select {
		case <-c.done:
			return fmt.Errorf("%s ended before it was ready: %w; its output is in %s", c.name, errors.Join(c.err, errEnded), c.log)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; its output is in %s", c.name, ctx.Err(), c.log)
		case <-tick.C:
		}
	}
	return nil
}

var errEnded = errors.New("the program ended")

// stop asks the program to end, and ends it after a time.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // fails where it ended already
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-c.done:
		return
	case <-timer.C:
	}
	_ = c.cmd.Process.Kill()
	<-c.done
}

// gateway is a running gateway.
type gateway struct {
	*child
	mqtt, http string
}

// programs are what a bench runs, and where their output goes.
type programs struct {
	gateway     string
	gatewayArgs []string
	simulator   string
	out         string
}

// startGateway runs a gateway with a data directory of its own below dir.
func (p *programs) startGateway(ctx context.Context, dir, name string) (*gateway, error) {
	g := &gateway{}
	var err error
	if g.mqtt, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	if g.http, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, name+"-data")
	args := append([]string{"--mqtt-listen", g.mqtt, "--http-listen", g.http, "--data-dir", data}, p.gatewayArgs...)
	if g.child, err = startChild(ctx, p.out, name, p.gateway, args...); err != nil {
		return nil, err
	}
	if err := g.until(ctx, func(ctx context.Context) bool {
		return answers(ctx, "http://"+g.http+"/readyz") && listens(ctx, g.mqtt)
	}); err != nil {
		g.stop()
		return nil, err
	}
	return g, nil
}

func (g *gateway) stream() string { return "http://" + g.http + "/stream/assets" }

func (o *Options) startFloor(ctx context.Context, rate float64, size int) (*child, string, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, "", err
	}
	c, err := startChild(ctx, o.Out, "floor", o.Simulator, "floor", "--listen", address,
		"--rate", fmt.Sprintf("%g", rate), "--size", fmt.Sprint(size), "--window", o.Window.String())
	if err != nil {
		return nil, "", err
	}
	if err := c.until(ctx, func(ctx context.Context) bool { return listens(ctx, address) }); err != nil {
		c.stop()
		return nil, "", err
	}
	return c, "http://" + address + "/", nil
}

// startBare runs a bare MQTT server.
func (p *programs) startBare(ctx context.Context, name string) (*child, string, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, "", err
	}
	c, err := startChild(ctx, p.out, name, p.simulator, "bare-mqtt", "--listen", address)
	if err != nil {
		return nil, "", err
	}
	if err := c.until(ctx, func(ctx context.Context) bool { return listens(ctx, address) }); err != nil {
		c.stop()
		return nil, "", err
	}
	return c, address, nil
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func listens(ctx context.Context, address string) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

func answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}
