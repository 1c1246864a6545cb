package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/api/openapi/openapitest"
)

// commandOf is a command as REST and the stream have it.
type commandOf struct {
	ID, Device, Fleet, Name, State, By, Error string
	Params, Result                            json.RawMessage
	At, Accepted, Expires                     int64
	Unconfirmed                               bool
}

func parseCommand(t *testing.T, data []byte) commandOf {
	t.Helper()
	var c commandOf
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatalf("command %q: %v", data, err)
	}
	return c
}

// post asks the gateway with a body of JSON.
func (g *gateway) post(path, body string, header ...string) answer {
	g.t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(g.t.Context()), http.MethodPost, g.url(path), strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}).Do(req)
	if err != nil {
		g.t.Fatalf("POST %s: %v", path, err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer{resp, out}
}

// command sends a device a command and expects that it is accepted.
func (g *gateway) command(device, body string, header ...string) commandOf {
	g.t.Helper()
	a := g.post("/api/devices/"+device+"/commands", body, header...)
	if a.StatusCode != http.StatusAccepted {
		g.t.Fatalf("POST a command: %s %s", a.Status, a.body)
	}
	c := parseCommand(g.t, a.body)
	if want := "/api/commands/" + c.ID; a.Header.Get("Location") != want {
		g.t.Errorf("Location is %q, want %q", a.Header.Get("Location"), want)
	}
	return c
}

// became waits until REST says that a command is in a state.
func (g *gateway) became(id, state string) commandOf {
	g.t.Helper()
	var c commandOf
	var last answer
	waitFor(g.t, "command "+id+" to be "+state, func() bool {
		if last = g.request("GET", "/api/commands/"+id); last.StatusCode != http.StatusOK {
			return false
		}
		c = parseCommand(g.t, last.body)
		return c.State == state
	}, func() string { return string(last.body) })
	return c
}

// states reads what a stream tells of a command, up to a state.
func (s *stream) states(id, last string) []string {
	s.t.Helper()
	var states []string
	s.until(func(e event) bool {
		if e.Type != "command" {
			return false
		}
		c := parseCommand(s.t, []byte(e.Data))
		if c.ID == id {
			states = append(states, c.State)
		}
		return c.ID == id && c.State == last
	})
	return states
}

// commanded is a real MQTT client that is sent commands.
type commanded struct {
	t        *testing.T
	cmd      *exec.Cmd
	commands chan string // topic, response topic, correlation data and payload of each
}

// listen connects a client that subscribes to the commands of a device, at a broker.
func (g *gateway) listen(addr, fleet, device string, args ...string) *commanded {
	g.t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		g.t.Fatal(err)
	}
	args = append([]string{
		"-h", host, "-p", port, "-q", "1", "-F", "%t %R %D %p", "-t", "fleets/" + fleet + "/devices/" + device + "/commands/+",
	}, args...)
	cmd := exec.CommandContext(context.WithoutCancel(g.t.Context()), program(g.t, "mosquitto_sub"), args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	c := &commanded{t: g.t, cmd: cmd, commands: make(chan string, 1000)}
	go func() {
		defer close(c.commands)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.commands <- lines.Text()
		}
	}()
	g.t.Cleanup(c.kill)
	return c
}

func (c *commanded) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// next is the next command that the client is sent.
func (c *commanded) next() (topic, response, correlation, payload string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case line, open := <-c.commands:
		if parts := strings.SplitN(line, " ", 4); open && len(parts) == 4 {
			described, err := openapitest.LoadMessages()
			if err == nil {
				err = described.Check("order", []byte(parts[3]))
			}
			if err != nil {
				c.t.Error(err)
			}
			return parts[0], parts[1], parts[2], parts[3]
		}
		c.t.Fatalf("the client says %q", line)
	case <-ctx.Done():
		c.t.Fatal("waited in vain for a command")
	}
	return "", "", "", ""
}

func TestACommandIsSeenThroughItsStates(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	g.telemetry("north", "truck-17", fromTheReadme)
	g.waitAsset("truck-17", any1)
	s, south := g.open("/stream/assets", ""), g.open("/stream/assets?fleet=south", "")
	_, position := s.snapshot()
	south.snapshot()
	device := g.listen(g.Addrs().MQTT.String(), "north", "truck-17", "-V", "5")

	c := g.command("truck-17", `{"name":"reboot","params":{"delay":3},"ttl":600}`, "Idempotency-Key", "k1")
	if c.State != "accepted" || c.Device != "truck-17" || c.Fleet != "north" || c.Expires != c.Accepted+600_000 || c.By != "local" || string(c.Params) != `{"delay":3}` {
		t.Errorf("accepted is %+v", c)
	}
	topic, response, correlation, payload := device.next()
	if under := "fleets/north/devices/truck-17/"; topic != under+"commands/"+c.ID || response != under+"replies/"+c.ID || correlation != c.ID {
		t.Errorf("the device gets it at %s, to be answered at %s with %s", topic, response, correlation)
	}
	if want := fmt.Sprintf(`{"id":%q,"name":"reboot","params":{"delay":3},"expires":%d}`, c.ID, c.Expires); payload != want {
		t.Errorf("the device gets %s, want %s", payload, want)
	}
	g.became(c.ID, "delivered")
	g.publish("-q", "1", "-t", response, "-m", `{"status":"done","result":{"uptime":1}}`)
	if got := s.states(c.ID, "done"); strings.Join(got, " ") != "accepted sent delivered done" {
		t.Errorf("the stream tells %v", got)
	}
	if done := g.became(c.ID, "done"); string(done.Result) != `{"uptime":1}` || done.At < done.Accepted {
		t.Errorf("done is %+v", done)
	}
	if got := g.open("/stream/assets", position).states(c.ID, "done"); strings.Join(got, " ") != "accepted sent delivered done" {
		t.Errorf("who comes back is told %v", got)
	}
	if again := g.command("truck-17", `{"name":"reboot","params":{"delay":3},"ttl":600}`, "Idempotency-Key", "k1"); again.ID != c.ID || again.State != "done" {
		t.Errorf("a repeated request is %+v", again)
	}
	g.commandsAreListed(c.ID)
	// An answer that is late, one to nothing, and rubbish are shown, and change nothing.
	g.publish("-q", "1", "-t", response, "-m", `{"status":"failed"}`)
	g.publish("-q", "1", "-t", strings.Replace(response, c.ID, devices.NewCommandID().String(), 1), "-m", `{"status":"done"}`)
	g.publish("-q", "1", "-t", response, "-m", `done`)
	letters := string(g.request("GET", "/api/dead-letters").body)
	for _, reason := range []string{"reply_late", "reply_unknown", "reply_bad"} {
		if !strings.Contains(letters, reason) {
			t.Errorf("no dead letter is %s: %s", reason, letters)
		}
	}
	g.became(c.ID, "done")
	g.telemetry("south", "van-1", `{"lat":1,"lon":2}`)
	south.until(func(e event) bool {
		if e.Type == "command" {
			t.Errorf("another fleet's stream tells %s", e.Data)
		}
		return e.Type == ""
	})
}

// commandsAreListed expects one command, of truck-17.
func (g *gateway) commandsAreListed(id string) {
	g.t.Helper()
	for path, n := range map[string]int{
		"/api/commands": 1, "/api/commands?fleet=north&device=truck-17&state=done": 1, "/api/commands?fleet=south": 0,
		"/api/commands?state=sent": 0, "/api/devices/truck-17/commands": 1, "/api/devices/truck-17/commands?limit=1&state=done": 1,
	} {
		var list struct{ Commands []commandOf }
		a := g.request("GET", path)
		if err := json.Unmarshal(a.body, &list); err != nil || len(list.Commands) != n || n == 1 && list.Commands[0].ID != id {
			g.t.Errorf("%s: %s %s", path, a.Status, a.body)
		}
	}
	for path, status := range map[string]int{
		"/api/commands/nothing": 404, "/api/commands/" + devices.NewCommandID().String(): 404, "/api/devices/nobody/commands": 404,
		"/api/commands?state=lost": 400, "/api/commands?after=x": 400,
	} {
		if a := g.request("GET", path); a.StatusCode != status {
			g.t.Errorf("%s: %s %s", path, a.Status, a.body)
		}
	}
}

func TestACommandWaitsForItsDeviceAndOverRestarts(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	if a := g.post("/api/devices", `{"id":"truck-17","fleet":"north"}`); a.StatusCode != http.StatusCreated {
		t.Fatalf("register: %s %s", a.Status, a.body)
	}
	c := g.command("truck-17", `{"name":"unlock","ttl":3600}`)
	short := g.command("truck-17", `{"name":"unlock","ttl":1}`)
	g.became(short.ID, "expired")
	_, position := g.open("/stream/assets", "").snapshot()
	g.stop()

	g = startGateway(t, g.sameData, g.samePorts)
	g.became(c.ID, "accepted")
	device := g.listen(g.Addrs().MQTT.String(), "north", "truck-17")
	if topic, _, _, _ := device.next(); !strings.HasSuffix(topic, c.ID) {
		t.Errorf("the device gets %s", topic)
	}
	g.became(c.ID, "delivered")
	device.kill()
	g.stop()

	g = startGateway(t, g.sameData, g.samePorts)
	again := g.listen(g.Addrs().MQTT.String(), "north", "truck-17")
	next := g.command("truck-17", `{"name":"lock"}`)
	if topic, _, _, _ := again.next(); !strings.HasSuffix(topic, next.ID) { // what arrived is not sent again
		t.Errorf("after a restart the device gets %s", topic)
	}
	g.publish("-q", "1", "-t", "fleets/north/devices/truck-17/replies/"+c.ID, "-m", `{"status":"failed","error":"stuck"}`)
	if failed := g.became(c.ID, "failed"); failed.Error != "stuck" {
		t.Errorf("failed is %+v", failed)
	}
	if got := g.open("/stream/assets", position).states(c.ID, "failed"); strings.Join(got, " ") != "sent delivered failed" {
		t.Errorf("who comes back over two restarts is told %v", got)
	}
}

func TestACommandThatIsSentAtQoS0IsNotSentAgain(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	g.telemetry("north", "truck-17", fromTheReadme)
	g.waitAsset("truck-17", any1)
	device := g.listen(g.Addrs().MQTT.String(), "north", "truck-17", "-q", "0")
	c := g.command("truck-17", `{"name":"reboot"}`)
	device.next()
	if sent := g.became(c.ID, "sent"); !sent.Unconfirmed {
		t.Errorf("sent is %+v", sent)
	}
	device.kill()
	again := g.listen(g.Addrs().MQTT.String(), "north", "truck-17")
	next := g.command("truck-17", `{"name":"other"}`)
	if topic, _, _, _ := again.next(); !strings.HasSuffix(topic, next.ID) {
		t.Errorf("it is sent again: %s", topic)
	}
}

func TestCommandsPassBetweenProcesses(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	bridge := startGateway(t, redis.role(RoleBridge))
	broker, quiet := startGateway(t, redis.role(RoleBroker)), startGateway(t, redis.role(RoleBroker))
	edge, other := startGateway(t, redis.role(RoleEdge)), startGateway(t, redis.role(RoleEdge))
	broker.waitReady(RoleBroker)
	quiet.waitReady(RoleBroker)
	bridge.waitReady(RoleBridge)
	edge.waitReady(RoleEdge)
	broker.telemetry("north", "truck-17", fromTheReadme)
	edge.waitAsset("truck-17", any1)
	s := other.open("/stream/assets", "")
	_, position := s.snapshot()
	device := edge.listen(broker.Addrs().MQTT.String(), "north", "truck-17")
	c := edge.command("truck-17", `{"name":"reboot"}`)
	other.became(c.ID, "delivered")
	device.next()
	broker.publish("-q", "1", "-t", "fleets/north/devices/truck-17/replies/"+c.ID, "-m", `{"status":"done"}`)
	if got := s.states(c.ID, "done"); strings.Join(got, " ") != "accepted sent delivered done" {
		t.Errorf("the other edge's stream tells %v", got)
	}
	if got := edge.open("/stream/assets", position).states(c.ID, "done"); strings.Join(got, " ") != "accepted sent delivered done" {
		t.Errorf("who comes back is told %v", got)
	}

	// Its door is stopped, and the device comes back to another.
	device.kill()
	late := edge.command("truck-17", `{"name":"later"}`)
	broker.stop()
	device = edge.listen(quiet.Addrs().MQTT.String(), "north", "truck-17")
	if topic, _, _, _ := device.next(); !strings.HasSuffix(topic, late.ID) {
		t.Errorf("the device gets %s", topic)
	}
	edge.became(late.ID, "delivered")
}

func TestCommandsPassThroughAnExternalBroker(t *testing.T) {
	t.Parallel()
	outer := startMosquitto(t)
	g := startGateway(t, func(o *Options) { o.MQTT.Upstream = []string{"mqtt://" + outer.addr} })
	g.waitReady(RoleBroker)
	g.publishTo(outer.addr, "-q", "1", "-t", "fleets/north/devices/truck-17/telemetry", "-m", fromTheReadme)
	g.waitAsset("truck-17", any1)
	s := g.open("/stream/assets", "")
	s.snapshot()
	c := g.command("truck-17", `{"name":"reboot"}`) // nobody is there yet
	device := g.listen(outer.addr, "north", "truck-17", "-V", "5")
	_, response, correlation, _ := device.next()
	if correlation != c.ID {
		t.Errorf("the correlation data is %q", correlation)
	}
	g.became(c.ID, "sent")
	g.publishTo(outer.addr, "-q", "1", "-t", response, "-m", `{"status":"done"}`)
	if got := s.states(c.ID, "done"); strings.Join(got, " ") != "accepted sent done" {
		t.Errorf("the stream tells %v", got)
	}
}
