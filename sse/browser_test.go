package sse

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// page keeps what a browser's own EventSource tells it.
const page = `<!doctype html><title>stream</title><script>
const got = [], ids = [];
let opened = 0;
const source = new EventSource('/stream/assets');
source.onopen = () => { opened++ };
source.onmessage = (e) => { got.push(JSON.parse(e.data).n); ids.push(e.lastEventId) };
</script>`

// A real browser decodes each piece as it comes, comes back from a piece that was cut in the middle and after a drain,
// and says each time how far it has come.
func TestChromiumReadsAPackedStream(t *testing.T) {
	t.Run("gzip", func(t *testing.T) { readPacked(t, gzipped, Options{}) })
	t.Run("zstd", func(t *testing.T) { readPacked(t, zstdCoded, Options{Zstd: true}) }) // asked for from this machine, as by https
}

func readPacked(t *testing.T, c *coding, o Options) {
	h, f := newTestHandler(t, o)
	mux := http.NewServeMux()
	mux.Handle("/stream/assets", h)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) })
	addr := serve(t, mux)
	browser := browsertest.Start(t)
	browser.Open("http://" + addr + "/")
	event := func(n int) []byte {
		return Plain.AppendAssets(nil, [][]byte{fmt.Appendf(nil, `{"n":%d,"pad":"%01000d"}`, n, n)}, fmt.Sprintf("id-%d", n))
	}
	next := 0
	live := func(v *fakeViewer) {
		t.Helper()
		if v.format != c.plain {
			t.Fatalf("the browser was given %q", v.format.Name())
		}
		for range 3 { // each must be on the page before the next is made
			next++
			v.chunks <- c.pack(event(next))
			browser.WaitFor(fmt.Sprintf("got.length === %d && got.at(-1) === %d", next, next))
		}
	}
	live(f.viewer(t, 0))

	cut := c.pack(event(99))
	v := f.viewer(t, 0)
	before := v.total()
	v.chunks <- cut[:len(cut)/2]
	eventually(t, "half a piece is written", func() bool { return v.total() > before })
	for _, s := range h.streams.Members() {
		s.Cut()
	}
	v.chunks <- nil // it finds out by the next write
	v.chunks <- []byte{0}
	v = f.viewer(t, 1)
	if v.lastID != "id-3" {
		t.Errorf("after the cut it goes on from %q", v.lastID)
	}
	live(v)

	v.Close() // ends with a retry of its own, and no trailer
	v = f.viewer(t, 2)
	if v.lastID != "id-6" {
		t.Errorf("after the end it goes on from %q", v.lastID)
	}
	live(v)
	browser.WaitFor("opened === 3")
	if errs := browser.Errors(); len(errs) > 0 {
		t.Errorf("the console says %q", errs)
	}
}
