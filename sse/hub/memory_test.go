package hub

import (
	"runtime"
	"testing"
	"testing/synctest"
)

// Viewers that stop or trickle cost a position each, and nothing more with time: the heap after two thousand ticks is
// what it was after a hundred. A queue of one pointer a tick and viewer would be eight times what is allowed here.
func TestSlowViewersCostNoMoreTheLongerTheyAreSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const viewers, devices = 500, 200
		w := newWorld(t, 1)
		h := startHub(t, w)
		live := func(ticks int) {
			for range ticks {
				for i := range devices {
					w.set("north", dev(i), 10)
				}
				w.flush()
				window()
			}
		}
		live(1)
		var stopped, trickling []*Viewer
		for i := range viewers {
			v := attach(t, h, Query{}, "")
			defer v.Close()
			v.poll()
			v.Took(1000, sliceTime) // a kilobyte in half a second
			if i%2 == 0 {
				stopped = append(stopped, v)
			} else {
				trickling = append(trickling, v)
			}
		}
		slow := func(rounds int) {
			for range rounds {
				live(10)
				for _, v := range trickling {
					v.poll()
					v.Took(1000, sliceTime)
				}
			}
		}
		slow(10)
		before := heapBytes()
		slow(190)
		if after := heapBytes(); after > before+viewers*2<<10 {
			t.Errorf("the heap grew from %d to %d kB with %d slow viewers", before>>10, after>>10, viewers)
		}
		runtime.KeepAlive(stopped)
	})
}

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC() // the first one only queues finalizers and ages pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
