package sse

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/hub"
)

func fleets(t testing.TB, names ...string) (ids []devices.FleetID) {
	t.Helper()
	for _, n := range names {
		id, err := devices.ParseFleetID(n)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func bob(t testing.TB) *devices.Caller {
	return &devices.Caller{Subject: "bob", Role: devices.Viewer, Scope: devices.OnlyFleets(fleets(t, "north", "east")...), Proof: "session/1"}
}

// edges are two edges on one bus; the stream is at the first.
func twoEdges(t *testing.T) (at, other *Views) {
	t.Helper()
	b, err := bus.NewMemory(bus.MemoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	made := make([]*Views, 2)
	for i := range made {
		if made[i], err = NewViews(ViewsOptions{Edge: testEdge + bus.EdgeID(i), Edges: b}); err != nil {
			t.Fatal(err)
		}
		running.Go(func() { _ = made[i].Run(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the first edge answers", func() bool {
		_, err := made[1].Change(ctx, bob(t), testEdge.String()+".nobody", []byte(`{"seq":1}`))
		return devices.KindOf(err) == devices.NotFound && made[0].Stats()[ViewUnknown.String()] > 0
	})
	return made[0], made[1]
}

// A change reaches the stream from any edge: what is absent is as the stream was opened, null takes a filter away, and
// the fleets stay within the scope.
func TestAViewIsChangedFromAnyEdge(t *testing.T) {
	at, other := twoEdges(t)
	v := newFakeViewer()
	v.sid = testEdge.String() + ".s"
	box, err := devices.NewBBox(1, 2, 3, 4)
	if err != nil {
		t.Fatal(err)
	}
	s := at.Add(v, bob(t), hub.Query{Fleets: fleets(t, "north"), BBox: box, Every: time.Second})
	defer s.Remove()
	for seq, c := range []struct{ body, want string }{
		{`{"seq":%d}`, "[north] 1,2,3,4 1s"},
		{`{"seq":%d,"bbox":[170,-1,-170,1],"every":200}`, "[north] 170,-1,-170,1 200ms"},
		{`{"seq":%d,"bbox":null,"fleets":null,"every":null,"fields":null}`, "[east north]  0s"},
		{`{"seq":%d,"fleets":["east","south"],"devices":["a"]}`, "[east] [a] 1,2,3,4 1s"},
		{`{"seq":%d,"bbox":"5,6,7,8","fields":["lat","lon"]}`, "[north] 5,6,7,8 1s"},
	} {
		for i, views := range []*Views{at, other} {
			n := 2*seq + i
			taken, err := views.Change(t.Context(), bob(t), v.sid, fmt.Appendf(nil, c.body, n))
			if err != nil || !taken {
				t.Fatalf("%s at edge %d: %t, %v", c.body, i, taken, err)
			}
			q := v.moves[n].query
			got := fmt.Sprint(q.Fleets, " ", q.BBox, " ", q.Every)
			if len(q.Devices) > 0 {
				got = fmt.Sprint(q.Fleets, " ", q.Devices, " ", q.BBox, " ", q.Every)
			}
			if got != c.want || v.moves[n].seq != uint64(n) {
				t.Errorf("%s gives %q, want %q", c.body, got, c.want)
			}
		}
	}
	for _, views := range []*Views{at, other} {
		if taken, err := views.Change(t.Context(), bob(t), v.sid, []byte(`{"seq":3}`)); taken || err != nil {
			t.Errorf("an old change: %t, %v", taken, err)
		}
	}
	if n := len(v.moves); n != 10 {
		t.Errorf("%d moves", n)
	}
}

// Whoever is not the stream's own caller, by subject and proof, is told what everybody is told of a stream that is not there.
func TestOnlyTheStreamsOwnCallerChangesItsView(t *testing.T) {
	at, other := twoEdges(t)
	v := newFakeViewer()
	v.sid = testEdge.String() + ".s"
	s := at.Add(v, bob(t), hub.Query{Fleets: fleets(t, "north")})
	eve, again := *bob(t), *bob(t)
	eve.Subject, again.Proof = "eve", "session/2"
	for name, c := range map[string]struct {
		caller *devices.Caller
		sid    string
		body   string
		want   devices.Kind
	}{
		"another subject":   {&eve, v.sid, `{"seq":1}`, devices.NotFound},
		"another proof":     {&again, v.sid, `{"seq":1}`, devices.NotFound},
		"another stream":    {bob(t), testEdge.String() + ".x", `{"seq":1}`, devices.NotFound},
		"another edge":      {bob(t), bus.EdgeID(99).String() + ".s", `{"seq":1}`, devices.NotFound},
		"no sid":            {bob(t), "s", `{"seq":1}`, devices.NotFound},
		"beyond the scope":  {bob(t), v.sid, `{"seq":1,"fleets":["south"]}`, devices.Forbidden},
		"no seq":            {bob(t), v.sid, `{"bbox":[1,2,3,4]}`, devices.Invalid},
		"half a box":        {bob(t), v.sid, `{"seq":1,"bbox":[1,2]}`, devices.Invalid},
		"a box upside down": {bob(t), v.sid, `{"seq":1,"bbox":[1,4,3,2]}`, devices.Invalid},
		"no fleet":          {bob(t), v.sid, `{"seq":1,"fleets":[]}`, devices.Invalid},
		"a fleet too many":  {bob(t), v.sid, `{"seq":1,"fleets":["` + strings.Repeat(`x","`, MaxFleets) + `x"]}`, devices.Invalid},
		"too fast":          {bob(t), v.sid, `{"seq":1,"every":1}`, devices.Invalid},
		"an unknown member": {bob(t), v.sid, `{"seq":1,"box":[1,2,3,4]}`, devices.Invalid},
		"half of it":        {bob(t), v.sid, `{"seq":1`, devices.Invalid},
		"two of them":       {bob(t), v.sid, `{"seq":1}{"seq":2}`, devices.Invalid},
		"negative":          {bob(t), v.sid, `{"seq":-1}`, devices.Invalid},
	} {
		for i, views := range []*Views{at, other} {
			s.last = time.Time{}
			s.spare = ViewsAtOnce
			if _, err := views.Change(t.Context(), c.caller, c.sid, []byte(c.body)); err == nil || devices.KindOf(err) != c.want {
				t.Errorf("%s at edge %d: %v", name, i, err)
			}
		}
	}
	if len(v.moves) != 0 {
		t.Errorf("moves %v", v.moves)
	}
	s.Remove()
	if _, err := other.Change(t.Context(), bob(t), v.sid, []byte(`{"seq":1}`)); devices.KindOf(err) != devices.NotFound {
		t.Errorf("a stream that ended: %v", err)
	}
}

// A map that is dragged wildly is told to wait, and its stream goes on.
func TestTheViewOfAStreamChangesAtABoundedRate(t *testing.T) {
	at, _ := twoEdges(t)
	v := newFakeViewer()
	v.sid = testEdge.String() + ".s"
	s := at.Add(v, bob(t), hub.Query{Fleets: fleets(t, "north")})
	defer s.Remove()
	now := time.Now()
	for range ViewsAtOnce {
		if !s.may(now) {
			t.Fatal("too early")
		}
	}
	if s.may(now) || !s.may(now.Add(time.Second/ViewsPerSecond)) || s.may(now.Add(time.Second/ViewsPerSecond)) {
		t.Error("the rate is another one")
	}
	s.last, s.spare = time.Now(), -1e6
	if _, err := at.Change(t.Context(), bob(t), v.sid, []byte(`{"seq":1}`)); devices.KindOf(err) != devices.Exhausted {
		t.Errorf("%v", err)
	}
	if got := at.Stats()[ViewTooOften.String()]; got != 1 {
		t.Errorf("%d are counted", got)
	}
}

// A stream is in the list from its begin to its end, whichever way it ends.
func TestAStreamThatEndsIsForgotten(t *testing.T) {
	at, _ := twoEdges(t)
	h, f := newTestHandler(t, Options{Views: at})
	c := dial(t, serve(t, h), get)
	c.until(t, "\n\n")
	v := f.viewer(t, 0)
	caller := openCaller
	eventually(t, "the view can be changed", func() bool {
		taken, _ := at.Change(t.Context(), &caller, v.sid, []byte(`{"seq":1}`))
		return taken
	})
	v.Close()
	ended(t, h, Stopped, 1)
	if _, err := at.Change(t.Context(), &caller, v.sid, []byte(`{"seq":2}`)); devices.KindOf(err) != devices.NotFound {
		t.Errorf("%v", err)
	}
}

func FuzzChange(f *testing.F) {
	f.Add(`{"seq":1,"bbox":[1,2,3,4],"fleets":["north"],"devices":null,"fields":["lat"],"every":1000}`)
	f.Fuzz(func(t *testing.T, text string) {
		var c change
		if DecodeStrict([]byte(text), &c) != nil {
			return
		}
		q, err := c.over(hub.Query{}, devices.OnlyFleets(fleets(t, "north")...))
		if err == nil && fmt.Sprint(q.Fleets) != "[north]" {
			t.Errorf("%q reads %v", text, q.Fleets)
		}
	})
}
