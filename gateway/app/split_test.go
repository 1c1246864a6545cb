package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// These tests run the roles as Apps of their own, which share nothing but a real Redis.

// A server is a real program that listens on one port of this machine.
type server struct {
	addr string
	cmd  *exec.Cmd
	path string
	args []string
}

func startRedis(t *testing.T) *server {
	t.Helper()
	addr := freeAddr(t).String()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, addr, program(t, "redis-server"), "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--loglevel", "warning")
}

func startMosquitto(t *testing.T) *server {
	t.Helper()
	return startMosquittoWith(t, "allow_anonymous true\n")
}

func startMosquittoWith(t *testing.T, settings string) *server {
	t.Helper()
	const whereDebianHasIt = "/usr/sbin/mosquitto" // not in everybody's path
	path := whereDebianHasIt
	if _, err := os.Stat(path); err != nil {
		path = program(t, "mosquitto")
	}
	addr := freeAddr(t).String()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(conf, []byte("listener "+port+" 127.0.0.1\n"+settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, addr, path, "-c", conf)
}

// serve runs a program until the test ends, and waits until it listens.
func serve(t *testing.T, addr, path string, args ...string) *server {
	t.Helper()
	s := &server{addr: addr, path: path, args: args}
	s.again(t)
	return s
}

// again starts it where it was.
func (s *server) again(t *testing.T) {
	t.Helper()
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), s.path, s.args...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	waitFor(t, s.path+" to listen", func() bool {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", s.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, func() string { return "nobody at " + s.addr })
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// role are options for a part of an installation around a Redis.
func (s *server) role(roles ...Role) func(*Options) {
	return func(o *Options) { o.Roles, o.Store.Redis = roles, "redis://"+s.addr }
}

func (g *gateway) waitReady(role Role) {
	g.t.Helper()
	var last answer
	waitFor(g.t, string(role)+" to be ready", func() bool {
		last = g.request("GET", "/readyz?role="+string(role))
		return last.StatusCode == http.StatusOK
	}, func() string { return string(last.body) })
}

func TestRolesInProcessesOfTheirOwnAreOneInstallation(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	first := startGateway(t, redis.role(RoleBridge))
	broker := startGateway(t, redis.role(RoleBroker))
	edge, other := startGateway(t, redis.role(RoleEdge)), startGateway(t, redis.role(RoleEdge))
	broker.waitReady(RoleBroker)
	first.waitReady(RoleBridge)
	edge.waitReady(RoleEdge)

	s := edge.open("/stream/assets", "")
	s.snapshot()
	broker.telemetry("north", "truck-17", fromTheReadme)
	broker.telemetry("south", "van-1", `{"lat":3,"lon":4}`)
	for _, e := range []*gateway{edge, other} {
		e.waitAsset("truck-17", func(a asset) bool { return a.is("lat", 48.85833) && a.is("status", "offline") })
		e.waitAsset("van-1", has("status", "offline"))
	}
	_, position := edge.open("/stream/assets", "").snapshot()

	// Another bridge goes on where the first one stopped.
	second := startGateway(t, redis.role(RoleBridge))
	second.waitReady(RoleBridge)
	first.stop()
	broker.telemetry("south", "van-1", `{"speed":7}`)
	edge.waitAsset("van-1", func(a asset) bool { return a.is("lat", 3.0) && a.is("speed", 7.0) && a.is("status", "offline") })
	s.asset("van-1", has("speed", 7.0))

	// An id of one edge is one of the other: no reset, and what changed. What changed may hold more than a viewer can see,
	// as a new owner may publish what it took over.
	heard := false
	for _, e := range other.open("/stream/assets", position).until(func(e event) bool { return e.Type == "ready" }) {
		switch e.Type {
		case "":
			a := parseAsset(t, e.Data)
			heard = heard || a.id() == "van-1" && a.is("speed", 7.0)
		case "ready":
		default:
			t.Errorf("who comes back to another edge gets %q %s", e.Type, e.Data)
		}
	}
	if !heard {
		t.Error("who comes back to another edge does not hear of the change")
	}

	// A removal begins at one edge and is heard at the other.
	if a := other.request(http.MethodDelete, "/api/assets/van-1"); a.StatusCode/100 != 2 {
		t.Fatalf("DELETE: %s %s", a.Status, a.body)
	}
	s.until(func(e event) bool { return e.Type == "removed" && e.Data == `{"id":"van-1","fleet":"south"}` })
}

func TestAProcessAnswersForItsRolesOnly(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	for _, role := range Defaults().Roles {
		t.Run(string(role), func(t *testing.T) {
			g := startGateway(t, redis.role(role))
			g.waitReady(role)
			for path, here := range map[string]bool{
				"/healthz": true, "/readyz": true, "/api/stats": true, "/api/assets": role == RoleEdge, "/": role == RoleEdge,
				"/readyz?role=broker": role == RoleBroker, "/readyz?role=bridge": role == RoleBridge, "/readyz?role=edge": role == RoleEdge,
			} {
				if a := g.request("GET", path); (a.StatusCode == http.StatusOK) != here {
					t.Errorf("%s: %s %s", path, a.Status, a.body)
				}
			}
			if (g.Addrs().MQTT != nil) != (role == RoleBroker) {
				t.Errorf("devices connect to %v", g.Addrs().MQTT)
			}
			stats := string(g.request("GET", "/api/stats").body)
			for member, of := range map[string]Role{`"mqtt":`: RoleBroker, `"bridge":`: RoleBridge, `"hub":`: RoleEdge, `"sse":`: RoleEdge} {
				if strings.Contains(stats, member) != (of == role) {
					t.Errorf("%s in the counters: %s", member, stats)
				}
			}
			if !strings.Contains(stats, fmt.Sprintf(`"roles":[%q]`, role)) || !strings.Contains(stats, `"kind":"redis"`) {
				t.Errorf("counters are %s", stats)
			}
		})
	}
}

func TestALostStoreIsSaidByDoorsAndBridgesWhileEdgesStayReady(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	g := startGateway(t, redis.role(RoleBroker, RoleBridge, RoleEdge))
	g.waitReady(RoleBridge)
	g.telemetry("north", "truck-17", fromTheReadme)
	g.waitAsset("truck-17", has("status", "offline"))
	s := g.open("/stream/assets", "")
	s.snapshot()

	redis.kill()
	for _, role := range []Role{RoleBroker, RoleBridge} {
		var last answer
		waitFor(t, string(role)+" not to be ready", func() bool {
			last = g.request("GET", "/readyz?role="+string(role))
			return last.StatusCode == http.StatusServiceUnavailable
		}, func() string { return string(last.body) })
		if !strings.Contains(string(last.body), `"check":"bus"`) || strings.Contains(string(last.body), redis.addr) {
			t.Errorf("it says %s", last.body)
		}
	}
	if a := g.request("GET", "/readyz?role=edge"); a.StatusCode != http.StatusOK {
		t.Errorf("the edge is not ready: %s", a.body)
	}
	if assets, _ := g.open("/stream/assets", "").snapshot(); assets["truck-17"] == nil {
		t.Error("the edge does not show what it has")
	}
	select {
	case <-s.done:
		t.Error("the stream was closed")
	default:
	}
}

func TestAnExternalBrokerIsConsumed(t *testing.T) {
	t.Parallel()
	outer := startMosquitto(t)
	g := startGateway(t, func(o *Options) { o.MQTT.Upstream = []string{"mqtt://" + outer.addr} })
	g.waitReady(RoleBroker)
	if g.Addrs().MQTT != nil {
		t.Errorf("devices connect to %v", g.Addrs().MQTT)
	}
	g.publishTo(outer.addr, "-q", "1", "-t", "fleets/north/devices/truck-17/telemetry", "-m", fromTheReadme)
	g.waitAsset("truck-17", has("lat", 48.85833))
	g.stop()

	// What came meanwhile was kept for the same session.
	g.publishTo(outer.addr, "-q", "1", "-t", "fleets/north/devices/truck-17/telemetry", "-m", `{"speed":7}`)
	again := startGateway(t, g.sameData, func(o *Options) { o.MQTT.Upstream = g.opts.MQTT.Upstream })
	again.waitAsset("truck-17", func(a asset) bool { return a.is("lat", 48.85833) && a.is("speed", 7.0) })
}
