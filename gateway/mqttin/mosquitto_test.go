package mqttin

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// publishWith runs the real mosquitto_pub to its end.
func publishWith(t *testing.T, h *harness, args ...string) {
	t.Helper()
	host, port, err := net.SplitHostPort(h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args = append([]string{"-h", host, "-p", port}, args...)
	if out, err := exec.CommandContext(ctx, program(t, "mosquitto_pub"), args...).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub %q: %v\n%s", args, err, out)
	}
}

// mosquitto_pub does not end before its QoS 1 or 2 message is acknowledged.
func TestMosquittoPubReachesTheInlet(t *testing.T) {
	const native = `{"lat":48.85833,"lon":2.29513,"speed":16.9,"fuel":41.5}`
	const phone = `{"_type":"location","tid":"an","lat":48.85833,"lon":2.29513,"vel":36,"tst":1795353543}`
	for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		for qos := range 3 {
			for _, retain := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s QoS %d retain %v", version, qos, retain), func(t *testing.T) {
					h := start(t, Limits{})
					flags := []string{"-V", version, "-q", fmt.Sprint(qos), "-i", "pub"}
					if retain {
						flags = append(flags, "-r")
					}
					publishWith(t, h, append(flags, "-t", "fleets/north/devices/truck-17/telemetry", "-m", native)...)
					publishWith(t, h, append(flags, "-t", "owntracks/ann/phone", "-m", phone,
						"--will-topic", "owntracks/ann/phone", "--will-payload", `{"_type":"lwt","tst":"1795353543"}`, "--will-retain")...)
					eventually(t, "both readings", func() bool { return len(h.inlet.of(bus.KindReading, "")) == 2 })
					truck, ann := h.inlet.of(bus.KindReading, "truck-17"), h.inlet.of(bus.KindReading, "ann:phone")
					if len(truck) != 1 || truck[0].Fleet.String() != "north" || truck[0].Reading.Speed != 16.9 || len(truck[0].Reading.Metrics) != 1 {
						t.Errorf("truck %+v", truck)
					}
					if len(ann) != 1 || ann[0].Fleet.String() != "owntracks" || ann[0].Reading.Speed != 10 || ann[0].Reading.At != 1795353543000 {
						t.Errorf("phone %+v", ann)
					}
					eventually(t, "the ends", func() bool { return len(h.inlet.of(bus.KindConnection, "")) == 4 })
					if got := h.inlet.of(bus.KindStatus, ""); len(got) != 0 {
						t.Errorf("a will was heard after a clean end: %+v", got)
					}
				})
			}
		}
	}
}

func TestMosquittoPubWithARetainedWillThatDies(t *testing.T) {
	for _, version := range []string{"mqttv311", "mqttv5"} {
		t.Run(version, func(t *testing.T) {
			h := start(t, Limits{})
			host, port, err := net.SplitHostPort(h.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), program(t, "mosquitto_pub"), "-h", host, "-p", port, "-V", version, "-q", "1", "-l", "-r",
				"-t", "fleets/north/devices/truck-17/telemetry", "--will-topic", "fleets/north/devices/truck-17/status",
				"--will-payload", "offline", "--will-retain", "--will-qos", "1")
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Fprintln(stdin, `{"fuel":41.5}`)
			eventually(t, "the reading", func() bool { return len(h.inlet.of(bus.KindReading, "truck-17")) == 1 })
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			eventually(t, "the will and the end", func() bool {
				return len(h.inlet.of(bus.KindStatus, "truck-17")) == 1 && len(h.inlet.of(bus.KindConnection, "truck-17")) == 2
			})
			if e := h.inlet.of(bus.KindStatus, "truck-17")[0]; e.Status != (bus.StatusReport{Status: devices.Offline, Will: true}) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestMosquittoSubMaySubscribeAndHearsNothing(t *testing.T) {
	h := start(t, Limits{})
	host, port, err := net.SplitHostPort(h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program(t, "mosquitto_sub"), "-h", host, "-p", port, "-i", "sub", "-t", "#", "-W", "1", "-v")
	out := make(chan string, 1)
	go func() {
		b, _ := cmd.CombinedOutput() // it ends with an error: nothing came in its time
		out <- string(b)
	}()
	eventually(t, "the subscriber", func() bool { return h.sessionOf("sub") != nil })
	publishWith(t, h, "-q", "1", "-r", "-t", "fleets/north/devices/truck-17/telemetry", "-m", `{"fuel":41.5}`)
	if got := <-out; got != "" && got != "Timed out\n" {
		t.Errorf("the subscriber prints %q", got)
	}
}
