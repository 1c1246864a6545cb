package floor

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUpdatesHaveTheSizeThatWasAskedFor(t *testing.T) {
	for _, c := range []struct{ count, size int }{{1, MinSize}, {3, 250}, {100, 300}, {0, 300}} {
		chunk := encode(c.count, c.size).bytes
		if len(chunk) != c.count*c.size {
			t.Errorf("%d updates of %d bytes are %d bytes", c.count, c.size, len(chunk))
		}
		if c.count > 0 && bytes.Count(chunk, []byte("\nid: "))+bytes.Count(chunk[:4], []byte("id: ")) != 1 {
			t.Errorf("%d ids in %s", bytes.Count(chunk, []byte("id: ")), chunk)
		}
	}
}

func TestTheRateIsKeptOverTicks(t *testing.T) {
	f, err := New(Options{Listen: "127.0.0.1:0", Rate: 25, Size: 200, Window: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w, total := f.writers[0], int64(0)
	for range 100 {
		c := w.chunk()
		if int64(len(c.bytes)) != c.updates*200 {
			t.Fatalf("%d updates in %d bytes", c.updates, len(c.bytes))
		}
		total += c.updates
	}
	if total != 250 {
		t.Errorf("%d updates in ten seconds of 25", total)
	}
}

// The viewers of watch are the ones that a benchmark uses on both servers.
func TestViewersReadTheFloor(t *testing.T) {
	f, err := New(Options{Listen: "127.0.0.1:0", Rate: 1000, Size: 250, Window: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	address, err := f.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	serving, stopServing := context.WithCancel(t.Context())
	defer stopServing()
	served := make(chan error, 1)
	go func() { served <- f.Run(serving) }()

	w, err := watch.New(watch.Options{URL: "http://" + address + "/", Viewers: 5, CheckShare: 1})
	if err != nil {
		t.Fatal(err)
	}
	watching, stopWatching := context.WithCancel(t.Context())
	defer stopWatching()
	watched := make(chan error, 1)
	go func() { watched <- w.Run(watching) }()
	testbroker.Eventually(t, "updates arrive", func() bool { return w.Counts().Live == 5 && w.Counts().Updates > 1000 })
	stopWatching()
	if err := <-watched; err != nil {
		t.Errorf("%v: %q", err, w.Report().Examples)
	}
	testbroker.Eventually(t, "viewers that left are dropped", func() bool { return f.viewers.Load() == 0 })
	stopServing()
	if err := <-served; err != nil {
		t.Error(err)
	}
	r, err := f.Report()
	if latency := w.Report().Latency; latency.Count == 0 || latency.P50 < 0 || latency.P50 > 10_000 {
		t.Errorf("%+v from the tick to the viewer", latency)
	}
	if err != nil || r.Updates < 1000 || r.Bytes != r.Updates*250 || r.Dropped != 5 || r.CPUPerMillion <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestTheFloorStopsWithViewers(t *testing.T) {
	f, err := New(Options{Listen: "127.0.0.1:0", Rate: 10, Size: 250, Window: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	address, err := f.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- f.Run(ctx) }()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	testbroker.Eventually(t, "the viewer is there", func() bool { return f.viewers.Load() == 1 })
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	buf := make([]byte, 4096)
	for err == nil {
		_, err = conn.Read(buf)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"small":     {Rate: 1, Size: 10, Window: time.Second},
		"no window": {Rate: 1, Size: 200},
		"no rate":   {Size: 200, Window: time.Second},
		"too much":  {Rate: 1e6, Size: 1000, Window: time.Second},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
