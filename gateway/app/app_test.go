package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAGatewayStopsAsOftenAsItIsTold(t *testing.T) {
	g := startGateway(t)
	addrs := g.Addrs()
	for range 3 {
		if err := g.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !free(t, addrs.MQTT) || !free(t, addrs.HTTP) {
		t.Error("a port is still bound")
	}
	if err := g.Start(t.Context()); err == nil {
		t.Error("it starts again: its parts run once")
	}
}

func TestAGatewayThatNeverStartedStops(t *testing.T) {
	a, err := New(testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := a.Start(t.Context()); err == nil {
		t.Error("it starts after it was stopped")
	}
}

func TestOneAfterTheOtherOnTheSamePorts(t *testing.T) {
	first := startGateway(t)
	first.stop()
	second := startGateway(t, first.samePorts)
	if second.Addrs().MQTT.String() != first.Addrs().MQTT.String() || second.request("GET", "/healthz").StatusCode != http.StatusOK {
		t.Error("the second is not where the first was")
	}
}

func TestTwoGatewaysInOneProcessKnowNothingOfEachOther(t *testing.T) {
	one, two := startGateway(t), startGateway(t)
	one.telemetry("north", "a", `{"lat":1,"lon":2}`)
	two.telemetry("north", "b", `{"lat":1,"lon":2}`)
	one.waitAsset("a", any1)
	two.waitAsset("b", any1)
	if one.request("GET", "/api/assets/b").StatusCode != http.StatusNotFound || two.request("GET", "/api/assets/a").StatusCode != http.StatusNotFound {
		t.Error("one shows the other's device")
	}
	one.stop()
	two.telemetry("north", "c", `{"lat":1,"lon":2}`)
	two.waitAsset("c", any1)
}

func TestAPortInUseIsAClearErrorAndNothingIsLeftRunning(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, set := range map[string]func(o *Options, taken, other string){
		"mqtt": func(o *Options, taken, other string) { o.MQTT.Listen, o.HTTP.Listen = taken, other },
		"http": func(o *Options, taken, other string) { o.HTTP.Listen, o.MQTT.Listen = taken, other },
	} {
		t.Run(name, func(t *testing.T) {
			o, other := testOptions(t), freeAddr(t)
			set(&o, taken.Addr().String(), other.String())
			a, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			err = a.Start(t.Context())
			for _, part := range []string{taken.Addr().String(), "in use", name + "-listen"} {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("error %v does not say %q", err, part)
				}
			}
			if !free(t, other) {
				t.Error("the other port is still bound")
			}
			if err := a.Stop(t.Context()); err != nil {
				t.Errorf("stop: %v", err)
			}
		}) // and goleak finds whatever runs on
	}
}

func TestOpenStreamsAndConnectedDevicesDoNotHoldAStopUp(t *testing.T) {
	var log syncBuffer
	g := startGateway(t, func(o *Options) { o.Report.Logger, _ = NewLogger(o.Log, &log) })
	var streams []*stream
	for i := range 50 {
		streams = append(streams, g.open(fmt.Sprintf("/stream/assets?fleet=f-%d&fleet=north", i%3), ""))
	}
	for i := range 5 {
		id := fmt.Sprintf("truck-%d", i)
		d := g.hold("-i", id, "-q", "1", "-t", "fleets/north/devices/"+id+"/telemetry")
		d.say(t, `{"lat":1,"lon":2}`)
		streams[0].asset(id, any1)
	}
	idle, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.Addrs().HTTP.String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	g.stop()
	for _, s := range streams {
		<-s.done
	}
	if ended := g.parts.stream.Stats().Ended; ended["drained"] != uint64(len(streams)) {
		t.Errorf("the streams ended by %v", ended) // they must hear when to come back
	}
	if strings.Contains(log.String(), "level=WARN") || strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("it said:\n%s", log.String())
	}
	if !free(t, g.Addrs().MQTT) || !free(t, g.Addrs().HTTP) {
		t.Error("a port is still bound")
	}
}

func TestAPartThatFailsEndsTheGatewayWithItsError(t *testing.T) {
	a, err := New(testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(t.Context()) }()
	<-a.started
	if err := a.parts.store.Close(); err != nil { // pulls the floor from under the bridge
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "run ") {
		t.Errorf("Run returned %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	a, err := New(testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	<-a.started
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func TestStopGivesUpWaitingWithItsContext(t *testing.T) {
	g := startGateway(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.stopping.Store(true) // as if another call were at work and hung
	if err := g.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop returned %v", err)
	}
	g.stopping.Store(false)
}

func TestSettingsThatCannotStandAreRefusedBeforeAnythingIsWired(t *testing.T) {
	o := testOptions(t)
	o.MQTT.Listen = "0.0.0.0:1883"
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "mqtt-listen") {
		t.Errorf("error is %v", err)
	}
}

func TestTheBannerSaysWhereToLook(t *testing.T) {
	var out bytes.Buffer
	g := startGateway(t, func(o *Options) { o.Report.Banner = &out })
	mqtt, ok := g.Addrs().MQTT.(*net.TCPAddr)
	if !ok {
		t.Fatalf("the address is %T", g.Addrs().MQTT)
	}
	for _, part := range []string{g.url("/"), g.url("/stream/assets"), "mqtt://" + mqtt.String(), fmt.Sprintf("mosquitto_pub -h 127.0.0.1 -p %d ", mqtt.Port)} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the banner does not say %s:\n%s", part, out.String())
		}
	}
}

func TestTheBannerSaysHowADeviceShowsWhoItIs(t *testing.T) {
	var out bytes.Buffer
	g := startGateway(t, required, func(o *Options) { o.Report.Banner = &out })
	for _, part := range []string{"devices create truck-17 --fleet north --server " + strings.TrimSuffix(g.url("/"), "/"), `-u truck-17 -P "$TOKEN" -t fleets`} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the banner does not say %s:\n%s", part, out.String())
		}
	}
}

func TestTheBannerNamesTheDirectoryWhereACommandHasToShowWhoItIs(t *testing.T) {
	var out bytes.Buffer
	g := startGateway(t, required, func(o *Options) { o.People.Viewer, o.Report.Banner = AuthRequired, &out })
	if want := " --data-dir '" + g.opts.Store.DataDir + "'\n"; !strings.Contains(out.String(), want) {
		t.Errorf("the banner does not say %s:\n%s", want, out.String())
	}
}

// The bounds are the last guard: nobody may lose one by a refactoring.
func TestTheServerHasItsBounds(t *testing.T) {
	l, err := listen(t.Context(), &Options{HTTP: HTTPOptions{Listen: "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newHTTPDoor(t.Context(), l, http.NotFoundHandler(), nil, quiet()).server
	if s.ReadHeaderTimeout == 0 || s.IdleTimeout == 0 || s.MaxHeaderBytes == 0 {
		t.Errorf("a bound is missing: %+v", s)
	}
	if s.WriteTimeout != 0 || s.ReadTimeout != 0 {
		t.Error("a timeout of the server would cut every stream")
	}
}

func TestOnlyLoopbackIsServedWhateverANameStandsFor(t *testing.T) {
	for address, served := range map[string]bool{"127.0.0.1": true, "::1": true, "127.3.2.1": true, "0.0.0.0": false, "::": false, "192.0.2.1": false} {
		if err := requireLoopback(&net.TCPAddr{IP: net.ParseIP(address)}); (err == nil) != served {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestADirectoryThatCannotBeUsedIsRefusedInOneLine(t *testing.T) {
	inUse, damaged, noDirectory := startGateway(t).opts.Store.DataDir, t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(filepath.Join(damaged, "log-0000000000000001"), []byte(strings.Repeat("not a log ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(noDirectory, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ dir, want string }{
		"in use":       {inUse, "another process has the data directory open"},
		"damaged":      {damaged, "damaged"},
		"no directory": {noDirectory, "data directory"},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			o.Store.DataDir = c.dir
			a, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			err = a.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.dir) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %v", err)
			}
		})
	}
}
