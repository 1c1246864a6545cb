package ws

import (
	"runtime"
	"testing"
	"time"
)

// BenchmarkIdleConnection reports what an idle connection with a subscription costs this process, both goroutines, the
// hub's viewer and the client's end of the connection included, which live here too. Run it with -benchtime 1x. Beside it,
// sse.BenchmarkIdleStream is the same for a stream of events.
func BenchmarkIdleConnection(b *testing.B) {
	const connections = 1000
	s := newSite(b, func(o *Options) { o.Ping = time.Hour })
	heap, stack := memory()
	for range connections {
		conn := s.raw()
		if _, err := conn.Write(masked(1, true, []byte(`{"action":"subscribe"}`))); err != nil {
			b.Fatal(err)
		}
	}
	eventually(b, "all listen", func() bool {
		return s.hub.Stats().Viewers == connections && s.hub.Stats().Slices+s.hub.Stats().SharedSlices >= connections
	})
	for range b.N {
		heap2, stack2 := memory()
		b.ReportMetric((heap2-heap)/connections, "heap-B/conn")
		b.ReportMetric((stack2-stack)/connections, "stack-B/conn")
	}
}

func memory() (heap, stack float64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), float64(m.StackInuse)
}
