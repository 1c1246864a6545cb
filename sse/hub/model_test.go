package hub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// habit is how a viewer's connection behaves.
type habit struct {
	rate   float64       // bytes a second that the connection takes; 0 for all at once
	stall  time.Duration // now and then it reads nothing for so long
	drop   time.Duration // it is cut about this often, anywhere in a piece, and comes back at another edge
	absent time.Duration // for so long
	pan    time.Duration // its view is changed about this often
}

// browser drives one client over its connections until stop, then reads to the end.
type browser struct {
	mu sync.Mutex
	*client
	query  Query
	packed bool
	habit  habit
	rand   *rand.Rand
	hubs   []*Hub
	views  []Query         // that it goes to
	rest   <-chan struct{} // closed when it goes nowhere any more
	seq    uint64
}

func (r *browser) run(ctx context.Context) {
	for ctx.Err() == nil {
		r.connect(ctx, r.hubs[r.rand.IntN(len(r.hubs))])
		r.mu.Lock()
		r.cut()
		r.mu.Unlock()
		wait(ctx, r.habit.absent)
	}
}

func (r *browser) lockedRead(piece []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read(piece)
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (r *browser) connect(ctx context.Context, h *Hub) {
	v, err := h.Attach(r.query, r.format, r.id)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer v.Close()
	r.mu.Lock()
	r.turn(r.query)
	r.past = []Query{r.query}
	r.mu.Unlock()
	if r.habit.pan > 0 {
		defer r.pan(ctx, v)()
	}
	if r.habit.drop > 0 {
		cut := time.Now().Add(time.Duration(r.rand.Int64N(int64(2 * r.habit.drop))))
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, cut)
		defer cancel()
	}
	for {
		piece, err := v.Next(ctx)
		if err != nil {
			return
		}
		whole := r.take(ctx, v, piece)
		r.lockedRead(whole)
		if len(whole) < len(piece) {
			return
		}
	}
}

// pan changes the view of a connection until what it returns is called.
func (r *browser) pan(ctx context.Context, v *Viewer) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	rnd := newRand(r.rand.Uint64())
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-time.After(time.Duration(rnd.Int64N(int64(2 * r.habit.pan)))):
			case <-r.rest:
				return
			case <-ctx.Done():
				return
			}
			r.mu.Lock()
			r.seq++
			q := r.views[rnd.IntN(len(r.views))]
			r.client.views[fmt.Sprintf(`{"seq":%d}`, r.seq)] = q
			err := v.Move(q, r.seq)
			r.mu.Unlock()
			if err != nil {
				r.t.Error(err)
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

// take lets the piece through at the connection's pace, and returns as much of it as came before the cut.
func (r *browser) take(ctx context.Context, v *Viewer, piece []byte) []byte {
	if r.habit.rate == 0 {
		if r.habit.stall > 0 && r.rand.IntN(20) == 0 {
			wait(ctx, r.habit.stall)
			v.Took(len(piece), r.habit.stall)
		}
		return piece
	}
	begin, d := time.Now(), time.Duration(float64(len(piece))/r.habit.rate*float64(time.Second))
	wait(ctx, d)
	if took := time.Since(begin); ctx.Err() != nil && !errors.Is(ctx.Err(), context.Canceled) && took < d {
		return piece[:int(float64(len(piece))*float64(took)/float64(d))]
	}
	v.Took(len(piece), d)
	return piece
}

// superseded remembers when each version of each device stopped being the newest.
type superseded map[int]time.Time

// TestEveryViewerIsRightInTheEndAndNeverGoesBack runs fleets with devices of very different rates, moves, removals,
// pruned tombstones and new epochs against viewers that stop, trickle, are cut in the middle of a pass and go on at an
// edge that lags, and holds the promises: no id of another fleet, no step back in time, nobody starves, and in the end
// every viewer shows what the table has, byte for byte.
func TestEveryViewerIsRightInTheEndAndNeverGoesBack(t *testing.T) {
	seeds := modelSeeds()
	for n, partitions := range []uint64{1, 3} {
		for seed := uint64(n) * seeds; seed < uint64(n+1)*seeds; seed++ { // no history twice
			t.Run(fmt.Sprintf("partitions=%d/seed=%d", partitions, seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { runModel(t, int(partitions), seed) })
			})
		}
	}
}

// modelSeeds is how many random histories are lived through with each number of partitions; FLEETCAST_MODEL_SEEDS asks for more,
// as make soak does.
func modelSeeds() uint64 {
	n, err := strconv.ParseUint(os.Getenv("FLEETCAST_MODEL_SEEDS"), 10, 32)
	if err != nil {
		return 1
	}
	return n
}

func runModel(t *testing.T, partitions int, seed uint64) {
	w := newWorld(t, partitions)
	hubs := []*Hub{startHub(t, w), startHub(t, w)}
	rnd := newRand(seed)
	north := []devices.FleetID{fleetID(t, "north")}
	crossing, small := bbox(t, "178,-2,-178,2"), bbox(t, "179.9,0,179.95,0.05") // half of the devices, and a few
	browsers := []*browser{
		{query: Query{}, habit: habit{}},
		{query: Query{Every: time.Second}, habit: habit{}},
		{query: Query{}, habit: habit{stall: 3 * time.Second}},
		{query: Query{}, habit: habit{rate: 8000}},
		{query: Query{Fleets: north}, habit: habit{rate: 1000}},
		{query: Query{Fleets: north}, habit: habit{drop: 2 * time.Second, absent: time.Second}},
		{query: Query{}, habit: habit{rate: 20000, drop: time.Second, absent: 300 * time.Millisecond}},
		{query: Query{Every: 700 * time.Millisecond}, habit: habit{rate: 30000, drop: 2 * time.Second}},
		{query: Query{Fleets: []devices.FleetID{fleetID(t, "north"), fleetID(t, "south")}}, habit: habit{rate: 9000, drop: 3 * time.Second}},
		{query: Query{Devices: []devices.DeviceID{deviceID(t, dev(1)), deviceID(t, dev(2)), deviceID(t, dev(99))}}, habit: habit{stall: time.Second, drop: 4 * time.Second}},
		{query: Query{Fleets: north, Devices: []devices.DeviceID{deviceID(t, dev(1)), deviceID(t, dev(5))}}, habit: habit{rate: 500}},
		{query: Query{BBox: crossing}, habit: habit{}},
		{query: Query{BBox: crossing}, habit: habit{rate: 3000, drop: 2 * time.Second, absent: 500 * time.Millisecond}},
		{query: Query{BBox: crossing, Every: time.Second}, habit: habit{stall: 3 * time.Second, drop: 5 * time.Second}},
		{query: Query{BBox: small, Fleets: north}, habit: habit{rate: 1000}},
		{packed: true, query: Query{BBox: small}, habit: habit{drop: 2 * time.Second, absent: time.Second}},
		{query: Query{BBox: bbox(t, "-180,-90,180,90")}, habit: habit{rate: 30000, drop: 3 * time.Second}},
		{query: Query{BBox: crossing, Devices: []devices.DeviceID{deviceID(t, dev(0)), deviceID(t, dev(2)), deviceID(t, dev(50))}}, habit: habit{stall: time.Second, drop: 4 * time.Second}},
		{packed: true, query: Query{}, habit: habit{rate: 2000}},
		{packed: true, query: Query{}, habit: habit{rate: 20000, drop: time.Second, absent: 300 * time.Millisecond}},
		{packed: true, query: Query{Fleets: north}, habit: habit{drop: 2 * time.Second, absent: time.Second}},
	}
	views := panned(t)
	for _, h := range []habit{
		{pan: 500 * time.Millisecond, stall: 3 * time.Second}, {pan: time.Second, rate: 8000}, {pan: 700 * time.Millisecond, rate: 10000, drop: 2 * time.Second},
	} {
		browsers = append(browsers, &browser{query: views[len(browsers)%len(views)], habit: h, packed: len(browsers)%3 == 0, views: views})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rest := make(chan struct{})
	var wg sync.WaitGroup
	for i, r := range browsers {
		r.client = newClient(t, fmt.Sprintf("viewer %d (%+v)", i, r.habit), wantsOf(r.query))
		if r.packed {
			r.format = packedFormat{}
		}
		r.box = r.query.BBox
		r.rand, r.hubs, r.rest = newRand(seed*100+uint64(i)), hubs, rest
		wg.Go(func() { r.run(ctx) })
	}
	stale := liveTheirLives(t, w, rnd, browsers)
	close(rest)
	for _, p := range w.partitions {
		for _, f := range p.feeds {
			f.release()
		}
	}
	<-time.After(5 * time.Minute) // enough for the slowest to have read all
	synctest.Wait()
	for _, r := range browsers {
		r.mu.Lock()
		r.mustShowNow(w)
		r.mu.Unlock()
	}
	cancel()
	wg.Wait()
	for i, worst := range stale {
		if worst > 3*time.Minute {
			t.Errorf("%s held a device %v out of date", browsers[i].name, worst)
		}
	}
	for _, h := range hubs {
		if s := h.Stats(); s.Viewers != 0 || s.Views != 0 {
			t.Errorf("%d viewers and %d views are left", s.Viewers, s.Views)
		}
	}
}

// panned are views that a viewer goes between: boxes that overlap or do not, fleets, lists, other fields and ticks.
func panned(t *testing.T) []Query {
	north, south := fleetID(t, "north"), fleetID(t, "south")
	list := []devices.DeviceID{deviceID(t, dev(0)), deviceID(t, dev(2)), deviceID(t, dev(50)), deviceID(t, dev(99))}
	return []Query{
		{},
		{Fleets: []devices.FleetID{north}},
		{Fleets: []devices.FleetID{south, north}},
		{BBox: bbox(t, "178,-2,-178,2")},
		{BBox: bbox(t, "179,-1,-177,3")},
		{BBox: bbox(t, "179.9,0,179.95,0.05"), Fleets: []devices.FleetID{north}},
		{BBox: bbox(t, "10,10,20,20")},
		{BBox: bbox(t, "-180,-90,180,90"), Every: 500 * time.Millisecond},
		{Devices: list},
		{Devices: list, BBox: bbox(t, "178,-2,-178,2")},
	}
}

func wantsOf(q Query) func(fleet, device string) bool {
	return func(fleet, device string) bool {
		fleetOK, deviceOK := len(q.Fleets) == 0, len(q.Devices) == 0
		for _, f := range q.Fleets {
			fleetOK = fleetOK || f.String() == fleet
		}
		for _, d := range q.Devices {
			deviceOK = deviceOK || d.String() == device
		}
		return fleetOK && deviceOK
	}
}

// liveTheirLives lets three fleets live for two minutes and returns, per browser, the longest that it held a device's
// version after that was superseded.
func liveTheirLives(t *testing.T, w *world, rnd *rand.Rand, browsers []*browser) []time.Duration {
	fleets := []string{"north", "south", "east"}
	newest, over := map[string]int{}, superseded{}
	worst := make([]time.Duration, len(browsers))
	change := func(fleet, device string) {
		before := newest[device]
		if rnd.IntN(3) == 0 { // it moves a little, or far, or has no position
			w.move(rnd, device)
		}
		w.set(fleet, device, 20+rnd.IntN(100))
		newest[device] = w.n
		over[before] = time.Now()
	}
	for i := range 150 {
		change(fleets[i%3], dev(i))
	}
	for tick := range 1200 {
		for i := range 150 {
			// Rates from ten a second to one in three minutes, at phases that never change.
			if period := 1 + i*i/12; tick%period == i%period {
				if f, ok := w.fleetOf[deviceID(t, dev(i))]; ok {
					change(f.String(), dev(i))
				}
			}
		}
		disturb(w, rnd, tick, change, fleets)
		w.flush()
		<-time.After(DefaultWindow)
		if tick%10 == 0 {
			for i, r := range browsers {
				r.mu.Lock()
				for id, n := range r.n {
					if at, ok := over[n]; ok && r.held[id] != "" && r.wants(w.fleetOf[deviceID(t, id)].String(), id) {
						worst[i] = max(worst[i], time.Since(at))
					}
				}
				r.mu.Unlock()
			}
		}
	}
	return worst
}

// move puts a device somewhere around the antimeridian, often at an edge of a box.
func (w *world) move(rnd *rand.Rand, device string) {
	at := w.where[device]
	switch rnd.IntN(10) {
	case 0:
		delete(w.where, device)
		return
	case 1, 2, 3:
		at = [2]float64{float64(rnd.IntN(9) - 4), 176 + float64(rnd.IntN(9))}
	case 4, 5:
		at = [2]float64{rnd.Float64() / 10, 179.85 + rnd.Float64()/5}
	default:
		at[0], at[1] = at[0]+rnd.Float64()-0.5, at[1]+rnd.Float64()-0.5
	}
	at[0] = min(max(at[0], -90), 90)
	if at[1] > 180 {
		at[1] -= 360
	}
	w.where[device] = [2]float64{at[0], max(at[1], -180)}
}

// disturb does now and then what the hub must survive.
func disturb(w *world, rnd *rand.Rand, tick int, change func(fleet, device string), fleets []string) {
	device := dev(rnd.IntN(150))
	switch rnd.IntN(60) {
	case 0, 1, 2:
		change(fleets[rnd.IntN(3)], device) // moves, or comes back
	case 3, 4:
		if f, ok := w.fleetOf[deviceID(w.tb, device)]; ok {
			w.remove(f.String(), device)
		}
	case 5:
		if rnd.IntN(10) == 0 {
			w.forget()
		}
	case 6, 7:
		for _, p := range w.partitions { // the second edge lags for a while
			p.feeds[1].hold = true
		}
	case 8, 9, 10, 11:
		for _, p := range w.partitions {
			p.feeds[1].release()
		}
	}
	if tick == 600 && rnd.IntN(2) == 0 {
		w.restart()
	}
}
