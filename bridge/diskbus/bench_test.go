//go:build unix

package diskbus

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reading is an entry as a tracker makes it, of about 100 bytes in the log.
func reading(b *testing.B, n int) bus.Entry {
	b.Helper()
	r := &devices.Reading{}
	r.Has = devices.FieldPosition | devices.FieldSpeed | devices.FieldHeading | devices.FieldBattery
	r.Lat, r.Lon, r.Speed, r.Heading, r.Battery = 48.85+float64(n)/1e6, 2.29, 16.9, 271, 67
	r.At = 1795353543237
	r.Metrics = []devices.Metric{{Name: "fuel", Value: devices.NumberValue(41.5)}}
	return bus.Entry{Device: device(b, fmt.Sprint("truck-", n)), Fleet: fleet(b, "north"), Kind: bus.KindReading, Reading: r}
}

// BenchmarkAppend is 16 doors at once, each with one entry an Append, or 50: about what a door gathers in 5 ms at 10,000
// a second.
func BenchmarkAppend(b *testing.B) {
	for _, mode := range []Fsync{Never, EverySecond, Always} {
		for _, n := range []int{1, 50} {
			b.Run(fmt.Sprintf("%v/entries=%d", mode, n), func(b *testing.B) { benchmarkAppend(b, mode, n) })
		}
	}
}

func benchmarkAppend(b *testing.B, mode Fsync, perAppend int) {
	b.Helper()
	disk, err := Open(Options{Dir: b.TempDir(), Fsync: mode, Memory: bus.MemoryOptions{MaxInletEntries: 1 << 20, MaxInletBytes: 1 << 30}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = disk.Close() }()
	var list []bus.Entry
	for n := range perAppend {
		list = append(list, reading(b, n))
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer consume(ctx, own(b, disk))()
	defer cancel()
	var doors atomic.Uint64
	b.SetParallelism(8)
	began := cpuTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		door, seq := bus.DoorID(doors.Add(1)), uint64(0)
		for pb.Next() {
			seq++
			if err := disk.Append(ctx, bus.Append{Door: door, Seq: seq, Entries: list}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	total := float64(b.N * perAppend)
	b.ReportMetric(total/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric((cpuTime(b)-began).Seconds()/total*1e6, "cpu-s/Mentries")
	b.ReportMetric(float64(disk.Stats().BytesWritten)/total, "B/entry")
	b.ReportMetric(float64(disk.Stats().Groups)/float64(b.N), "groups/op")
}

// consume is an owner that keeps the inlet from filling, about as often as a window does. It returns what waits for its
// end.
func consume(ctx context.Context, l bus.Lease) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(20 * time.Millisecond)
		defer t.Stop()
		for {
			got, err := l.Read(ctx, 1<<20)
			if err != nil {
				return
			}
			_, _ = l.Publish(context.Background(), &bus.Flush{Consumed: got[len(got)-1].ID})
			<-t.C
		}
	}()
	return func() { <-done }
}

// BenchmarkPublish1000 is the flush of a window: 1,000 devices with a frame of 300 bytes and a record of 200.
func BenchmarkPublish1000(b *testing.B) {
	for _, mode := range []Fsync{Never, EverySecond, Always} {
		b.Run(mode.String(), func(b *testing.B) {
			disk, err := Open(Options{Dir: b.TempDir(), Fsync: mode})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = disk.Close() }()
			l := own(b, disk)
			f := flushOf(b, 0, 1000)
			began := cpuTime(b)
			for b.Loop() {
				publish(b, l, f)
			}
			b.ReportMetric((cpuTime(b)-began).Seconds()/float64(b.N)*1e3, "cpu-ms/op")
		})
	}
}

func flushOf(tb testing.TB, from, to int) bus.Flush {
	tb.Helper()
	frame, record := []byte(strings.Repeat("f", 300)), []byte(strings.Repeat("r", 200))
	f := bus.Flush{Time: 1}
	for n := from; n < to; n++ {
		f.Changes = append(f.Changes, bus.Change{
			Device: device(tb, fmt.Sprint("truck-", n)), Fleet: fleet(tb, "north"), HasPosition: true, Lat: 48, Lon: 2,
			Frame: append([]byte(nil), frame...), Record: append([]byte(nil), record...),
		})
	}
	return f
}

// BenchmarkRecover100k opens a directory of 100,000 devices: from a snapshot alone, and from a log that has a snapshot's
// worth of flushes besides.
func BenchmarkRecover100k(b *testing.B) {
	for name, rounds := range map[string]int{"log=60MB": 1, "log=120MB": 2} {
		b.Run(name, func(b *testing.B) { benchmarkRecover(b, rounds, 1<<30) })
	}
	b.Run("snapshot=60MB", func(b *testing.B) { benchmarkRecover(b, 1, 1<<20) })
}

func benchmarkRecover(b *testing.B, rounds int, logBytes int64) {
	b.Helper()
	o := Options{Dir: b.TempDir(), LogBytes: logBytes}
	disk, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	l := own(b, disk)
	for range rounds {
		for n := 0; n < 100_000; n += 1000 {
			publish(b, l, flushOf(b, n, n+1000))
		}
	}
	if err := disk.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		disk, err := Open(o)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if s := disk.Stats(); s.Devices != 100_000 {
			b.Fatalf("%+v", s)
		}
		if err := disk.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	files, err := os.ReadDir(o.Dir)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(files)), "files")
	b.ReportMetric(float64(dirSize(b, o.Dir))/1e6, "MB")
}
