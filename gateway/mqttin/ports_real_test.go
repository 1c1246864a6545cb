package mqttin

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// run runs a real program to its end.
func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program(t, name), args...).CombinedOutput()
	return string(out), err
}

func TestMosquittoPubOverTLSShowsATokenOrACertificate(t *testing.T) {
	cert, key, _ := certificate(t)
	h := guarded(t, Options{Ports: Ports{TLS: "127.0.0.1:0", Certificate: cert, Key: key, ClientCA: cert}}, newFakeAuth(aDevice("truck-1", "north")))
	_, port, err := net.SplitHostPort(tlsPort(h))
	if err != nil {
		t.Fatal(err)
	}
	const topic = "fleets/north/devices/truck-1/telemetry"
	for i, more := range [][]string{nil, {"--cert", cert, "--key", key}} {
		args := append([]string{"-h", "127.0.0.1", "-p", port, "--cafile", cert, "-u", "truck-1", "-P", "right", "-q", "1", "-t", topic, "-m", `{"n":1}`}, more...)
		if out, err := run(t, "mosquitto_pub", args...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if n := len(h.inlet.metric("n")); n != i+1 {
			t.Errorf("%d readings", n)
		}
	}
	if _, err := run(t, "mosquitto_pub", "-h", "127.0.0.1", "-p", port, "--cafile", cert, "-u", "truck-1", "-P", "wrong", "-q", "1", "-t", topic, "-m", `{}`); err == nil {
		t.Error("a wrong token is let in")
	}
}

func TestBehindHAProxyEachDeviceHasItsOwnAddress(t *testing.T) {
	auth := newFakeAuth(aDevice("truck-1", "north"))
	h := guarded(t, Options{Ports: Ports{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}, auth)
	for _, send := range []string{"send-proxy", "send-proxy-v2"} {
		front := freePort(t)
		config := filepath.Join(t.TempDir(), "haproxy.cfg")
		text := fmt.Sprintf("defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\nlisten mqtt\n bind 127.0.0.1:%s\n server door %s %s\n",
			front, h.Addr(), send)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		proxy := exec.CommandContext(ctx, program(t, "haproxy"), "-db", "-q", "-f", config)
		if err := proxy.Start(); err != nil {
			t.Fatal(err)
		}
		before := len(h.inlet.of(bus.KindReading, "truck-1"))
		eventually(t, "a message through the proxy", func() bool {
			_, err := run(t, "mosquitto_pub", "-A", "127.0.0.2", "-h", "127.0.0.1", "-p", front, "-u", "truck-1", "-P", "right", "-q", "1", "-t", "fleets/north/devices/truck-1/telemetry", "-m", `{}`)
			return err == nil
		})
		if n := len(h.inlet.of(bus.KindReading, "truck-1")); n <= before {
			t.Errorf("%s: nothing reached the inlet", send)
		}
		cancel()
		_ = proxy.Wait() // it was killed
	}
	auth.mu.Lock()
	defer auth.mu.Unlock()
	if got := auth.last.RemoteAddr.String(); got != "127.0.0.2" { // the proxy itself comes from 127.0.0.1
		t.Errorf("the address is %s", got)
	}
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
