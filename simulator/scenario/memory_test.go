package scenario

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

// confined is a program that runs the gateway after the lines of shell that it is given: limits and variables. The second
// call of lines replaces them for the next start.
func confined(t *testing.T, lines string) (program string, next func(lines string)) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "gateway.sh")
	next = func(lines string) {
		text := fmt.Sprintf("#!/bin/sh\n%s\nexec %q \"$@\"\n", lines, gatewayProgram(t))
		if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	next(lines)
	return program, next
}

// hold opens connections that each have the gateway keep all of a large packet but its last byte, until it is gone.
func hold(t *testing.T, door string) (held int) {
	t.Helper()
	const packet = 250 << 10 // what the door takes is 256 KiB
	connect := []byte{0x10, 16, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 4, 'h', 'o', 'g', '0'}
	begun := make([]byte, packet)
	copy(begun, []byte{0x30, 0xff, 0xff, 0x0f, 0, 9, 'a', '/', 'b', '/', 'c', '/', 'd', '/', 'e'}) // 262,143 bytes are to come
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", door)
		if err != nil {
			return held
		}
		t.Cleanup(func() { conn.Close() })
		held++
		copy(connect[14:], fmt.Sprintf("%04d", held)) // the client id
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		for _, part := range [][]byte{connect, begun} {
			if _, err := conn.Write(part); err != nil {
				break // the gateway is gone, or busy with going: the next dial tells
			}
		}
	}
	t.Fatalf("%d connections of %d bytes did not use the memory up", held, packet)
	return held
}

// A process that the want of memory ends has no moment of its own choosing, as one that is killed. Here the kernel refuses
// it memory beyond a limit; where a container's limit is met, the kernel kills it.
func TestAProcessThatRunsOutOfMemoryKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	publisher := find(t, "mosquitto_pub")
	program, next := confined(t, "ulimit -s 512\nulimit -d 163840") // KiB, of a thread and of all: Go takes its heap in pieces of 64 MiB
	dir := t.TempDir()
	g, err := prove.StartGateway(t.Context(), prove.GatewayOptions{Program: program, Args: []string{"--window=20ms"}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
	const devices = 5
	for i := range devices {
		publish(t, publisher, g.MQTT(), fmt.Sprintf("kept-%d", i), fmt.Sprintf(`{"n":%d}`, i))
	}
	held := hold(t, g.MQTT())
	path := filepath.Join(dir, "gateway.log")
	var log []byte
	if err := until(t.Context(), "the program's last words", func() bool {
		log, err = os.ReadFile(path)
		return err != nil || bytes.Contains(log, []byte("out of memory"))
	}); err != nil {
		t.Fatalf("after %d connections: %v", held, err)
	}
	_ = g.Kill(t.Context()) // it tells where everybody stood, for a while; or has ended

	next("")
	if err := g.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range devices {
		id := fmt.Sprintf("kept-%d", i)
		if err := until(t.Context(), id, func() bool { return metrics(t, g.URL(), id)["n"] == float64(i) }); err != nil {
			t.Error(err)
		}
	}
}

// GOMEMLIMIT below what the process holds makes the collector run all the time. It must not make it lose anything, nor
// stop it.
func TestAMemoryLimitThatIsTooLowLosesNothing(t *testing.T) {
	t.Parallel()
	program, _ := confined(t, "export GOMEMLIMIT=8MiB")
	g, err := prove.StartGateway(t.Context(), prove.GatewayOptions{Program: program, Args: []string{"--window=20ms"}, Dir: t.TempDir(), Down: away})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
	o := durable([]string{g.MQTT()}, []string{g.URL()})
	o.Faults, o.FaultCount, o.ResumeEvery = []prove.Fault{g.KillFault()}, times(1, 20), 2*time.Second
	run(t, o)
}
