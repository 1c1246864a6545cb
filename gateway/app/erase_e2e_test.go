package app

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// cargo is what nobody may find once its device was erased: in a frame, a trail, an alert, a command, an answer, a dead letter
// and a name.
const cargo = "secret-cargo-77"

// leaveCargo has truck-17 leave its words wherever a device can, the last of them taken in by the door of devices.
func (g *gateway) leaveCargo(doors *gateway) {
	g.t.Helper()
	if a := g.post("/api/devices", `{"id":"truck-17","fleet":"north","name":"`+cargo+`"}`); a.StatusCode != http.StatusCreated {
		g.t.Fatalf("register: %s %s", a.Status, a.body)
	}
	g.rule(g.t, `{"id":"fast","when":{"type":"threshold","field":"speed","above":20}}`)
	s := g.open("/stream/assets", "")
	s.snapshot()
	doors.telemetry("north", "truck-17", `{"lat":48,"lon":2,"speed":30,"cargo":"`+cargo+`"}`)
	if raised := s.waitAlert(); raised.Device.String() != "truck-17" {
		g.t.Fatalf("%+v", raised)
	}
	doors.publish("-i", "truck-17", "-t", "fleets/north/devices/truck-17/telemetry", "-m", `{"cargo":"`+cargo)
	g.deadLetter("truncated")
	open := g.command("truck-17", `{"name":"say","params":{"what":"`+cargo+`"}}`)
	done := g.command("truck-17", `{"name":"say","params":{"what":"`+cargo+`"}}`)
	doors.publish("-q", "1", "-t", "fleets/north/devices/truck-17/replies/"+done.ID, "-m", `{"status":"done","result":"`+cargo+`"}`)
	g.became(done.ID, "done")
	g.became(open.ID, "accepted")
	s.close()
}

// erase erases truck-17, and looks that nothing that people can ask for tells of it.
func (g *gateway) erase(position string) (remains string) {
	g.t.Helper()
	a := g.post("/api/devices/truck-17/erase", "")
	var done struct {
		Registered, Live, Compacted bool
		Remains                     []string
	}
	if err := json.Unmarshal(a.body, &done); err != nil || a.StatusCode != http.StatusOK || !done.Registered || !done.Live {
		g.t.Fatalf("%s %s", a.Status, a.body)
	}
	for _, path := range []string{"/api/assets/truck-17", "/api/devices/truck-17"} {
		if a := g.request("GET", path); a.StatusCode != http.StatusNotFound {
			g.t.Errorf("%s: %s %s", path, a.Status, a.body)
		}
	}
	for _, path := range []string{"/api/commands", "/api/alerts", "/api/dead-letters", "/api/devices", "/api/assets"} {
		if a := g.request("GET", path); a.StatusCode != http.StatusOK || bytes.Contains(a.body, []byte(cargo)) {
			g.t.Errorf("%s: %s %s", path, a.Status, a.body)
		}
	}
	s := g.open("/stream/assets", position)
	told := 0
	s.until(func(e event) bool {
		if strings.Contains(e.Data, cargo) {
			g.t.Errorf("who comes back is told %s %s", e.Type, e.Data)
		}
		told++
		return e.Type == "ready"
	})
	s.close()
	return strings.Join(done.Remains, "; ")
}

func filesWith(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			files = append(files, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAnErasedDeviceIsInNoFileOfADirectory(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	_, position := g.open("/stream/assets", "").snapshot()
	g.leaveCargo(g)
	dir := g.opts.Store.DataDir
	if files := filesWith(t, dir, cargo); len(files) < 2 {
		t.Fatalf("it is in %v: the test looks in vain", files)
	}
	g.erase(position)
	if files := filesWith(t, dir, cargo); len(files) > 0 {
		t.Errorf("it is still in %v", files)
	}
	g.stop()
	if files := filesWith(t, dir, cargo); len(files) > 0 {
		t.Errorf("after the stop it is in %v", files)
	}
	g = startGateway(t, g.sameData) // what is read again is whole
	g.telemetry("north", "truck-17", fromTheReadme)
	g.waitAsset("truck-17", any1)
	if a := g.request("GET", "/api/commands"); bytes.Contains(a.body, []byte("truck-17")) {
		t.Errorf("%s", a.body)
	}
}

// dump has a Redis write what it has, uncompressed, and returns it.
func (s *server) dump(t *testing.T) []byte {
	t.Helper()
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	say := func(args ...string) string {
		out, err := exec.Command(program(t, "redis-cli"), append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("redis-cli %v: %v %s", args, err, out)
		}
		return string(out)
	}
	say("CONFIG", "SET", "rdbcompression", "no")
	say("SAVE")
	dir := strings.Split(strings.TrimSpace(say("CONFIG", "GET", "dir")), "\n")
	data, err := os.ReadFile(filepath.Join(dir[len(dir)-1], "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAnErasedDeviceIsNotInRedis(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	bridge := startGateway(t, redis.role(RoleBridge))
	broker := startGateway(t, redis.role(RoleBroker))
	edge, other := startGateway(t, redis.role(RoleEdge)), startGateway(t, redis.role(RoleEdge))
	bridge.waitReady(RoleBridge)
	broker.waitReady(RoleBroker)
	edge.waitReady(RoleEdge)
	other.waitReady(RoleEdge)
	_, position := edge.open("/stream/assets", "").snapshot()
	edge.leaveCargo(broker)
	if n := bytes.Count(redis.dump(t), []byte(cargo)); n < 5 {
		t.Fatalf("it is there %d times: the test looks in vain", n)
	}
	if remains := edge.erase(position); !strings.Contains(remains, "BGSAVE") {
		t.Errorf("what remains is %s", remains)
	}
	if data := redis.dump(t); bytes.Contains(data, []byte(cargo)) {
		at := bytes.Index(data, []byte(cargo))
		t.Errorf("Redis has it %d times still: %q", bytes.Count(data, []byte(cargo)), data[max(0, at-300):at+20])
	}
	if a := other.request("GET", "/api/commands"); bytes.Contains(a.body, []byte(cargo)) {
		t.Errorf("another edge has %s", a.body)
	}
	broker.telemetry("north", "truck-17", fromTheReadme) // all goes on
	edge.waitAsset("truck-17", any1)
	other.waitAsset("truck-17", any1)
}
