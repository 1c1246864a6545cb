package watch

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
)

func TestDroppedViewersAreCountedUntilTheyAreBack(t *testing.T) {
	const viewers = 5
	var resumed, total atomic.Int64
	again := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Last-Event-ID") != "" {
			resumed.Add(1)
		}
		if total.Add(1) > viewers {
			<-again
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "%s%s", retry, ready)
		_ = http.NewResponseController(w).Flush() // the viewer may be gone
		<-r.Context().Done()
	}))
	defer server.Close()
	w, err := New(Options{Viewers: viewers, Address: func(i int) string { return fmt.Sprintf("%s/?device=%d", server.URL, i) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	testbroker.Eventually(t, "all are live", func() bool { return w.Counts().Live == viewers })
	w.Drop(false)
	if away := w.Away(); away != viewers {
		t.Errorf("%d are away", away)
	}
	close(again)
	testbroker.Eventually(t, "all are back", func() bool { return w.Away() == 0 && w.Counts().Live == viewers })
	w.Drop(true)
	testbroker.Eventually(t, "all are back again", func() bool { return w.Away() == 0 && w.Counts().Live == viewers })
	if r := w.Returned(); r.Count != viewers || r.Max <= 0 {
		t.Errorf("%+v", r)
	}
	if resumed.Load() != viewers {
		t.Errorf("%d came with an id", resumed.Load())
	}
	for i, n := range w.BytesOfEach() {
		if n < 100 {
			t.Errorf("viewer %d read %d bytes", i, n)
		}
	}
	cancel()
	if err := <-done; err != nil || w.Counts().Cut != 2*viewers || w.Counts().Broken != 0 {
		t.Errorf("%v, %+v", err, w.Counts())
	}
}

func TestABlindViewerCountsAndChecksNothing(t *testing.T) {
	r, err := watchScripts(t, Options{Blind: true}, retry+asset("a", "f", 9, 9)+ready+asset("a", "f", 5, 6)+"data: nonsense\n\n"+heartbeat)
	if err != nil || r.Updates != 2 || r.Snapshots != 1 || r.Violations.Total() != 0 || r.Latency.Count != 0 || r.Devices != 0 {
		t.Errorf("%v, %+v", err, r)
	}
}
