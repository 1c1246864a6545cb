package floor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/units"
)

const (
	// writeTimeout drops a viewer that does not read; until then it holds its writer. The deadline is moved once in
	// deadlineTicks ticks, since moving it costs a part of a write.
	writeTimeout  = 5 * time.Second
	deadlineTicks = 10
	headerTimeout = 5 * time.Second
)

// Options of a floor.
type Options struct {
	Listen string
	Rate   units.Rate    // updates a second, of all devices together
	Size   int           // bytes of an update on the wire
	Window time.Duration // between two ticks
}

// Floor is the server. Listen and Run are called once, in this order; Report may be called from any goroutine.
type Floor struct {
	options  Options
	listener net.Listener
	few      chunk // of a tick, where the rate is no whole number a tick: the smaller
	many     chunk // and the larger
	writers  []*writer

	updates, bytes, writes atomic.Int64
	dropped, missed        atomic.Int64
	viewers                atomic.Int64
}

// Report is what a floor did.
type Report struct {
	Viewers int64       `json:"viewers"` // now
	Updates int64       `json:"updates"` // delivered, counted per viewer
	Bytes   int64       `json:"bytes"`
	Writes  int64       `json:"writes"`
	Dropped int64       `json:"dropped"` // viewers that left or did not read
	Missed  int64       `json:"missed_ticks"`
	CPU     measure.CPU `json:"cpu"` // of the process
	// CPUPerMillion is the processor seconds per million delivered updates, of the whole life of the process.
	CPUPerMillion float64 `json:"cpu_seconds_per_million"`
}

// New checks the options and encodes the bytes.
func New(o Options) (*Floor, error) {
	perTick := float64(o.Rate) * o.Window.Seconds()
	switch {
	case o.Size < MinSize:
		return nil, fmt.Errorf("read options: an update of %d bytes; %d are the least", o.Size, MinSize)
	case o.Window < time.Millisecond || o.Window > time.Minute:
		return nil, fmt.Errorf("read options: a window of %v; 1ms to 1m are possible", o.Window)
	case !(perTick > 0 && perTick*float64(o.Size) < 64<<20):
		return nil, fmt.Errorf("read options: %g updates of %d bytes a tick are beyond this program", perTick, o.Size)
	}
	f := &Floor{options: o, few: encode(int(perTick), o.Size), many: encode(int(perTick)+1, o.Size)}
	for range runtime.GOMAXPROCS(0) {
		f.writers = append(f.writers, &writer{floor: f, few: f.few.clone(), many: f.many.clone()})
	}
	return f, nil
}

// Listen opens the port and returns its address.
func (f *Floor) Listen(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.options.Listen)
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	f.listener = l
	return l.Addr().String(), nil
}

// Run serves until ctx ends, then closes all viewers.
func (f *Floor) Run(ctx context.Context) error {
	server := &http.Server{Handler: http.HandlerFunc(f.accept), ReadHeaderTimeout: headerTimeout}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	var running sync.WaitGroup
	writing, stop := context.WithCancel(ctx)
	for _, w := range f.writers {
		running.Go(func() { w.run(writing) })
	}
	err := server.Serve(f.listener)
	stop()
	running.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// accept takes the connection from net/http and gives it to a writer; its goroutine ends.
func (f *Floor) accept(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this stream needs HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return
	}
	if err := conn.SetDeadline(time.Now().Add(writeTimeout)); err != nil {
		conn.Close()
		return
	}
	if _, err := conn.Write([]byte(header)); err != nil {
		conn.Close()
		return
	}
	n := f.viewers.Add(1)
	f.writers[int(n)%len(f.writers)].add(conn)
}

// Report returns what was done so far.
func (f *Floor) Report() (Report, error) {
	r := Report{
		Viewers: f.viewers.Load(), Updates: f.updates.Load(), Bytes: f.bytes.Load(), Writes: f.writes.Load(),
		Dropped: f.dropped.Load(), Missed: f.missed.Load(),
	}
	var err error
	r.CPU, err = measure.SelfCPU()
	if r.Updates > 0 {
		r.CPUPerMillion = r.CPU.Total() / float64(r.Updates) * 1e6
	}
	return r, err
}
