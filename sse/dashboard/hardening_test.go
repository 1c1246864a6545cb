package dashboard

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
)

// A path that is not exactly a file's is unknown: there is no folder to list and nothing to climb out of.
func TestNoPathLeavesThePage(t *testing.T) {
	d := newDashboard(t, fstest.MapFS{
		"outlines.json": {Data: []byte(`{}`)}, ".gitkeep": {Data: []byte("x")}, "secret.json": {Data: []byte("x")},
	})
	for _, path := range []string{
		"", "/page", "/page/", "/dist/", "/.gitkeep", "/secret.json", "/index.html", "/page/index.html", "//", "/./",
		"/page/../dashboard.go", "/../dashboard.go", "/page/..%2f..%2fgo.mod", `/page\..\dashboard.go`, "/page/main.js/", "/page/main.js\x00",
		"/PAGE/MAIN.JS", "/page/" + strings.Repeat("../", 1000) + "etc/passwd",
	} {
		if res := ask(d, http.MethodGet, path); res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %.60q gives %d", path, res.StatusCode)
		}
	}
}

// Our own source holds to what the policy forbids, so that the policy can never be what keeps the page from working.
func TestPageNeitherParsesHTMLNorRunsInlineCode(t *testing.T) {
	d := newDashboard(t, fstest.MapFS{})
	for _, p := range d.Paths() {
		source := body(t, ask(d, http.MethodGet, p))
		for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "javascript:", " style=", "<style", " onclick=", "http-equiv"} {
			if strings.Contains(source, word) {
				t.Errorf("%s holds %q", p, word)
			}
		}
		if p == "/" && strings.Count(source, "<script") != strings.Count(source, `<script type="module" src="/page/`) {
			t.Error("the index holds a script that is not a module of ours")
		}
		if strings.Contains(strings.ReplaceAll(source, "http://www.w3.org/2000/svg", ""), "http://") || strings.Contains(source, "https://") {
			t.Errorf("%s refers to another origin", p)
		}
	}
}
