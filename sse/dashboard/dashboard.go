package dashboard

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/problem"
)

// The page is ours and always there.
//
//go:embed page
var pageFiles embed.FS

// dist holds what `npm run build` made. It is committed empty but for a placeholder, since go:embed refuses a pattern
// that matches nothing and a plain `go build` must work; hence all:, for the placeholder begins with a dot.
//
//go:embed all:dist
var distFiles embed.FS

// distNames are the files that dist may hold; anything else there is not served.
var distNames = []string{"outlines.json"}

// contentSecurityPolicy lets the page load from its own origin only and run no inline script or style. Trusted Types
// turn every sink that parses HTML into an error: names and metrics of devices are hostile input, shown as text nodes.
const contentSecurityPolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Options of the dashboard. The zero value serves what is embedded.
type Options struct {
	// Dist replaces the embedded results of `npm run build`, for example with os.DirFS("sse/dashboard/dist").
	Dist fs.FS
}

// Dashboard serves the page. It is immutable and safe for concurrent use.
type Dashboard struct {
	files map[string]*file // by URL path
}

// New reads and compresses the files. It starts nothing.
func New(opts Options) (*Dashboard, error) {
	page, err := fs.Sub(pageFiles, "page")
	if err != nil {
		return nil, fmt.Errorf("open page: %w", err)
	}
	dist := opts.Dist
	if dist == nil {
		if dist, err = fs.Sub(distFiles, "dist"); err != nil {
			return nil, fmt.Errorf("open dist: %w", err)
		}
	}
	return load(page, dist)
}

func load(page, dist fs.FS) (*Dashboard, error) {
	d := &Dashboard{files: make(map[string]*file)}
	names, err := fs.Glob(page, "*")
	if err != nil {
		return nil, fmt.Errorf("list page: %w", err)
	}
	for _, name := range names {
		url := "/page/" + name
		if name == "index.html" {
			url = "/"
		}
		if err := d.add(page, name, url); err != nil {
			return nil, err
		}
	}
	for _, name := range distNames {
		if _, err := fs.Stat(dist, name); err != nil {
			continue // not built: the page does without
		}
		if err := d.add(dist, name, "/"+name); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *Dashboard) add(from fs.FS, name, url string) error {
	data, err := fs.ReadFile(from, name)
	if err != nil {
		return fmt.Errorf("read page file: %w", err)
	}
	f, err := newFile(path.Ext(name), data)
	if err != nil {
		return fmt.Errorf("prepare page file %s: %w", name, err)
	}
	d.files[url] = f
	return nil
}

// Paths lists the URL paths that the dashboard serves, sorted. A router registers each for GET and HEAD, so that its
// own answers to unknown paths and other methods stay in force:
//
//	for _, path := range d.Paths() {
//		router.Method(http.MethodGet, path, d)
//		router.Method(http.MethodHead, path, d)
//	}
func (d *Dashboard) Paths() []string {
	paths := make([]string, 0, len(d.files))
	for url := range d.files {
		paths = append(paths, url)
	}
	slices.Sort(paths)
	return paths
}

// ServeHTTP serves the file whose path is exactly the URL's; there are no folders, so nothing to list or to climb out of.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := d.files[r.URL.Path]
	if !ok {
		problem.Write(w, r, devices.Errorf(devices.NotFound, "", "there is nothing at this path"))
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		problem.MethodNotAllowed(http.MethodGet, http.MethodHead).Write(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	// The names do not change with the content, so a browser asks each time and mostly hears 304. A page of one version
	// with modules of another would be worse than the questions.
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	body, etag := f.plain, f.etag
	if f.gzipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(strings.Join(r.Header.Values("Accept-Encoding"), ",")) {
			body, etag = f.gzipped, f.gzipEtag
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", etag)
	// Answers If-None-Match, HEAD and ranges. No Last-Modified: embedded files have no times.
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}
