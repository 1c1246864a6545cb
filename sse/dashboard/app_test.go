package dashboard

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// built is what a build leaves in dist, in small.
func built() fstest.MapFS {
	return fstest.MapFS{
		"app/index.html":              {Data: []byte(`<title>Fleetcast</title><script type="module" src="/assets/index-Ab12.js"></script>`)},
		"app/assets/index-Ab12.js":    {Data: []byte(strings.Repeat("console.log(1)\n", 200))},
		"app/assets/worker-Cd34.mjs":  {Data: []byte("self")},
		"app/assets/inter-Ef56.woff2": {Data: []byte(strings.Repeat("w", 3000))},
		"app/notes.html":              {Data: []byte("x")},
		"app/assets/deeper/hidden.js": {Data: []byte("x")},
		"places.json":                 {Data: []byte(`{}`)},
		"node_modules/left/over.js":   {Data: []byte("x")},
	}
}

func TestTheApplicationIsAtTheRootWhereItIsBuiltAndTheSimplePageAlwaysAtItsOwn(t *testing.T) {
	for _, d := range []*Dashboard{newDashboard(t, built()), newDashboard(t, fstest.MapFS{})} {
		if got := body(t, ask(d, http.MethodGet, SimplePath)); !strings.Contains(got, "/page/main.js") {
			t.Errorf("the simple page is %.100s", got)
		}
	}
	d := newDashboard(t, built())
	res := ask(d, http.MethodGet, "/")
	if got := body(t, res); !strings.Contains(got, "/assets/index-Ab12.js") || res.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("the root is %.100s, %v", got, res.Header)
	}
	policy := res.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "worker-src 'self'", "connect-src 'self'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("the policy is loose: %s", policy)
	}
	if got := body(t, ask(newDashboard(t, fstest.MapFS{}), http.MethodGet, "/")); !strings.Contains(got, "/page/main.js") {
		t.Errorf("without a build the root is %.100s", got)
	}
}

func TestAssetsOfTheApplicationMayBeKeptForEver(t *testing.T) {
	d := newDashboard(t, built())
	for path, contentType := range map[string]string{
		"/assets/index-Ab12.js": "text/javascript; charset=utf-8", "/assets/worker-Cd34.mjs": "text/javascript; charset=utf-8", "/assets/inter-Ef56.woff2": "font/woff2",
	} {
		res := ask(d, http.MethodGet, path, "Accept-Encoding", "gzip")
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != contentType || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
		if packed := res.Header.Get("Content-Encoding") == "gzip"; packed != (path == "/assets/index-Ab12.js") {
			t.Errorf("%s is packed: %v", path, packed)
		}
	}
	for _, path := range []string{"/assets/", "/assets/hidden.js", "/assets/deeper/hidden.js", "/app/index.html", "/notes.html", "/assets/../app/notes.html", "/node_modules/left/over.js"} {
		if res := ask(d, http.MethodGet, path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s gives %d", path, res.StatusCode)
		}
	}
}

func TestTheMapIsTheUsersByOneSetting(t *testing.T) {
	dir := t.TempDir()
	tiles, style := filepath.Join(dir, "world.pmtiles"), filepath.Join(dir, "style.json")
	for name, data := range map[string]string{tiles: "PMTiles0123456789", style: `{"version":8}`} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ setting, settings, origin string }{
		{"", `{"map":{"kind":"outlines"},"viewport_from":20000}`, ""},
		{"https://tiles.example.org/style.json?key=1", `{"map":{"kind":"style","url":"https://tiles.example.org/style.json?key=1"},"viewport_from":20000}`, "https://tiles.example.org"},
		{"http://10.0.0.1:8000/world.pmtiles", `{"map":{"kind":"pmtiles","url":"http://10.0.0.1:8000/world.pmtiles"},"viewport_from":20000}`, "http://10.0.0.1:8000"},
		{tiles, `{"map":{"kind":"pmtiles","url":"/map/tiles.pmtiles"},"viewport_from":20000}`, ""},
		{style, `{"map":{"kind":"style","url":"/map/style.json"},"viewport_from":20000}`, ""},
	} {
		d, err := New(Options{Dist: built(), MapStyle: c.setting})
		if err != nil {
			t.Fatal(err)
		}
		if got := body(t, ask(d, http.MethodGet, "/ui.json")); got != c.settings {
			t.Errorf("%q: the page is told %s", c.setting, got)
		}
		policy := ask(d, http.MethodGet, "/").Header.Get("Content-Security-Policy")
		want := "connect-src 'self'"
		if c.origin != "" {
			want += " " + c.origin
		}
		if !strings.HasSuffix(policy, want) {
			t.Errorf("%q: the policy is %s", c.setting, policy)
		}
	}
	d, err := New(Options{Dist: built(), MapStyle: tiles})
	if err != nil {
		t.Fatal(err)
	}
	res := ask(d, http.MethodGet, "/map/tiles.pmtiles", "Range", "bytes=7-9")
	if got := body(t, res); res.StatusCode != http.StatusPartialContent || got != "012" || res.Header.Get("ETag") == "" {
		t.Errorf("a range of the tiles is %d %q", res.StatusCode, got)
	}
	if !slices.Contains(d.Paths(), "/map/tiles.pmtiles") || slices.Contains(d.Paths(), "/map/style.json") {
		t.Errorf("the paths are %v", d.Paths())
	}
}

// What a setting may put into the policy is an origin and no more.
func TestNoMapSettingLoosensThePolicy(t *testing.T) {
	for _, setting := range []string{
		"https://a.example;script-src *", "https://a.example *", "https://*", "javascript://x", "ftp://a.example/x.json", "https://user:secret@a.example/style.json",
		"https://", "https://a.example,b.example/", "missing.pmtiles", "missing.json", "world.mbtiles", "/", ".", "https://a.example\n/x",
	} {
		if d, err := New(Options{Dist: built(), MapStyle: setting}); err == nil {
			t.Errorf("%q is taken: %s", setting, d.files["/"].policy)
		}
	}
}
