package hub

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// A viewer that waited for its edge once must wait for wakes again, and not for a moment that has passed: that would be
// a busy loop for each viewer that ever came to an edge that lags.
func TestAViewerWhoseEdgeCameUpSleepsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		ahead, lags := startHub(t, w), startHub(t, w)
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
		defer v.Close()
		c.drain(v)
		late.release()
		window()
		c.drain(v)
		if c.ready != 2 || len(c.resets) != 0 {
			t.Fatalf("ready %d times, resets %v", c.ready, c.resets)
		}
		<-time.After(AheadWait)
		c.drain(v)
		select {
		case <-v.wake: // what it was told of has been drained
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := v.wait(ctx); err == nil {
			t.Error("the viewer woke although nothing happened")
		}
	})
}

// The wait for an edge that lags in one partition ends, however busy the others are.
func TestABusyPartitionDoesNotProlongTheWaitForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		ahead, lags := startHub(t, w), startHub(t, w)
		busy, still := fleetIn(t, w, 0), fleetIn(t, w, 1)
		w.set(busy, "a", 0)
		w.set(still, "b", 0)
		w.flush()
		window()
		w.partitions[1].feeds[1].hold = true
		w.set(still, "b", 0)
		w.flush()
		window()
		c := newClient(t, "client", everything)
		v := attach(t, ahead, Query{}, "")
		c.drain(v)
		v.Close()

		v = attach(t, lags, Query{}, c.id)
		defer v.Close()
		for began := time.Now(); time.Since(began) < 3*AheadWait; window() {
			w.set(busy, "a", 0)
			w.flush()
			window()
			c.drain(v)
		}
		if fmt.Sprint(c.resets) != `[{"reason":"ahead"}]` || c.ready != 2 {
			t.Errorf("after three times the wait: resets %v, ready %d", c.resets, c.ready)
		}
	})
}

// fleetIn is the name of a fleet in a partition.
func fleetIn(t *testing.T, w *world, partition int) string {
	t.Helper()
	for i := range 1000 {
		if name := fmt.Sprintf("fleet-%d", i); w.partition(fleetID(t, name)).number == partition {
			return name
		}
	}
	t.Fatal("no fleet falls into the partition")
	return ""
}

// The head of a slow view is old, and what a viewer that joins it is shown is new: the id that comes with ready must
// say so, or an edge that lags would take the page back.
func TestTheIDOfReadySaysHowNewTheFramesAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		ahead, lags := startHub(t, w), startHub(t, w)
		w.set("north", "a", 0)
		w.flush()
		window()
		slow := Query{Every: time.Minute}
		first := attach(t, ahead, slow, "")
		defer first.Close()
		newClient(t, "first", everything).drain(first)
		w.set("north", "a", 0)
		w.flush()
		window() // the slow view has ticked now, and has a minute to the next
		w.set("north", "a", 0)
		w.flush()
		window()
		w.partitions[0].feeds[1].hold = true
		w.set("north", "a", 0)
		w.flush()
		window()

		c := newClient(t, "second", everything)
		v := attach(t, ahead, slow, "")
		c.drain(v)
		v.Close()
		if c.mustShow(w.shows(everything)); c.ready != 1 {
			t.Fatalf("ready %d times", c.ready)
		}
		v = attach(t, lags, slow, c.id)
		defer v.Close()
		c.drain(v) // the client itself complains about a step back
		w.set("north", "a", 0)
		w.flush()
		window()
		c.drain(v)
		w.partitions[0].feeds[1].release()
		<-time.After(2 * time.Minute)
		synctest.Wait()
		c.drain(v)
		c.mustShow(w.shows(everything))
		if len(c.resets) != 0 {
			t.Errorf("resets %v", c.resets)
		}
	})
}

// Where so much was removed at once that the floor rose over the head, a new viewer must not begin a pass that ends
// below the floor: it would be reset at the end of it, again and again, until the head moves.
func TestASnapshotDoesNotEndBelowTheFloor(t *testing.T) {
	for name, every := range map[string]time.Duration{"the shared pass": 0, "the head of a slow view": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				h := startHub(t, w)
				for i := range 10 {
					w.set("north", dev(i), 10)
				}
				w.flush()
				window()
				first := attach(t, h, Query{Every: every}, "")
				defer first.Close()
				newClient(t, "first", everything).drain(first)
				w.set("north", dev(0), 10)
				w.flush()
				window()
				w.remove("north", dev(3))
				w.flush()
				w.forget()
				w.set("north", dev(4), 10)
				w.flush()
				window()

				c := newClient(t, "new", everything)
				v := attach(t, h, Query{Every: every}, "")
				defer v.Close()
				for range 1000 {
					b := v.poll()
					if b == nil {
						break
					}
					c.read(b)
				}
				<-time.After(2 * time.Minute)
				synctest.Wait()
				c.drain(v)
				if len(c.resets) > 1 || c.ready == 0 {
					t.Errorf("%d resets, ready %d times", len(c.resets), c.ready)
				}
				c.mustShow(w.shows(everything))
			})
		})
	}
}

// The decoder of base64 overlooks line ends, which in a stream would be the end of a message.
func TestAnIDIsKeptAsWeWouldWriteIt(t *testing.T) {
	m := &mark{parts: []markPart{{at: bus.Position{Epoch: 1, Offset: 2}}}}
	id := m.encode()
	got, ok := decodeMark(id[:4] + "\r\n" + id[4:])
	if ok && (got.text != id || strings.ContainsAny(got.text, "\r\n")) {
		t.Errorf("kept %q, want %q", got.text, id)
	}
}

// A viewer that waits for its edge goes on when the edge has come up, though nothing of its own view changed there.
func TestAQuietViewerNoticesThatItsEdgeCameUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		ahead, lags := startHub(t, w), startHub(t, w)
		w.set("north", "a", 0)
		w.set("south", "b", 0)
		w.flush()
		window()
		late := w.partitions[0].feeds[1]
		late.hold = true
		w.set("south", "b", 0)
		w.flush()
		window()
		c := newClient(t, "client", func(fleet, _ string) bool { return fleet == "north" })
		north := Query{Fleets: []devices.FleetID{fleetID(t, "north")}}
		v := attach(t, ahead, north, "")
		c.drain(v)
		v.Close()

		v = attach(t, lags, north, c.id)
		defer v.Close()
		ready := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), AheadWait/2)
			defer cancel()
			for c.ready < 2 {
				b, err := v.Next(ctx)
				if err != nil {
					ready <- err
					return
				}
				c.read(b)
			}
			ready <- nil
		}()
		synctest.Wait()
		late.release()
		if err := <-ready; err != nil {
			t.Errorf("not ready long after the edge came up: %v", err)
		}
	})
}
