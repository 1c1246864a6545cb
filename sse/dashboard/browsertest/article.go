package browsertest

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// BuildArticle bundles the React page of testdata/article, whose hook is the article's word for word, with the real
// react and react-dom, and returns the folder with index.html and main.js.
//
// The page renders a list with one <li> an asset, in no order: data-id is the asset's id and data-asset its JSON as the
// hook holds it. The <ul id="assets"> has the number of assets as data-count.
func BuildArticle(t testing.TB) string {
	t.Helper()
	return bundle(t, "article")
}

var bundling sync.Mutex

// bundle makes a page of a folder of testdata, once for all tests of the process where they share a Chromium.
func bundle(t testing.TB, name string) string {
	t.Helper()
	bundling.Lock()
	defer bundling.Unlock()
	out := filepath.Join(sharedDir(t), name)
	if exists(out) {
		return out
	}
	source := filepath.Join(dashboardDir(t), "testdata", name)
	packages := Packages(t)
	Node(t, source, packages, filepath.Join(packages, "esbuild", "bin", "esbuild"), "main.jsx", "--bundle", "--jsx=automatic",
		`--define:process.env.NODE_ENV="production"`, "--log-level=warning", "--outfile="+filepath.Join(out, "main.js"))
	index, err := os.ReadFile(filepath.Join(source, "index.html"))
	if err != nil {
		t.Fatalf("read page %s: %v", name, err)
	}
	if err := os.WriteFile(filepath.Join(out, "index.html"), index, 0o644); err != nil {
		_ = os.RemoveAll(out)
		t.Fatalf("write page %s: %v", name, err)
	}
	return out
}

// ServeArticle serves the article's page and, from the same origin, the streams of a gateway, until the test ends, and
// returns the page's URL. gatewayURL is asked for each connection, so the gateway may come back at another port; it must
// be safe for concurrent use.
//
// The proxy behaves as no proxy: where the gateway does not answer or cuts a stream, the browser's connection is cut
// too. Answering 502, as most proxies do, would end the EventSource for good, for any answer but 200 does (WHATWG HTML,
// section 9.2.3).
func ServeArticle(t testing.TB, gatewayURL func() string) string {
	t.Helper()
	return serve(t, http.FileServer(http.Dir(BuildArticle(t))), gatewayURL, func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) })
}

// ServeClient serves the page of testdata/client, which is one around the client package, and the gateway's streams and
// API from the same origin. The proxy is one as they are: where the gateway does not answer, it says 502.
func ServeClient(t testing.TB, gatewayURL func() string) string {
	t.Helper()
	return ServeBefore(t, http.FileServer(http.Dir(bundle(t, "client"))), gatewayURL)
}

// ServeBefore serves a page and, from the same origin, a gateway behind a proxy that says 502 where it does not answer.
func ServeBefore(t testing.TB, page http.Handler, gatewayURL func() string) string {
	t.Helper()
	return serve(t, page, gatewayURL, func(w http.ResponseWriter, _ *http.Request, _ error) {
		w.WriteHeader(http.StatusBadGateway)
	})
}

// serve serves a page and, by a proxy, a gateway.
func serve(t testing.TB, page http.Handler, gatewayURL func() string, failed func(http.ResponseWriter, *http.Request, error)) string {
	t.Helper()
	quiet := log.New(io.Discard, "", 0) // net/http reports each cut, and cuts are what the tests do
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			target, err := url.Parse(gatewayURL())
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			r.SetURL(target)
		},
		Transport:     transport,
		FlushInterval: -1, // each event as it comes
		ErrorLog:      quiet,
		ErrorHandler:  failed,
	}
	mux := http.NewServeMux()
	mux.Handle("/stream/", proxy)
	mux.Handle("/api/", proxy)
	mux.Handle("/", page)
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = quiet
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections() // Close waits for open streams
		server.Close()
		transport.CloseIdleConnections()
	})
	return server.URL + "/"
}
