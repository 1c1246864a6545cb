package dashboard_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// The page of the test is only worth something while its hook is the article's.
func TestArticlePageHasTheArticlesHookWordForWord(t *testing.T) {
	hook, page := lines(t, "testdata/article/hook.txt"), lines(t, "testdata/article/main.jsx")
	if !strings.Contains(page, hook) {
		t.Errorf("main.jsx does not hold\n%s", hook)
	}
	if strings.Count(page, "EventSource") != 1 {
		t.Error("the page does more with the stream than the hook")
	}
}

// lines returns a file's lines without their indentation, which the article does not have.
func lines(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		out.WriteString(strings.TrimSpace(line) + "\n")
	}
	return out.String()
}

// shows is a condition: the article's page holds the asset id with these bytes.
func shows(asset string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('#assets li')].some(li => li.dataset.asset === %q)`, asset)
}

func count(n int) string {
	return fmt.Sprintf(`document.querySelector('#assets')?.dataset.count === '%d'`, n)
}

const (
	truck = `{"id":"truck-17","fleet":"north","name":"Truck 17","status":"online","at":1795353543237,"received":1795353543301,` +
		`"lat":48.85833,"lon":2.29513,"speed":16.9,"heading":271,"metrics":{"fuel":41.5}}`
	van = `{"id":"van-3","fleet":"north","status":"unknown","received":1795353543301}`
)

func moved(asset, lat string) string {
	return strings.Replace(asset, `"lat":48.85833`, `"lat":`+lat, 1)
}

func TestArticlePageShowsAndFollowsTheAssets(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	gateway := stream.serveWith(t, nil)
	stream.put(truck, van)
	page := browsertest.ServeArticle(t, func() string { return gateway })
	b := browsertest.Start(t)
	b.Open(page)
	b.WaitFor(count(2))
	b.WaitFor(shows(truck) + " && " + shows(van))

	stream.put(moved(truck, "48.9"))
	b.WaitFor(shows(moved(truck, "48.9")))
	stream.announce("heartbeat", `{"now":1795353543301,"lag_ms":1}`)
	stream.put(moved(truck, "49"))
	b.WaitFor(shows(moved(truck, "49")) + " && " + count(2))
	if errs := b.Errors(); len(errs) > 0 {
		t.Errorf("the console says %q", errs)
	}
}

func TestArticlePageIsUpToDateAgainAfterACut(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	gateway := stream.serveWith(t, nil)
	stream.put(truck, van)
	page := browsertest.ServeArticle(t, func() string { return gateway })
	b := browsertest.Start(t)
	b.Open(page)
	b.WaitFor(count(2))

	stream.cutAll()
	stream.put(moved(truck, "50"))
	b.WaitFor(shows(moved(truck, "50")) + " && " + count(2))
	if stream.lastResume().id == "" {
		t.Error("the browser came back without the last id")
	}
}

// The gateway goes, is away for some of the browser's attempts, and comes back elsewhere with another epoch.
func TestArticlePageIsUpToDateAgainAfterTheGatewayRestarts(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	var mu sync.Mutex
	first := httptest.NewServer(stream)
	defer first.Close()
	gateway := first.URL
	asked := make(chan struct{}, 10)
	page := browsertest.ServeArticle(t, func() string {
		mu.Lock()
		defer mu.Unlock()
		select {
		case asked <- struct{}{}:
		default:
		}
		return gateway
	})
	stream.put(truck)
	b := browsertest.Start(t)
	b.Open(page)
	b.WaitFor(shows(truck))
	<-asked

	first.Listener.Close()
	stream.restart()
	<-asked // the browser tried while nobody was there
	second := stream.serveWith(t, nil)
	mu.Lock()
	gateway = second
	mu.Unlock()
	stream.put(moved(truck, "51"))
	b.WaitFor(shows(moved(truck, "51")))
}
