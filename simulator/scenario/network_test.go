package scenario

import (
	"bytes"
	"context"
	"encoding/json"
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

	"github.com/fleetcast/fleetcast/simulator/prove"
	badnet "github.com/fleetcast/fleetcast/simulator/proxy"
	"github.com/fleetcast/fleetcast/simulator/units"
)

// badNetwork runs a proxy until the test ends. What packets that are lost mean to a program is time, since TCP sends them
// again: each piece of bytes is held for a random time, with those behind it, and now and then a connection ends. Packets
// themselves are not dropped, as that needs a kernel with netem and the right to use it, which not every machine has.
func badNetwork(t *testing.T, to string) *badnet.Proxy {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p, err := badnet.New(ctx, "127.0.0.1:0", strings.TrimPrefix(to, "http://"))
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
	return p
}

// threads is the number of threads of the gateway that works in a directory.
func threads(t *testing.T, program string) int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || !bytes.Contains(args, []byte(program)) {
			continue
		}
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil {
			continue // it has just ended
		}
		_, rest, _ := strings.Cut(string(status), "Threads:")
		line, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	t.Fatal("the gateway is not found")
	return 0
}

// mostThreads is far above what a gateway needs at 20 devices, and far below one for each connection that broke.
const mostThreads = 60

func TestABadNetworkMakesEverythingLateAndLosesNothing(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("threads are counted in /proc")
	}
	t.Parallel()
	g := startGateway(t)
	door, edge := badNetwork(t, g.MQTT()), badNetwork(t, g.URL())
	late := 200 * time.Millisecond
	if isSoak() {
		late = time.Second
	}
	bad := badnet.Conditions{Latency: late, Jitter: late} // two to four times that there and back
	fault := prove.Fault{
		Name: "connections that end on a bad network",
		Break: func(context.Context) error {
			door.Cut(units.Share(0.3))
			edge.Cut(units.Share(0.3))
			return nil
		},
	}
	door.Set(bad)
	edge.Set(bad)
	o := durable([]string{door.Address()}, []string{"http://" + edge.Address()})
	o.OneEdge, o.Settle = true, 2*time.Minute
	o.Devices, o.Rate, o.Viewers = 10, 2, 4
	o.Faults, o.FaultCount, o.FaultEvery = []prove.Fault{fault}, times(1, 10), 2*time.Second
	run(t, o)
	if n := threads(t, g.MQTT()); n > mostThreads {
		t.Errorf("the gateway has %d threads", n)
	}
}

// Connections whose other end is gone without a word: of devices, which the keep-alive finds, and of viewers, which
// writes find. New ones go on meanwhile.
func TestHalfOpenConnectionsAreGivenUp(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	dead := badNetwork(t, g.MQTT())
	program := find(t, "mosquitto_sub")
	for i := range 5 {
		listen(t, program, dead.Address(), fmt.Sprint("half-", i))
	}
	connected := func(want int) func() bool { return func() bool { return connections(t, g.URL()) == want } }
	if err := until(t.Context(), "the devices to connect", connected(5)); err != nil {
		t.Fatal(err)
	}
	dead.Set(badnet.Conditions{BlackHole: true})
	if err := until(t.Context(), "the devices to be given up", connected(0)); err != nil {
		t.Fatal(err)
	}
	dead.Set(badnet.Conditions{})
}

// listen runs a device that only waits for commands, and would be gone for its server after 7.5 s of silence.
func listen(t *testing.T, program, door, device string) {
	t.Helper()
	host, port, err := net.SplitHostPort(door)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "-h", host, "-p", port, "-i", device, "-k", "5", "-q", "1",
		"-t", "fleets/half/devices/"+device+"/commands/+")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// connections is the number of devices that a gateway says are connected, or -1.
func connections(t *testing.T, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/stats", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return -1
	}
	defer response.Body.Close()
	var stats struct {
		MQTT struct {
			Connections int `json:"connections"`
		} `json:"mqtt"`
	}
	if err := json.NewDecoder(response.Body).Decode(&stats); err != nil {
		t.Fatalf("read stats: %v", err)
	}
	return stats.MQTT.Connections
}
