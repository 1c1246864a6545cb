package hub

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// erase has every partition say it but the first n.
func (w *world) erase(device string, from int) {
	for _, p := range w.partitions[from:] {
		p.position.Offset++
		b := &bus.Batch{Partition: p.number, Position: p.position, Floor: p.floor, Erased: []devices.DeviceID{deviceID(w.tb, device)}}
		for _, f := range p.feeds {
			f.send(bus.Update{Batch: b})
		}
	}
}

func isDone(e *Erasure) bool {
	select {
	case <-e.Done():
		return true
	default:
		return false
	}
}

func TestAnErasureIsDoneWhenEveryPartitionHasSaidSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		h := startHub(t, w)
		synctest.Wait()
		one, other, left := h.FollowErasure(deviceID(t, "a")), h.FollowErasure(deviceID(t, "b")), h.FollowErasure(deviceID(t, "a"))
		left.Close()
		left.Close()
		w.erase("a", 1)
		w.erase("a", 1)
		synctest.Wait()
		if isDone(one) || isDone(other) {
			t.Error("done before the first partition said so")
		}
		w.erase("a", 0)
		synctest.Wait()
		w.erase("a", 0) // once more, to nobody
		synctest.Wait()
		if !isDone(one) || isDone(other) || isDone(left) {
			t.Errorf("done %v, other %v, closed %v", isDone(one), isDone(other), isDone(left))
		}
		one.Close()
		other.Close()
		if n := len(h.erasures.waiting); n != 0 {
			t.Errorf("%d wait still", n)
		}
	})
}

func TestWhoResumesIsNotToldOfAnErasedDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		w.set("north", "a", 0)
		w.set("north", "b", 0)
		w.flush()
		window()
		v := attach(t, h, Query{}, "")
		c := newClient(t, "client", everything)
		c.drain(v)
		v.Close()
		say := func(device string) bus.Event {
			return bus.Event{Name: "alert", Device: deviceID(t, device), Fleet: fleetID(t, "north"), Data: []byte(`{"of":"` + device + `"}`)}
		}
		w.flush(say("a"), say("b"))
		w.erase("a", 0)
		window()
		v = attach(t, h, Query{}, c.id)
		defer v.Close()
		piece := string(v.poll())
		if strings.Contains(piece, `{"of":"a"}`) || !strings.Contains(piece, `{"of":"b"}`) {
			t.Errorf("resume gave\n%s", piece)
		}
	})
}
