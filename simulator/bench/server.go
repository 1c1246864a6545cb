package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
)

// server is what is measured: a process, or several that do the work of one.
type server struct {
	parts []*started
	mqtt  string // address of the devices' door; "" where there is none
	url   string // of the stream; "" where there is none
	http  string // address of the API
}

func (s *server) stop() {
	for _, c := range slices.Backward(s.parts) { // what was started last depends on what was started first
		c.stop()
	}
}

// cpu is the seconds that each part used so far.
func (s *server) cpu() ([]float64, error) {
	all := make([]float64, len(s.parts))
	for i, c := range s.parts {
		var err error
		if all[i], err = cpuSeconds(c.pid()); err != nil {
			return nil, fmt.Errorf("%s: %w; its output is in %s", c.name, err, c.log)
		}
	}
	return all, nil
}

// resident is what all parts have in memory.
func (s *server) resident() (int64, error) {
	sum := int64(0)
	for _, c := range s.parts {
		n, err := residentBytes(c.pid())
		if err != nil {
			return 0, fmt.Errorf("%s: %w; its output is in %s", c.name, err, c.log)
		}
		sum += n
	}
	return sum, nil
}

func (l *lab) gatewayArgs(more ...string) []string {
	return append(append([]string{"--window", l.Window.String()}, more...), l.GatewayArg...)
}

// startGateway runs a gateway in one process with a data directory of its own.
func (l *lab) startGateway(ctx context.Context) (*server, error) { return l.startGatewayWith(ctx) }

// startGatewayWith does the same with more settings.
func (l *lab) startGatewayWith(ctx context.Context, more ...string) (*server, error) {
	mqtt, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(l.dir, fmt.Sprintf("data-%d", l.servers))
	c, err := l.startChild(ctx, "gateway", l.Gateway, l.gatewayArgs(append([]string{"--mqtt-listen", mqtt, "--http-listen", address, "--data-dir", data}, more...)...)...)
	if err != nil {
		return nil, err
	}
	s := &server{parts: []*started{c}, mqtt: mqtt, http: address, url: "http://" + address + "/stream/assets"}
	return s, s.await(ctx, c, func(ctx context.Context) bool {
		return answers(ctx, "http://"+address+"/readyz") && listens(ctx, mqtt)
	})
}

// await waits until the part is ready and stops all of them where it does not come.
func (s *server) await(ctx context.Context, c *started, ready func(context.Context) bool) error {
	err := c.until(ctx, ready)
	if err != nil {
		s.stop()
	}
	return err
}

// startSplit runs a Redis server and a door, an owner and an edge in processes of their own.
func (l *lab) startSplit(ctx context.Context, redis string) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	c, err := l.startChild(ctx, "redis", redis, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", l.dir)
	if err != nil {
		return nil, err
	}
	s := &server{parts: []*started{c}}
	if err := s.await(ctx, c, func(ctx context.Context) bool { return listens(ctx, address) }); err != nil {
		return nil, err
	}
	for _, role := range []string{"bridge", "broker", "edge"} {
		if err := l.startRole(ctx, s, role, "redis://"+address); err != nil {
			return nil, err
		}
	}
	s.url = "http://" + s.http + "/stream/assets"
	return s, nil
}

// startRole adds a process with one role to s, which keeps the addresses of the door and of the edge, the last started.
func (l *lab) startRole(ctx context.Context, s *server, role, redis string) error {
	address, err := freeAddress(ctx)
	if err != nil {
		s.stop()
		return err
	}
	data := filepath.Join(l.dir, fmt.Sprintf("data-%d", l.servers))
	args := []string{"--roles", role, "--redis", redis, "--http-listen", address, "--data-dir", data}
	if role == "broker" {
		if s.mqtt, err = freeAddress(ctx); err != nil {
			s.stop()
			return err
		}
		args = append(args, "--mqtt-listen", s.mqtt)
	}
	c, err := l.startChild(ctx, role, l.Gateway, l.gatewayArgs(args...)...)
	if err != nil {
		s.stop()
		return err
	}
	s.parts, s.http = append(s.parts, c), address
	return s.await(ctx, c, func(ctx context.Context) bool { return answers(ctx, "http://"+address+"/readyz") })
}

// startFloor runs the floor program, which gives every viewer rate updates a second of size bytes each.
func (l *lab) startFloor(ctx context.Context, rate float64, size int) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	c, err := l.startChild(ctx, "floor", l.Simulator, "floor", "--listen", address,
		"--rate", fmt.Sprintf("%g", rate), "--size", fmt.Sprint(size), "--window", l.Window.String())
	if err != nil {
		return nil, err
	}
	s := &server{parts: []*started{c}, url: "http://" + address + "/"}
	return s, s.await(ctx, c, func(ctx context.Context) bool { return listens(ctx, address) })
}

// startBare runs a bare MQTT server.
func (l *lab) startBare(ctx context.Context) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	c, err := l.startChild(ctx, "bare-mochi", l.Simulator, "bare-mqtt", "--listen", address)
	if err != nil {
		return nil, err
	}
	s := &server{parts: []*started{c}, mqtt: address}
	return s, s.await(ctx, c, func(ctx context.Context) bool { return listens(ctx, address) })
}

// startMosquitto runs a Mosquitto that keeps nothing and has no subscriber.
func (l *lab) startMosquitto(ctx context.Context, program string) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("start mosquitto: %w", err)
	}
	file := filepath.Join(l.dir, fmt.Sprintf("mosquitto-%d.conf", l.servers))
	config := "listener " + port + " 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("start mosquitto: %w", err)
	}
	c, err := l.startChild(ctx, "mosquitto", program, "-c", file)
	if err != nil {
		return nil, err
	}
	s := &server{parts: []*started{c}, mqtt: address}
	return s, s.await(ctx, c, func(ctx context.Context) bool { return listens(ctx, address) })
}

// get reads JSON of the gateway's API.
func (s *server) get(ctx context.Context, path string, into any) error {
	text, err := getText(ctx, "http://"+s.http+path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("ask gateway for %s: %w", path, err)
	}
	return nil
}

var errStatus = errors.New("unexpected status")
