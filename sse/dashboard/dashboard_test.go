package dashboard

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func newDashboard(t testing.TB, dist fs.FS) *Dashboard {
	t.Helper()
	d, err := New(Options{Dist: dist})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func ask(d *Dashboard, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "http://gateway.test/", nil)
	r.URL.Path = target // as it stands: the constructor would refuse the hostile ones
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, res *http.Response) string {
	t.Helper()
	defer func() { _ = res.Body.Close() }()
	var in io.Reader = res.Body
	if res.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		in = zr
	}
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestIndexHasItsHeaders(t *testing.T) {
	res := ask(newDashboard(t, fstest.MapFS{}), http.MethodGet, "/")
	if res.StatusCode != http.StatusOK || !strings.Contains(body(t, res), "<title>Fleetcast</title>") {
		t.Fatalf("GET / gives %d", res.StatusCode)
	}
	for name, want := range map[string]string{
		"Content-Type":                 "text/html; charset=utf-8",
		"Cache-Control":                "no-cache",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Content-Security-Policy":      simplePolicy,
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if strings.Contains(simplePolicy, "unsafe") {
		t.Error("the policy allows something unsafe")
	}
}

func TestEveryFileOfThePageIsServedWithItsType(t *testing.T) {
	d := newDashboard(t, fstest.MapFS{"outlines.json": {Data: []byte(`{}`)}})
	paths := d.Paths()
	for _, want := range []string{"/", "/page/main.js", "/page/style.css", "/page/favicon.svg", "/outlines.json"} {
		if !slices.Contains(paths, want) {
			t.Errorf("%s is not served; there are %v", want, paths)
		}
	}
	for _, p := range paths {
		res := ask(d, http.MethodGet, p)
		if res.StatusCode != http.StatusOK || body(t, res) == "" {
			t.Errorf("GET %s gives %d", p, res.StatusCode)
		}
		if strings.HasSuffix(p, ".js") && res.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("%s is %s, which no browser runs as a module", p, res.Header.Get("Content-Type"))
		}
	}
}

func TestModulesImportOnlyWhatIsServed(t *testing.T) {
	d := newDashboard(t, fstest.MapFS{})
	for _, p := range d.Paths() {
		if !strings.HasSuffix(p, ".js") {
			continue
		}
		for line := range strings.Lines(body(t, ask(d, http.MethodGet, p))) {
			_, name, ok := strings.Cut(strings.TrimSpace(line), "from './")
			if ok && !slices.Contains(d.Paths(), "/page/"+strings.TrimSuffix(name, "'")) {
				t.Errorf("%s imports %s", p, name)
			}
		}
	}
}

func TestUnchangedFilesAreNotSentAgain(t *testing.T) {
	d := newDashboard(t, fstest.MapFS{})
	for _, encoding := range []string{"identity", "gzip"} {
		first := ask(d, http.MethodGet, "/page/main.js", "Accept-Encoding", encoding)
		etag := first.Header.Get("ETag")
		again := ask(d, http.MethodGet, "/page/main.js", "Accept-Encoding", encoding, "If-None-Match", etag)
		if etag == "" || again.StatusCode != http.StatusNotModified || body(t, again) != "" {
			t.Errorf("%s: etag %s, then %d", encoding, etag, again.StatusCode)
		}
		if again.Header.Get("ETag") != etag || again.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: the 304 lacks its headers: %v", encoding, again.Header)
		}
	}
}

func TestGzipHoldsTheSameBytesUnderAnotherTag(t *testing.T) {
	d := newDashboard(t, fstest.MapFS{})
	plain := ask(d, http.MethodGet, "/page/main.js")
	packed := ask(d, http.MethodGet, "/page/main.js", "Accept-Encoding", "br, gzip;q=0.8")
	if packed.Header.Get("Content-Encoding") != "gzip" || plain.Header.Get("Content-Encoding") != "" {
		t.Fatalf("encodings %q and %q", packed.Header.Get("Content-Encoding"), plain.Header.Get("Content-Encoding"))
	}
	if plain.Header.Get("Vary") != "Accept-Encoding" || packed.Header.Get("Vary") != "Accept-Encoding" {
		t.Error("a cache is not told that the answer depends on Accept-Encoding")
	}
	if plain.Header.Get("ETag") == packed.Header.Get("ETag") {
		t.Error("both codings have one tag")
	}
	if body(t, plain) != body(t, packed) {
		t.Error("the bytes differ")
	}
}

func TestAcceptEncoding(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "deflate, gzip, br": true, "gzip;q=0.5": true, "gzip; Q=1": true,
		"gzip;q=0": false, "gzip;q=0.000": false, "gzip;q=x": false, "gzip;q=NaN": false, "gzip;foo": false, "x-gzip": false, "*": false,
		"identity": false, "br": false,
	} {
		if got := acceptsGzip(header); got != want {
			t.Errorf("acceptsGzip(%q) = %v", header, got)
		}
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, seed := range []string{"gzip, deflate, br", "gzip;q=0", ";;,,=", "gzip;q=1e309"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if acceptsGzip(header) && !strings.Contains(strings.ToLower(header), "gzip") {
			t.Errorf("%q does not name gzip", header)
		}
	})
}

func TestHeadHasNoBody(t *testing.T) {
	d := newDashboard(t, fstest.MapFS{})
	res := ask(d, http.MethodHead, "/")
	if res.StatusCode != http.StatusOK || body(t, res) != "" || res.Header.Get("ETag") == "" {
		t.Errorf("HEAD / gives %d", res.StatusCode)
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	d := newDashboard(t, fstest.MapFS{})
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "BREW"} {
		res := ask(d, method, "/")
		if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s / gives %d", method, res.StatusCode)
		}
	}
}

func TestOutlinesAreMissingUntilBuilt(t *testing.T) {
	if res := ask(newDashboard(t, fstest.MapFS{}), http.MethodGet, "/outlines.json"); res.StatusCode != http.StatusNotFound {
		t.Errorf("without a build /outlines.json gives %d", res.StatusCode)
	}
	built := newDashboard(t, fstest.MapFS{"outlines.json": {Data: []byte(`{"land":[]}`)}})
	res := ask(built, http.MethodGet, "/outlines.json")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" || body(t, res) != `{"land":[]}` {
		t.Errorf("with a build /outlines.json gives %d", res.StatusCode)
	}
}
