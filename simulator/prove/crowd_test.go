package prove

import (
	"errors"
	"testing"
	"time"
)

func TestACrowdIsMixedAsItsSharesSay(t *testing.T) {
	o := Options{Devices: 50, Viewers: 1000, For: time.Minute, Crowd: Crowd{
		HTTP2Share: 0.2, HTTP2OwnShare: 0.1, WebSocketShare: 0.3, FilterShare: 0.4, PanEvery: time.Second, SlowShare: 0.1, ResumeShare: 0.5, GoneShare: 0.1,
	}}
	got := map[string]int{}
	for i := range o.Viewers {
		h := o.habits(i)
		got[h.over.String()]++
		for name, is := range map[string]bool{
			"filtered": h.ask >= askList, "box": h.ask == askBox, "pans": h.pans, "slow": h.slow, "cut": h.cut, "leaves": h.leaves > 0, "silently": h.silently,
			"slow and shared": h.slow && h.over == overHTTP2, "pans over websocket": h.pans && h.over == overWebSocket, "slow over websocket": h.slow && h.over == overWebSocket,
		} {
			if is {
				got[name]++
			}
		}
		if h.leaves > 0 && (h.leaves < o.For/5 || h.leaves > o.For*4/5) {
			t.Errorf("viewer %d leaves after %v", i, h.leaves)
		}
	}
	for name, want := range map[string][2]int{
		"http1": {380, 420}, "http2": {160, 200}, "http2_own": {100, 140}, "websocket": {280, 320}, "filtered": {380, 420}, "box": {180, 220}, "pans": {80, 120},
		"slow": {90, 110}, "cut": {490, 510}, "leaves": {90, 110}, "silently": {20, 60}, "slow and shared": {0, 0}, "pans over websocket": {10, 50}, "slow over websocket": {10, 50},
	} {
		if got[name] < want[0] || got[name] > want[1] {
			t.Errorf("%d of 1000 are %s, want %d to %d", got[name], name, want[0], want[1])
		}
	}
}

func TestABandHoldsTheDevicesOfItsLatitudes(t *testing.T) {
	for _, devices := range []int{1, 2, 7, 50, 1500} {
		o := Options{Devices: devices}
		for moves := range 10 {
			b := o.band(moves)
			box, sees, near := b.box(), b.sees(devices, 0), b.sees(devices, b.margin())
			margin := (box[3] - box[1]) / 64
			for i := range devices {
				at := latitude(i % latitudes)
				if inside := at >= box[1] && at <= box[3]; inside != sees[i] || at >= box[1]-margin && at <= box[3]+margin && !near[i] {
					t.Fatalf("%d devices, %d moves: device %d is inside: %v", devices, moves, i, inside)
				}
			}
			if n := min(devices, latitudes); b.from < 0 || b.from+b.many > n {
				t.Fatalf("%d devices, %d moves: %+v", devices, moves, b)
			}
		}
	}
}

func TestAViewerOfAGatewayThatKnowsNoFiltersIsToldTooMuch(t *testing.T) {
	t.Parallel()
	f := startFake(t, lies{})
	o := f.shortRun(300 * time.Millisecond)
	o.FilterShare = 1
	if r, err := prove(t, o); !errors.Is(err, ErrBreached) || r.Breaches[Leaked] == 0 {
		t.Errorf("%v: %+v", err, r.Breaches)
	}
}

// Its box is moved by another goroutine, which may be about to.
func TestWhoLeftMovesNoMoreAndIsOwedNothing(t *testing.T) {
	o := Options{Devices: 4, Viewers: 1, Crowd: Crowd{PanEvery: time.Second}}
	r := &run{options: o, devices: make([]device, 4), ledger: NewLedger(4, 1, durable())}
	v := &viewer{run: r, sight: &sight{run: r}, held: make([]uint32, 4)}
	r.ledger.Open(0, 0, -1, r.ledger.Floor())
	v.sight.begin()
	r.ledger.Ready(0)
	v.leave()
	if next, ok := v.sight.move(); ok {
		t.Errorf("it moves: %+v", next)
	}
	for d := range 4 {
		if r.ledger.viewers[0].isOwed(d) {
			t.Errorf("it is owed device %d", d)
		}
	}
}

// The view's `ready` is a promise: one that lacks what others were shown before is a hole.
func TestAMoveThatShowsNothingIsAHole(t *testing.T) {
	o := Options{Devices: 4, Viewers: 1, Crowd: Crowd{PanEvery: time.Second}}
	r := &run{options: o, devices: make([]device, 4), ledger: NewLedger(4, 1, durable())}
	s := &sight{run: r}
	r.ledger.Open(0, 0, -1, r.ledger.Floor())
	s.begin()
	s.ready([]byte(`{"sid":"s"}`))
	r.ledger.Ready(0)
	for d := range 4 {
		r.ledger.Published(d, r.ledger.Sent(d), 0)
		r.ledger.Read("another viewer", d, full(1), 0)
	}
	v, ok := s.move()
	if !ok || v.sid != "s" || v.Seq != 1 || s.isOver() || !s.maySee(0) || !s.maySee(2) || s.must[0] || s.must[3] {
		t.Errorf("%+v: %v", v, s.may)
	}
	s.ready(nil) // of before the move
	if s.isOver() {
		t.Error("the move is over before it was told")
	}
	s.viewed([]byte(`{"seq":1}`))
	s.ready(nil)
	r.ledger.Ready(0)
	if got, _ := r.ledger.Breaches(); got[Hole] != 2 || len(got) != 1 || !s.isOver() {
		t.Errorf("%v", got)
	}
	s.viewed([]byte(`{"seq":9}`))
	if got, _ := r.ledger.Breaches(); got[Malformed] != 1 {
		t.Errorf("%v", got)
	}
}

// mixed is a crowd of everything.
func mixed() Crowd {
	return Crowd{
		HTTP2Share: 0.25, HTTP2OwnShare: 0.2, WebSocketShare: 0.3, FilterShare: 0.5, PanEvery: 150 * time.Millisecond,
		SlowShare: 0.15, ResumeShare: 0.4, GoneShare: 0.15,
	}
}

func proveCrowd(t *testing.T, program string) {
	t.Helper()
	g, o := startOptions(t, GatewayOptions{Program: program, Args: []string{"--window=20ms"}, Secure: true})
	o.Faults, o.FaultEvery, o.FaultCount, o.NoResets = []Fault{g.KillFault()}, time.Second, 1, true
	o.Viewers, o.Crowd, o.For, o.Rate = 40, mixed(), 3*time.Second, 10
	r, err := prove(t, o)
	if err != nil || r.Kept != 1 || r.Totals.Lost != 0 || r.Moves == 0 || r.Unasked == 0 || r.Gone == 0 || len(r.Opened) != int(transports) {
		t.Errorf("%v: %+v", err, r)
	}
}
