package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/diskbus"
	"github.com/fleetcast/fleetcast/devices/redisconn/redistest"
)

// one is the only finding; it has a status, and where it is not ok something to do.
func one(t *testing.T, found []Finding, want Status, says string) {
	t.Helper()
	if len(found) != 1 || found[0].Status != want || !strings.Contains(found[0].Detail, says) {
		t.Fatalf("found %+v; want one that is %q and says %q", found, want, says)
	}
	if (found[0].Remedy == "") != (want == OK) {
		t.Errorf("%+v: what is to be done belongs to what is not ok", found[0])
	}
}

func TestAPortIsFreeOrInUseOrNobodysHere(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := Port{"mqtt-listen", l.Addr().String()}
	one(t, port(t.Context(), taken, false), Fail, "in use by another process")
	one(t, port(t.Context(), taken, true), OK, "a gateway answers")
	_ = l.Close()
	one(t, port(t.Context(), taken, false), OK, "can be bound")
	one(t, port(t.Context(), taken, false), OK, "can be bound") // it was given back
	one(t, port(t.Context(), Port{"http-listen", "192.0.2.1:8080"}, false), Fail, "no address of this machine")
	one(t, port(t.Context(), Port{"http-listen", "127.0.0.1:99999"}, false), Fail, "cannot be bound")
}

func TestAGatewayThatRunsHereIsKnown(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	address := s.Listener.Addr().String()
	if !runs(t.Context(), address) {
		t.Error("it answers")
	}
	s.Close()
	if runs(t.Context(), address) || runs(t.Context(), "") {
		t.Error("nobody answers")
	}
}

func TestOpenFilesAreComparedWithTheConnections(t *testing.T) {
	t.Parallel()
	found := files(1 << 40)
	one(t, found, Fail, "fewer than --mqtt-max-connections")
	if found := files(1); found[0].Status == Fail {
		t.Errorf("%+v", found)
	}
}

func TestADataDirectoryCanBeWrittenAndIsNobodyElses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "yet")
	if found := directory(dir, false); found[0].Status == Fail {
		t.Errorf("one that would be made: %+v", found)
	}
	if _, err := os.Stat(filepath.Dir(dir)); err == nil {
		t.Error("it was made")
	}
	b, err := diskbus.Open(diskbus.Options{Dir: dir, Memory: bus.MemoryOptions{}})
	if err != nil {
		t.Fatal(err)
	}
	one(t, directory(dir, false), Fail, "in use by another process")
	one(t, directory(dir, true), OK, "a gateway answers")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if found := directory(dir, false); found[0].Status == Fail {
		t.Errorf("%+v", found)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".doctor-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	again, err := diskbus.Open(diskbus.Options{Dir: dir, Memory: bus.MemoryOptions{}})
	if err != nil {
		t.Fatalf("after the look: %v", err)
	}
	_ = again.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	one(t, directory(file, false), Fail, "not a directory")
	one(t, directory(filepath.Join(file, "below"), false), Fail, "")
	if _, err := os.Stat("/proc/self"); err == nil {
		one(t, directory("/proc/fleetcast", false), Fail, "nothing can be written")
	}
}

func TestABrokerIsReachedOrNot(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	one(t, broker(t.Context(), Broker{Address: l.Addr().String()}), OK, "takes connections")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	one(t, broker(ctx, Broker{Address: l.Addr().String(), TLS: true}), Fail, "cannot be reached") // it does not speak TLS
	_ = l.Close()
	one(t, broker(t.Context(), Broker{Address: "127.0.0.1:1"}), Fail, "cannot be reached") // one that was ours may be another's by now
}

func TestRedisIsReadForWhatLosesData(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Do(t, "CONFIG", "SET", "maxmemory", "100mb")
	s.Do(t, "CONFIG", "SET", "appendonly", "yes")
	if found := redisServers(t.Context(), s.URL()); Worst(found) != OK || len(found) != 1 || !strings.Contains(found[0].Detail, "version") {
		t.Errorf("%+v", found)
	}
	for _, c := range []struct{ setting, value, good, says string }{
		{"maxmemory-policy", "allkeys-lru", "noeviction", "evicts keys"},
		{"appendonly", "no", "yes", "keeps no log"},
		{"maxmemory", "0", "100mb", "has no limit"},
		{"maxmemory", "1", "100mb", "has used"},
	} {
		s.Do(t, "CONFIG", "SET", c.setting, c.value)
		found := redisServers(t.Context(), s.URL())
		one(t, found, found[0].Status, c.says)
		if found[0].Status == OK {
			t.Errorf("%s %s is ok", c.setting, c.value)
		}
		s.Do(t, "CONFIG", "SET", c.setting, c.good)
	}
	s.Do(t, "REPLICAOF", "127.0.0.1", "1")
	if found := redisServers(t.Context(), s.URL()); Worst(found) != Fail || !strings.Contains(found[0].Detail, "replica") {
		t.Errorf("%+v", found)
	}
	s.Kill()
	one(t, redisServers(t.Context(), s.URL()), Fail, "does not answer")
	one(t, redisServers(t.Context(), "http://"), Fail, "redis url")
}

func TestEachServerOfAClusterIsAsked(t *testing.T) {
	t.Parallel()
	servers, url := redistest.StartCluster(t, 3, false)
	servers[1].Do(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	found := redisServers(t.Context(), url)
	if Worst(found) != Fail {
		t.Errorf("%+v", found)
	}
	seen := map[string]bool{}
	for _, f := range found {
		seen[f.Check] = true
		if f.Status == Fail && f.Check != "redis "+servers[1].Addr() {
			t.Errorf("%+v", f)
		}
	}
	if len(seen) != len(servers) {
		t.Errorf("asked %v", seen)
	}
}

func TestOldRedisIsToldByItsVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{"5.0.7": true, "6.0.16": true, "6.2.0": false, "7.0.15": false, "8.2": false, "": true} {
		if got := tooOld(version); got != want {
			t.Errorf("%q: %t", version, got)
		}
	}
}

func TestFindingsAreInOrderAndInJSON(t *testing.T) {
	t.Parallel()
	o := Options{
		Ports: []Port{{"a", "127.0.0.1:0"}, {"b", "192.0.2.1:1"}}, Dir: t.TempDir(),
		Certificates: []Certificate{{"c", "missing", "missing"}}, Redis: "redis://127.0.0.1:1", Brokers: []Broker{{Address: "127.0.0.1:1"}},
	}
	found := Examine(t.Context(), o)
	var checks []string
	for _, f := range found {
		checks = append(checks, f.Check)
	}
	if got := strings.Join(checks, ", "); !strings.HasSuffix(got, "port a, port b, data directory, certificate c, redis, broker 127.0.0.1:1") {
		t.Errorf("looked at %s", got)
	}
	if Worst(found) != Fail || Worst(nil) != OK {
		t.Error("the worst is not told")
	}
	var text bytes.Buffer
	if err := Write(&text, found); err != nil || strings.Count(text.String(), "to do: ") < 4 {
		t.Errorf("%v, %s", err, text.String())
	}
	data, err := json.Marshal(found[0])
	if err != nil || !strings.HasPrefix(string(data), `{"check":"open files","status":`) {
		t.Errorf("%v, %s", err, data)
	}
}
