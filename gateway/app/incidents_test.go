package app

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// These tests play what the runbook is about, with its entry in hand: what the entry names must come, and what comes must be
// named by it.

// incident is a gateway that something happens to, and the runbook's entry for it.
type incident struct {
	*gateway
	entry string
	log   *syncBuffer
}

func newIncident(t *testing.T, heading string, change ...func(*Options)) *incident {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "docs", "runbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, entry, found := strings.Cut(string(text), "\n## "+heading)
	if !found {
		t.Fatalf("the runbook has no entry %q", heading)
	}
	entry, _, _ = strings.Cut(entry, "\n## ")
	i := &incident{entry: strings.Join(strings.Fields(entry), " "), log: &syncBuffer{}}
	i.gateway = startGateway(t, append([]func(*Options){func(o *Options) {
		o.Admin.Listen = "127.0.0.1:0"
		o.Report.Logger, o.Report.Level = NewLogger(o.Log, i.log)
	}}, change...)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(i.log.String())
		}
	})
	return i
}

// isNamed expects that the entry has the words.
func (i *incident) isNamed(what string) {
	i.t.Helper()
	if !strings.Contains(i.entry, "`"+what+"`") {
		i.t.Errorf("the entry does not name %q: %s", what, i.entry)
	}
}

// logs waits for a line that the entry names.
func (i *incident) logs(message string) {
	i.t.Helper()
	i.isNamed(message)
	waitFor(i.t, "the log line "+message, func() bool { return strings.Contains(i.log.String(), message) }, i.log.String)
}

// counts waits until a metric that the entry names is more than it was.
func (i *incident) counts(name string, before float64) {
	i.t.Helper()
	i.isNamed(name)
	waitFor(i.t, name+" to grow", func() bool { return i.metric(name) > before }, func() string { return fmt.Sprint(i.metric(name)) })
}

// metric is the value of a series, as the runbook writes it, or -1.
func (i *incident) metric(series string) float64 {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), http.MethodGet, "http://"+i.Addrs().Admin.String()+"/metrics", http.NoBody)
	if err != nil {
		i.t.Fatal(err)
	}
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		i.t.Fatal(err)
	}
	defer res.Body.Close()
	name, label, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		at := strings.LastIndexByte(lines.Text(), ' ')
		of, labels, _ := strings.Cut(lines.Text()[:max(at, 0)], "{")
		if value, err := strconv.ParseFloat(lines.Text()[at+1:], 64); err == nil && of == name && strings.Contains(labels, label) {
			return value
		}
	}
	return -1
}

// ready waits until readiness has the words, or says nothing where they are "".
func (i *incident) ready(words string) {
	i.t.Helper()
	var last string
	waitFor(i.t, "readiness with "+strconv.Quote(words), func() bool {
		a := i.request(http.MethodGet, "/readyz")
		last = string(a.body)
		if words == "" {
			return a.StatusCode == http.StatusOK
		}
		return a.StatusCode == http.StatusServiceUnavailable && strings.Contains(last, words)
	}, func() string { return last })
}

// waiting is a device that says something at QoS 1 and waits for its acknowledgement.
func (g *gateway) waiting(payload string) <-chan error {
	g.t.Helper()
	cmd := g.mosquitto(g.t.Context(), g.Addrs().MQTT.String(), "-q", "1", "-t", "fleets/north/devices/truck-17/telemetry", "-m", payload)
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return done
}

// startKeepingRedis starts one that has its data again when it comes back.
func startKeepingRedis(t *testing.T, args ...string) *server {
	t.Helper()
	addr := freeAddr(t).String()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, addr, program(t, "redis-server"), append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning",
	}, args...)...)
}

func TestRedisGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	redis := startKeepingRedis(t)
	i := newIncident(t, "FleetcastNotAcknowledging", redis.role(RoleBroker, RoleBridge, RoleEdge))
	i.ready("")
	i.telemetry("north", "truck-17", `{"lat":48,"lon":2,"n":1}`)
	i.waitAsset("truck-17", any1)
	s := i.open("/stream/assets", "")
	s.snapshot()

	redis.kill()
	failed := i.metric(`fleetcast_mqtt_events_total{reason="append_failed"}`)
	acked := i.waiting(`{"lat":48,"lon":2,"n":2}`)
	i.counts(`fleetcast_mqtt_events_total{reason="append_failed"}`, failed)
	i.ready(`"role":"broker"`)
	i.isNamed("/readyz?role=broker")
	if a := i.request(http.MethodGet, "/api/assets/truck-17"); a.StatusCode != http.StatusOK { // what is known is shown
		t.Errorf("%s %s", a.Status, a.body)
	}
	select {
	case err := <-acked:
		t.Fatalf("it is acknowledged while nothing can be kept: %v", err)
	default:
	}

	redis.again(t)
	if err := <-acked; err != nil {
		t.Errorf("the device was not acknowledged: %v", err)
	}
	n := func(want float64) func(asset) bool {
		return func(a asset) bool { m, _ := a["metrics"].(map[string]any); return m["n"] == want }
	}
	s.asset("truck-17", n(2)) // on the stream that was open all the time
	i.ready("")
	i.telemetry("north", "truck-17", `{"lat":48,"lon":2,"n":3}`)
	s.asset("truck-17", n(3))
}

func TestADiskIsFullAndHasRoomAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := mountSmall(dir); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err) // only root may
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Error(err)
		}
	})
	i := newIncident(t, "FleetcastDiskFails", func(o *Options) { o.Store.DataDir = dir })
	t.Cleanup(i.stop) // before the directory goes
	i.telemetry("north", "truck-17", `{"lat":48,"lon":2,"n":1}`)
	i.waitAsset("truck-17", any1)
	ballast := filepath.Join(dir, "somebody-else.bin")
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", "cat /dev/zero > "+ballast).CombinedOutput(); err == nil {
		t.Fatalf("the disk is not full: %s", out)
	}
	var acked <-chan error
	full := func() bool { // a segment has room of its own for a while
		acked = i.waiting(`{"lat":48,"lon":2,"pad":"` + strings.Repeat("x", 900) + `"}`)
		timer := time.NewTimer(2 * time.Second)
		defer timer.Stop()
		select {
		case err := <-acked:
			if err != nil {
				t.Error(err)
			}
			return false
		case <-timer.C:
			return true
		}
	}
	for !full() && !t.Failed() {
	}
	i.logs("the log cannot be written: nothing is taken")
	i.counts("fleetcast_disk_write_failures_total", 0)
	i.ready("the log cannot be written")
	if a := i.request(http.MethodGet, "/healthz"); a.StatusCode != http.StatusOK {
		t.Errorf("it does not say that it lives: %s", a.Status)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	i.logs("the log can be written again")
	if err := <-acked; err != nil {
		t.Errorf("the device was not acknowledged: %v", err)
	}
	i.ready("")
	i.telemetry("north", "truck-17", `{"lat":48,"lon":2,"n":7}`)
	i.waitAsset("truck-17", func(a asset) bool { m, _ := a["metrics"].(map[string]any); return m["n"] == 7.0 })
}

func TestRedisRefusesThePassword(t *testing.T) {
	t.Parallel()
	redis := startKeepingRedis(t, "--requirepass", "right")
	i := newIncident(t, "Redis refuses the password", func(o *Options) { o.Store.Redis = "redis://:wrong@" + redis.addr })
	i.logs("the store does not answer; starting without it")
	i.ready("the store cannot be written")
	i.counts(`fleetcast_redis_events_total{reason="retries"}`, 0)
	if !strings.Contains(i.log.String(), "WRONGPASS") {
		t.Errorf("the cause is not logged: %s", i.log.String())
	}
	if strings.Contains(i.log.String(), "wrong@") {
		t.Error("the password is logged")
	}
}

func TestAnExternalBrokerRefusesThePassword(t *testing.T) {
	t.Parallel()
	outer := startMosquittoWith(t, "allow_anonymous false\n")
	i := newIncident(t, "The external broker is away, or refuses", func(o *Options) {
		o.MQTT.Upstream, o.MQTT.ClientID = []string{"mqtt://door:wrong@" + outer.addr}, "door"
	})
	i.logs("mqtt upstream has a problem")
	i.counts(`fleetcast_mqtt_events_total{reason="upstream_refused"}`, 0)
	i.ready("not authorized")
	if strings.Contains(i.log.String(), "wrong@") {
		t.Error("the password is logged")
	}
}

func TestAnExternalBrokerGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	outer := startMosquitto(t)
	i := newIncident(t, "The external broker is away, or refuses", func(o *Options) {
		o.MQTT.Upstream, o.MQTT.ClientID = []string{"mqtt://" + outer.addr}, "door"
	})
	i.ready("")
	outer.kill()
	i.counts(`fleetcast_mqtt_events_total{reason="upstream_lost"}`, 0)
	i.counts(`fleetcast_mqtt_events_total{reason="upstream_unreachable"}`, 0)
	i.ready(`"role":"broker"`)
	outer.again(t)
	i.ready("")
	i.publishTo(outer.addr, "-q", "1", "-t", "fleets/north/devices/truck-17/telemetry", "-m", fromTheReadme)
	i.waitAsset("truck-17", any1)
}

func TestACertificateHasEnded(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "ca")
	ended := serverCertificate()
	ended.NotBefore, ended.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
	ca.sign("server", ended)
	i := newIncident(t, "FleetcastCertificateEnds", func(o *Options) {
		o.HTTP.Cert, o.HTTP.Key = ca.file("server.crt"), ca.file("server.key")
	})
	s := &secured{gateway: i.gateway, ca: ca}
	works := func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.url("/healthz"), http.NoBody)
		if err != nil {
			return err
		}
		res, err := s.newClient(t, nil).Do(req)
		if err == nil {
			res.Body.Close()
		}
		return err
	}
	if err := works(); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("a client says %v", err)
	}
	const expiry = "fleetcast_http_certificate_expiry_timestamp_seconds"
	i.isNamed(expiry)
	if at := i.metric(expiry); at != float64(ended.NotAfter.Unix()) {
		t.Errorf("it ends at %v", at)
	}
	i.counts(expiry, 0)
	ca.sign("server", serverCertificate()) // renewed
	waitFor(t, "the new one", func() bool { return works() == nil }, i.log.String)
	i.counts(expiry, float64(time.Now().Unix()))
	if err := os.WriteFile(ca.file("server.crt"), []byte("half of a renewal"), 0o600); err != nil {
		t.Fatal(err)
	}
	i.parts.certs.Recheck()
	_ = works() // it is looked at with a handshake
	i.logs("the changed certificate of http-cert cannot be used; the one before stays in use")
	if err := works(); err != nil {
		t.Error(err)
	}
}

func TestADevicesClockIsADayOff(t *testing.T) {
	t.Parallel()
	i := newIncident(t, "A device's time is wrong")
	for shift, reason := range map[time.Duration]string{23 * time.Hour: "clock_ahead", -20 * 365 * 24 * time.Hour: "clock"} {
		i.telemetry("north", "truck-17", fmt.Sprintf(`{"lat":48,"lon":2,"at":%d}`, time.Now().Add(shift).UnixMilli()))
		i.counts(`fleetcast_bridge_events_total{reason="`+reason+`"}`, 0)
	}
}
