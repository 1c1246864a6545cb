package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fleetcast/fleetcast/simulator/child"
)

// Bounds of the programs that a bench starts.
const (
	startTimeout = 20 * time.Second
	stopTimeout  = 15 * time.Second
	pollInterval = 50 * time.Millisecond
)

// started is a program that a bench started.
type started struct {
	name string // of its output
	role string // what it is in its server
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the program ended
	err  error         // how; after done
}

// startChild runs a program whose output goes to a file in the directory of results. It ends with ctx at the latest, and
// politely.
func (l *lab) startChild(ctx context.Context, role, program string, args ...string) (*started, error) {
	l.servers++
	name := fmt.Sprintf("%03d-%s", l.servers, role)
	c := &started{name: name, role: role, log: filepath.Join(l.Out, name+".log"), done: make(chan struct{})}
	out, err := os.Create(c.log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer out.Close()                                  // the child has it
	c.cmd = exec.CommandContext(ctx, program, args...) //nolint:gosec // to run the program that it is given is what a bench is for
	c.cmd.Stdout, c.cmd.Stderr = out, out
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGTERM) }
	c.cmd.WaitDelay = stopTimeout
	ended := func(err error) { // stop waits for it
		c.err = err
		close(c.done)
	}
	if err := child.Start(c.cmd, ended); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

func (c *started) pid() int { return c.cmd.Process.Pid }

// until polls ready until it holds, the program ends or the time is over.
func (c *started) until(ctx context.Context, ready func(context.Context) bool) error {
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
func (c *started) stop() {
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
	status, _, err := ask(ctx, url, nil)
	return err == nil && status == http.StatusOK
}

// ask makes a request and returns the head of the answer.
func ask(ctx context.Context, url string, header http.Header) (int, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("ask server: %w", err)
	}
	maps.Copy(request.Header, header)
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("ask server: %w", err)
	}
	defer response.Body.Close()
	return response.StatusCode, response.Header, nil
}

// getText reads a page.
func getText(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("ask server: %w", err)
	}
	client := http.Client{Timeout: startTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("ask server: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ask server for %s: %w: %d", url, errStatus, response.StatusCode)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("ask server: %w", err)
	}
	return string(text), nil
}
