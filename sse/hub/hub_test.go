package hub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func window() { <-time.After(DefaultWindow); synctest.Wait() }

func TestANewViewerGetsTheSnapshotThenReadyThenLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		w.set("north", "a", 0)
		w.set("south", "b", 0)
		w.flush()
		window()
		v := attach(t, h, Query{}, "")
		defer v.Close()
		c := newClient(t, "client", everything)
		c.drain(v)
		if c.ready != 1 || len(c.held) != 2 || c.id == "" {
			t.Fatalf("after the snapshot: ready %d, assets %d, id %q", c.ready, len(c.held), c.id)
		}
		w.set("north", "a", 0)
		w.flush()
		window()
		c.drain(v)
		c.mustShow(w.shows(everything))
		if n := len(c.n); c.ready != 1 || n != 2 {
			t.Errorf("live: ready %d times, %d assets", c.ready, n)
		}
	})
}

func TestViewersOfAViewShareTheBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		one, two := attach(t, h, Query{}, ""), attach(t, h, Query{}, "")
		defer one.Close()
		defer two.Close()
		newClient(t, "one", everything).drain(one)
		newClient(t, "two", everything).drain(two)
		w.set("north", "a", 0)
		w.flush()
		window()
		a, b := one.poll(), two.poll()
		if len(a) == 0 || &a[0] != &b[0] {
			t.Errorf("two viewers of one view got different memory: %q and %q", a, b)
		}
		if h.Stats().Views != 1 {
			t.Errorf("%d views for one filter", h.Stats().Views)
		}
	})
}

func TestResumeBringsWhatChangedAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		for i := range 50 {
			w.set("north", dev(i), 10)
		}
		w.flush()
		window()
		v := attach(t, h, Query{}, "")
		c := newClient(t, "client", everything)
		c.drain(v)
		v.Close()
		w.set("north", dev(3), 10)
		w.remove("north", dev(4))
		w.flush()
		w.set("north", dev(3), 10)
		w.flush()
		window()

		v = attach(t, h, Query{}, c.id)
		defer v.Close()
		piece := string(v.poll())
		if n := strings.Count(piece, "A "); n != 1 || strings.Count(piece, "E removed") != 1 {
			t.Errorf("resume gave %d assets:\n%s", n, piece)
		}
		c.read([]byte(piece))
		c.drain(v)
		c.mustShow(w.shows(everything))
		if c.ready != 2 || len(c.resets) != 0 {
			t.Errorf("ready %d times, resets %v", c.ready, c.resets)
		}
	})
}

func TestIDsThatCannotBeAnsweredAreReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		w.set("north", "a", 0)
		w.set("north", "b", 0)
		w.flush()
		window()
		first := newClient(t, "first", everything)
		v := attach(t, h, Query{}, "")
		first.drain(v)
		v.Close()

		north := attach(t, h, Query{Fleets: []devices.FleetID{fleetID(t, "north")}}, first.id)
		c := newClient(t, "another filter", everything)
		c.drain(north)
		north.Close()
		if fmt.Sprint(c.resets) != `[{"reason":"filter"}]` || c.ready != 1 || len(c.held) != 2 {
			t.Errorf("another filter's id: resets %v, ready %d, assets %d", c.resets, c.ready, len(c.held))
		}

		w.remove("north", "b")
		w.flush()
		w.forget()
		w.set("north", "a", 0)
		w.flush()
		window()
		v = attach(t, h, Query{}, first.id)
		first.drain(v)
		v.Close()
		if fmt.Sprint(first.resets) != `[{"reason":"expired"}]` {
			t.Errorf("below the floor: resets %v", first.resets)
		}
		first.mustShow(w.shows(everything))

		w.restart()
		window()
		v = attach(t, h, Query{}, first.id)
		defer v.Close()
		first.drain(v)
		if fmt.Sprint(first.resets) != `[{"reason":"expired"} {"reason":"epoch"}]` {
			t.Errorf("another epoch: resets %v", first.resets)
		}
		first.mustShow(w.shows(everything))
		if got := h.Stats().Resets; got["filter"] != 1 || got["expired"] != 1 || got["epoch"] != 1 {
			t.Errorf("resets counted as %v", got)
		}
	})
}

func TestGarbageInAnIDMeansSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		w.set("north", "a", 0)
		w.flush()
		window()
		for _, id := range []string{"x", "\x00", strings.Repeat("A", 1<<20), "42", "AQ", "-1"} {
			v := attach(t, h, Query{}, id)
			c := newClient(t, "client", everything)
			c.drain(v)
			v.Close()
			if len(c.resets) != 0 || c.ready != 1 || len(c.held) != 1 {
				t.Errorf("id %.10q: resets %v, ready %d, assets %d", id, c.resets, c.ready, len(c.held))
			}
		}
	})
}

func TestAnEdgeThatLagsWaitsThenResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		ahead, lags := startHub(t, w), startHub(t, w)
		w.set("north", "a", 0)
		w.flush()
		window()
		late := w.partitions[0].feeds[1]
		late.hold = true
		w.set("north", "a", 0)
		w.flush()
		window()
		c := newClient(t, "client", everything)
		v := attach(t, ahead, Query{}, "")
		c.drain(v)
		v.Close()

		v = attach(t, lags, Query{}, c.id)
		if b := v.poll(); b != nil {
			t.Fatalf("an edge that lags answered %q", b)
		}
		late.release()
		window()
		c.drain(v)
		v.Close()
		if len(c.resets) != 0 || c.ready != 2 {
			t.Errorf("after the edge came up: resets %v, ready %d", c.resets, c.ready)
		}
		c.mustShow(w.shows(everything))

		late.hold = true
		w.set("north", "a", 0)
		w.flush()
		window()
		v = attach(t, ahead, Query{}, c.id)
		c.drain(v)
		v.Close()
		v = attach(t, lags, Query{}, c.id)
		defer v.Close()
		b, err := v.Next(t.Context()) // waits in fake time
		if err != nil || !strings.Contains(string(b), `"ahead"`) {
			t.Errorf("after the wait: %q, %v", b, err)
		}
		late.release()
	})
}

func TestAnEpochThatEndsUnderAViewerResetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		h := startHub(t, w)
		for i := range 20 {
			w.set("f"+fmt.Sprint(i%5), dev(i), 0)
		}
		w.flush()
		window()
		v := attach(t, h, Query{}, "")
		defer v.Close()
		c := newClient(t, "client", everything)
		c.drain(v)
		w.restart()
		window()
		c.drain(v)
		if len(c.resets) != 1 || c.ready != 2 {
			t.Errorf("three partitions began anew: %d resets, ready %d times", len(c.resets), c.ready)
		}
		c.mustShow(w.shows(everything))
	})
}

func TestHeartbeatsCarryAnIDOnlyForThoseWhoHaveAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		for i := range 1000 {
			w.set("north", dev(i), 200)
		}
		w.flush()
		window()
		v, slow := attach(t, h, Query{}, ""), attach(t, h, Query{}, "")
		defer v.Close()
		defer slow.Close()
		c := newClient(t, "client", everything)
		c.drain(v)
		slow.poll()
		<-time.After(DefaultHeartbeat)
		synctest.Wait()
		if b := string(v.poll()); !strings.HasPrefix(b, "E heartbeat {\"now\":") || !strings.Contains(b, "\nI ") {
			t.Errorf("an up-to-date viewer got %q", b)
		}
		if b := string(slow.poll()); !strings.HasPrefix(b, "E heartbeat") || strings.Contains(b, "\nI ") {
			t.Errorf("a viewer in a pass got %q", b)
		}
	})
}

func TestASlowViewTicksAtItsOwnPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		w.set("north", "a", 0)
		w.flush()
		window()
		v := attach(t, h, Query{Every: time.Second}, "")
		defer v.Close()
		newClient(t, "client", everything).drain(v)
		pieces := 0
		for range 50 {
			w.set("north", "a", 0)
			w.flush()
			window()
			for v.poll() != nil {
				pieces++
			}
		}
		if pieces < 5 || pieces > 7 {
			t.Errorf("%d pieces in five seconds at one a second", pieces)
		}
	})
}

func TestEventsAreDeliveredOnceAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		for i := range 1000 {
			w.set("north", dev(i), 200)
		}
		w.flush()
		window()
		live, resumed := newClient(t, "live", everything), newClient(t, "resumed", everything)
		v := attach(t, h, Query{}, "")
		defer v.Close()
		live.drain(v)
		r := attach(t, h, Query{}, "")
		resumed.drain(r)
		r.Close()
		var want []string
		for i := range 20 {
			data := fmt.Sprintf(`{"id":"e%d"}`, i)
			for j := range 100 {
				w.set("north", dev((i*100+j)%1000), 200)
			}
			w.flush(bus.Event{Name: "alert", Device: deviceID(t, dev(i)), Fleet: fleetID(t, "north"), Data: []byte(data)})
			want = append(want, "alert "+data)
			window()
			live.drain(v)
		}
		r = attach(t, h, Query{}, resumed.id)
		defer r.Close()
		resumed.drain(r)
		for _, c := range []*client{live, resumed} {
			if fmt.Sprint(c.events) != fmt.Sprint(want) {
				t.Errorf("%s got %v", c.name, c.events)
			}
		}
	})
}

func TestFieldsCutEveryFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		w.set("north", "a", 0)
		w.set("north", "b", 0)
		w.flush()
		window()
		p, err := devices.ParseProjection([]string{"lat"})
		if err != nil {
			t.Fatal(err)
		}
		v := attach(t, h, Query{Fields: p}, "")
		defer v.Close()
		if b := string(v.poll()); strings.Contains(b, "metrics") || strings.Count(b, `"received"`) != 2 {
			t.Errorf("fields=lat gave %s", b)
		}
	})
}

func TestEveryWayOutRemovesTheViewerAndItsView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		h := startHub(t, w)
		queries := []Query{
			{},
			{Fleets: []devices.FleetID{fleetID(t, "north"), fleetID(t, "south")}},
			{Devices: []devices.DeviceID{deviceID(t, "a")}},
			{BBox: bbox(t, "170,0,-170,1")},
			{BBox: bbox(t, "1,0,2,1"), Fleets: []devices.FleetID{fleetID(t, "north"), fleetID(t, "south")}},
			{BBox: bbox(t, "1,0,2,1"), Devices: []devices.DeviceID{deviceID(t, "a")}},
		}
		var viewers []*Viewer
		for _, q := range queries {
			viewers = append(viewers, attach(t, h, q, ""), attach(t, h, q, ""))
		}
		for _, v := range viewers {
			v.Close()
			v.Close()
		}
		if s := h.Stats(); s.Viewers != 0 || s.Views != 0 {
			t.Errorf("%d viewers and %d views are left", s.Viewers, s.Views)
		}
		for _, tb := range h.tables {
			known := len(tb.views) + len(tb.names.views) + len(tb.fleets) + len(tb.boxed) + tb.boxes.size + len(tb.boxes.at) + len(tb.boxes.byFleet) + len(tb.boxes.anyone)
			if known != 0 {
				t.Errorf("partition %d still knows views", tb.partition)
			}
		}
	})
}

// A transport that drains closes the viewer from another goroutine, while the viewer's own waits for a tick.
func TestCloseEndsANextThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := attach(t, startHub(t, newWorld(t, 1)), Query{}, "")
		ended := make(chan error, 1)
		go func() {
			for {
				if _, err := v.Next(context.Background()); err != nil {
					ended <- err
					return
				}
			}
		}()
		synctest.Wait()
		began := time.Now()
		v.Close()
		if err := <-ended; !errors.Is(err, ErrClosed) || time.Since(began) != 0 {
			t.Errorf("Next ended with %v after %v", err, time.Since(began))
		}
	})
}

func TestLimitsRefuseWithAReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := New(Options{Bus: newWorld(t, 1), Partitions: 1, MaxViewers: 2, MaxViews: 1})
		if err != nil {
			t.Fatal(err)
		}
		attach(t, h, Query{}, "")
		if _, err := h.Attach(Query{Every: time.Minute}, lineFormat{}, ""); devices.KindOf(err) != devices.Exhausted {
			t.Errorf("a second filter: %v", err)
		}
		attach(t, h, Query{}, "")
		if _, err := h.Attach(Query{}, lineFormat{}, ""); devices.KindOf(err) != devices.Exhausted {
			t.Errorf("a third viewer: %v", err)
		}
		if s := h.Stats(); s.RefusedViewers != 1 || s.RefusedFilters != 1 {
			t.Errorf("refusals counted as %+v", s)
		}
	})
}

func TestAStoppedHubEndsItsViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h, err := New(Options{Bus: w, Partitions: 1})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx) }()
		v := attach(t, h, Query{}, "")
		ended := make(chan error, 1)
		go func() {
			for {
				if _, err := v.Next(context.Background()); err != nil {
					ended <- err
					return
				}
			}
		}()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("Next ended with %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
		if _, err := h.Attach(Query{}, lineFormat{}, ""); devices.KindOf(err) != devices.Unavailable {
			t.Errorf("Attach after the end: %v", err)
		}
	})
}

func TestAFeedThatBreaksItsWordIsAskedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		v := attach(t, h, Query{}, "")
		defer v.Close()
		c := newClient(t, "client", everything)
		w.set("north", "a", 0)
		w.flush()
		window()
		feed := w.partitions[0].feeds[0]
		feed.hold = true
		w.set("north", "a", 0)
		w.flush()
		feed.held, feed.hold = nil, false // the batch is lost
		w.set("north", "b", 0)
		w.flush()
		<-time.After(time.Second)
		window()
		c.drain(v)
		c.mustShow(w.shows(everything))
		if s := h.Stats(); s.WatchFailures != 1 || s.Snapshots != 2 || len(c.resets) != 0 {
			t.Errorf("failures %d, snapshots %d, resets %v", s.WatchFailures, s.Snapshots, c.resets)
		}
	})
}

// A viewer that is slower than its stream never stands at the head; it is ready once it has what was there when it came.
func TestAViewerThatIsAlwaysBehindIsReadyAfterItsFirstPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		h := startHub(t, w)
		for i := range 600 {
			w.set("f"+fmt.Sprint(i%5), dev(i), 200)
		}
		w.flush()
		window()
		v := attach(t, h, Query{}, "")
		defer v.Close()
		c := newClient(t, "slow", everything)
		live := func() {
			c.read(v.poll())
			for i := range 600 {
				w.set("f"+fmt.Sprint(i%5), dev(i), 200)
			}
			w.flush()
			window()
		}
		for ticks := 0; c.ready == 0 && ticks < 100; ticks++ {
			live()
		}
		if c.ready != 1 || len(c.held) != 600 {
			t.Errorf("ready %d times, with %d assets", c.ready, len(c.held))
		}
		before := maps.Clone(c.n)
		for range 50 {
			live()
		}
		for id, n := range before {
			if c.n[id] == n {
				t.Fatalf("%s of partition %d was not given again", id, w.partition(w.fleetOf[deviceID(t, id)]).number)
			}
		}
	})
}
