package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/sseclient"
)

// latencyBatch is how many latencies a viewer keeps before it takes the lock of a shared histogram, and latencyKept how
// long: what a quiet viewer kept would be told of a time in which it was not.
const (
	latencyBatch = 64
	latencyKept  = 500 * time.Millisecond
)

// held is what a viewer knows of a device. A zero received means that it holds none.
type held struct {
	at, received int64
	fleet        int32
}

// viewer is one simulated dashboard. Its run method is one goroutine, which owns everything but the counters.
type viewer struct {
	watch     *Watch
	client    client
	transport transport
	own       *http.Transport // nil unless it has a connection of HTTP/2 of its own
	slow      bool
	full      bool          // decode every message
	parts     bool          // take the parts of the latency too
	leaves    time.Duration // how long it stays; 0 is to the end
	allowed   []int32       // fleets that it asked for; empty is all
	latencies *measure.Histogram
	panning   *panning // nil: it has no viewport that moves
	box       *box     // nil: it has none that stays

	live   bool // ready came on this connection
	moving bool // its box moved, and what stood in the new one is being told
	assets []held
	late   []time.Duration
	edges  []time.Duration
	views  []time.Duration
	kept   time.Time // when the first of them was
	fleet  []byte    // the fleet of the update before, and its number: nearly always that of the next
	number int32

	count viewerCounters
}

// viewerCounters are written by the viewer and read by anybody.
type viewerCounters struct {
	updates, snapshots                         atomic.Int64
	opened, cut, broken, silent                atomic.Int64
	ready, resets, removed, heartbeats, others atomic.Int64
	backwards, malformed, ended, ahead, maxLag atomic.Int64
	leaked, gone, viewed                       atomic.Int64
	isLive                                     atomic.Bool
	droppedAt                                  atomic.Int64 // unix ns of the last Drop, until ready came; 0: none
}

// stay runs the viewer until ctx ends or it leaves for good.
func (v *viewer) stay(ctx context.Context) {
	if v.leaves > 0 {
		leaving, cancel := context.WithTimeout(ctx, v.leaves)
		defer cancel()
		v.run(leaving)
		if ctx.Err() == nil {
			v.count.gone.Add(1)
		}
		return
	}
	v.run(ctx)
}

func (v *viewer) run(ctx context.Context) {
	err := v.client.Run(ctx)
	if v.own != nil {
		v.own.CloseIdleConnections()
	}
	v.flush()
	v.count.isLive.Store(false)
	if err != nil {
		v.count.ended.Add(1)
		v.watch.example("the stream ended for good: " + err.Error())
	}
}

func (v *viewer) onOpen() {
	v.count.opened.Add(1)
	v.setLive(v.watch.options.Raw)
}

func (v *viewer) onClose(err error) {
	v.setLive(false)
	switch {
	case errors.Is(err, sseclient.ErrCut), errors.Is(err, sseclient.ErrDropped):
		v.count.cut.Add(1)
	case errors.Is(err, sseclient.ErrSilent):
		v.count.silent.Add(1)
	default:
		v.count.broken.Add(1)
		v.watch.complain(err)
	}
}

func (v *viewer) setLive(live bool) {
	v.live, v.moving = live, false
	v.count.isLive.Store(live)
}

// onEvent never fails: a viewer goes on after a violation, as a dashboard would.
func (v *viewer) onEvent(e sseclient.Event, arrived time.Time) error {
	switch e.Type {
	case "":
		v.asset(e.Data, arrived)
	case "batch":
		if err := each(e.Data, func(b []byte) error { v.asset(b, arrived); return nil }); err != nil {
			v.violate(&v.count.malformed, "batch: %v", err)
		}
	case "ready":
		v.count.ready.Add(1)
		v.panning.opened(e.Data)
		v.back(arrived)
		v.setLive(true)
	case "reset":
		v.count.resets.Add(1)
		v.setLive(false)
		clear(v.assets)
	case "removed":
		v.remove(e.Data)
	case "heartbeat":
		v.heartbeat(e.Data)
	case "view":
		v.count.viewed.Add(1)
		v.moving = true // until ready
	default:
		v.count.others.Add(1)
	}
	return nil
}

func (v *viewer) asset(data []byte, arrived time.Time) {
	if v.watch.options.Blind {
		v.counted()
		return
	}
	u, err := v.watch.seen.scan(data)
	if err == nil && v.full {
		err = checkFully(data)
	}
	if err != nil {
		v.violate(&v.count.malformed, "%v", err)
		return
	}
	v.counted()
	h := v.hold(v.watch.ids.number(u.id))
	switch {
	case u.at < h.at:
		v.violate(&v.count.backwards, "device %s: at went back from %d to %d", u.id, h.at, u.at)
	case u.received < h.received:
		v.violate(&v.count.backwards, "device %s: received went back from %d to %d", u.id, h.received, u.received)
	}
	if (v.isCurrent() || v.watch.options.Ages) && u.stamped && u.at > h.at {
		v.latency(&u, arrived)
	}
	h.at, h.received, h.fleet = max(u.at, h.at), u.received, v.fleetNumber(u.fleet)
	if len(v.allowed) > 0 && !slices.Contains(v.allowed, h.fleet) {
		v.violate(&v.count.leaked, "device %s of fleet %s was told to a viewer of others", u.id, u.fleet)
	}
	if v.box != nil && v.box.isOutside(data) {
		v.violate(&v.count.leaked, "device %s was told to a viewer of another place", u.id)
	}
}

// isCurrent tells whether what comes is news: behind a view that moved come assets that have stood there for as long as their
// devices have said nothing.
func (v *viewer) isCurrent() bool { return v.live && !v.moving }

func (v *viewer) counted() {
	if v.isCurrent() {
		v.count.updates.Add(1)
	} else {
		v.count.snapshots.Add(1)
	}
}

func (v *viewer) hold(device int32) *held {
	if n := int(device) + 1; n > len(v.assets) {
		v.assets = append(v.assets, make([]held, n-len(v.assets)+n/4)...)
	}
	return &v.assets[device]
}

func (v *viewer) fleetNumber(fleet []byte) int32 {
	if string(fleet) != string(v.fleet) || len(v.fleet) == 0 {
		v.fleet = append(v.fleet[:0], fleet...)
		v.number = v.watch.fleets.number(fleet)
	}
	return v.number
}

// latency is taken where the clock of the devices and this one are the same machine's, or agree; a negative one says
// that they do not.
func (v *viewer) latency(u *update, arrived time.Time) {
	d := arrived.Sub(time.UnixMilli(u.at))
	if d < 0 {
		v.count.ahead.Add(1)
	}
	if len(v.late) == 0 {
		v.kept = arrived
	}
	v.late = append(v.late, d)
	if v.parts {
		v.edges = append(v.edges, time.Duration(u.received-u.at)*time.Millisecond)
		v.views = append(v.views, arrived.Sub(time.UnixMilli(u.received)))
	}
	if len(v.late) >= latencyBatch || arrived.Sub(v.kept) > latencyKept {
		v.flush()
	}
}

func (v *viewer) flush() {
	if len(v.late) > 0 {
		v.latencies.RecordAll(v.late)
		v.watch.edge.RecordAll(v.edges)
		v.watch.view.RecordAll(v.views)
		v.late, v.edges, v.views = v.late[:0], v.edges[:0], v.views[:0]
	}
}

// remove forgets a device, unless it is held with another fleet: then it moved, and the news came first.
func (v *viewer) remove(data []byte) {
	var gone struct{ ID, Fleet json.RawMessage }
	if err := json.Unmarshal(data, &gone); err != nil || len(gone.ID) < 3 || len(gone.Fleet) < 3 {
		v.violate(&v.count.malformed, "removed: %v", err)
		return
	}
	v.count.removed.Add(1)
	device := v.watch.ids.find(gone.ID[1 : len(gone.ID)-1])
	fleet := v.watch.fleets.find(gone.Fleet[1 : len(gone.Fleet)-1])
	if device >= 0 && int(device) < len(v.assets) && v.assets[device].fleet == fleet {
		v.assets[device] = held{}
	}
}

func (v *viewer) heartbeat(data []byte) {
	var beat struct {
		Now int64   `json:"now"`
		Lag float64 `json:"lag_ms"`
	}
	if err := json.Unmarshal(data, &beat); err != nil || beat.Now <= 0 {
		v.violate(&v.count.malformed, "heartbeat: %v", err)
		return
	}
	v.count.heartbeats.Add(1)
	if lag := int64(beat.Lag); lag > v.count.maxLag.Load() {
		v.count.maxLag.Store(lag) // nobody else writes it
	}
}

func (v *viewer) violate(counter *atomic.Int64, format string, args ...any) {
	counter.Add(1)
	v.watch.example(fmt.Sprintf(format, args...))
}
