package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/prove"
	"github.com/fleetcast/fleetcast/simulator/proxy"
	"github.com/fleetcast/fleetcast/simulator/report"
)

const twoMachines = `
name: machines
about: a test's
for: 20s
seed: 7
start: [{ name: gateway, gateway: [] }]
devices: [{ name: cars, count: 400, rate: 1/s, qos: 1, ramp: 4s, sources: %s }]
viewers: [{ name: desk, count: 20, websocket_share: 50%% }]
ledger: { devices: 10, viewers: 10, rate: 2/s }
thresholds: [violations==0]
`

// machine is another host, as far as the network goes: a namespace of its own, which reaches this one by a cable.
type machine struct{ name, here, there string }

func newMachine(t *testing.T, n int) *machine {
	t.Helper()
	m := &machine{fmt.Sprintf("fleetcast-%d-%d", os.Getpid(), n), fmt.Sprintf("10.213.%d.1", n), fmt.Sprintf("10.213.%d.2", n)}
	cable := fmt.Sprintf("fc%d-%d", n, os.Getpid()%100_000)
	t.Cleanup(func() { _ = exec.CommandContext(context.Background(), "ip", "netns", "del", m.name).Run() }) // with its cable
	for _, line := range []string{
		"netns add " + m.name,
		"link add " + cable + " type veth peer name eth0 netns " + m.name,
		"address add " + m.here + "/24 dev " + cable,
		"link set " + cable + " up",
		"-n " + m.name + " link set lo up",
		"-n " + m.name + " address add " + m.there + "/24 dev eth0",
		"-n " + m.name + " address add 10.213." + fmt.Sprint(n) + ".3/24 dev eth0",
		"-n " + m.name + " link set eth0 up",
	} {
		if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	return m
}

// bridgeTo passes on what comes to an address of ours.
func bridgeTo(t *testing.T, here, to string) (address string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p, err := proxy.New(ctx, net.JoinHostPort(here, "0"), to)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p.Address()
}

// Two machines run a shard each against a gateway on a third, and their reports make one.
func TestTheShardsOfTwoMachinesMakeOneReport(t *testing.T) {
	switch {
	case os.Getenv("FLEETCAST_SOAK") == "":
		t.Skip("part of make soak")
	case os.Getuid() != 0:
		t.Skip("only root makes network namespaces")
	}
	dir := t.TempDir()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	gateway := filepath.Join(dir, "gateway")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", gateway, "github.com/fleetcast/fleetcast/gateway").CombinedOutput(); err != nil {
		t.Fatalf("build gateway: %v: %s", err, out)
	}
	g, err := prove.StartGateway(t.Context(), prove.GatewayOptions{Program: gateway, Args: []string{"--http-hosts=10.213.1.1,10.213.2.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	}()
	var running sync.WaitGroup
	var reports []report.Source
	for n := 1; n <= 2; n++ {
		m := newMachine(t, n)
		scenario, file := filepath.Join(dir, fmt.Sprint(n, ".yaml")), filepath.Join(dir, fmt.Sprint(n, ".json"))
		if err := os.WriteFile(scenario, fmt.Appendf(nil, twoMachines, "["+m.there+"-10.213."+fmt.Sprint(n)+".3]"), 0o600); err != nil {
			t.Fatal(err)
		}
		door, edge := bridgeTo(t, m.here, g.MQTT()), bridgeTo(t, m.here, strings.TrimPrefix(g.URL(), "http://"))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "ip", "netns", "exec", m.name, own, "run", scenario, "--quiet", "--mqtt", door, "--url", "http://"+edge,
			"--shard", fmt.Sprint(n, "/2"), "--run-id", "two", "--report", file)
		cmd.Env = append(os.Environ(), asSimulator+"=1")
		reports = append(reports, report.Source{File: file})
		running.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("shard %d: %v: %s", n, err, out)
			}
		})
	}
	running.Wait()
	for i := range reports {
		if reports[i].Report, err = report.Read(reports[i].File); err != nil {
			t.Fatal(err)
		}
	}
	r, err := report.Merge(reports, []string{"silent_loss==0", "connected==400", "live_share==1", "missing_shards==0", "connect_failures==0"})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range r.Thresholds {
		if !k.Kept {
			t.Errorf("%+v is not kept", k)
		}
	}
	if d := r.Devices[0].Summary; d.Devices != 400 || d.Whole.Acked < d.Whole.Sent || r.Audit.Kept != 400 || r.Latencies["fresh_websocket"].Count == 0 {
		t.Errorf("%d devices, %d sent, %d acknowledged, audit %+v", d.Devices, d.Whole.Sent, d.Whole.Acked, r.Audit)
	}
}
