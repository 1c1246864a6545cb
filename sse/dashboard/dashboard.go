package dashboard

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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

// dist holds what `npm run build` made: the application in dist/app, and the outlines of the world. It is committed empty
// but for a placeholder, since go:embed refuses a pattern that matches nothing and a plain `go build` must work; hence
// all:, for the placeholder begins with a dot.
//
//go:embed all:dist
var distFiles embed.FS

// distNames are the files that dist itself may hold; anything else there is not served.
var distNames = []string{"outlines.json", "places.json"}

const (
	// SimplePath is where the page without a build is, always; it is at / too where the application is not built.
	SimplePath = "/simple"
	assetsPath = "/assets/"
)

// How long a browser may keep an answer. The application's assets have the hash of their content in their names. Other
// names do not change with the content, so a browser asks each time and mostly hears 304: a page of one version with
// modules of another would be worse than the questions.
const (
	cacheNever   = "no-cache"
	cacheForever = "public, max-age=31536000, immutable"
)

// Options of the dashboard. The zero value serves what is embedded.
type Options struct {
	// Dist replaces the embedded results of `npm run build`, for example with os.DirFS("sse/dashboard/dist").
	Dist fs.FS
	// MapStyle is where the application's map comes from; "": from the outlines of the world. See ParseMapStyle.
	MapStyle string
	// ViewportFrom is from how many assets on the application follows its window; 0: DefaultViewportFrom.
	ViewportFrom int
}

// DefaultViewportFrom is what a browser holds with ease: of 10,000 assets it was measured (deploy/docs/page.md).
const DefaultViewportFrom = 20_000

// Dashboard serves the page. It is safe for concurrent use.
type Dashboard struct {
	files    map[string]*file // by URL path
	mapFiles map[string]string
}

// New reads the files. It starts nothing.
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
	style, err := ParseMapStyle(opts.MapStyle)
	if err != nil {
		return nil, err
	}
	d := &Dashboard{files: make(map[string]*file), mapFiles: style.files()}
	if err := d.addPage(page); err != nil {
		return nil, err
	}
	for _, name := range distNames {
		if err := d.add(dist, name, "/"+name, simplePolicy); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err // one that is not built is done without
		}
	}
	if err := d.addApp(dist, style, cmp.Or(opts.ViewportFrom, DefaultViewportFrom)); err != nil {
		return nil, err
	}
	return d, nil
}

// addPage adds the page without a build.
func (d *Dashboard) addPage(page fs.FS) error {
	names, err := fs.Glob(page, "*")
	if err != nil {
		return fmt.Errorf("list page: %w", err)
	}
	for _, name := range names {
		url := "/page/" + name
		if name == "index.html" {
			url = SimplePath
		}
		if err := d.add(page, name, url, simplePolicy); err != nil {
			return err
		}
	}
	d.files["/"] = d.files[SimplePath]
	return nil
}

// addApp adds the application, in whose place / shows the page without a build where there is none.
func (d *Dashboard) addApp(dist fs.FS, style MapStyle, viewportFrom int) error {
	policy := appPolicy(style.Origin)
	err := d.add(dist, "app/index.html", "/", policy)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(dist, "app/assets")
	if err != nil {
		return fmt.Errorf("list application: %w", err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		url := assetsPath + entry.Name()
		if err := d.add(dist, "app/assets/"+entry.Name(), url, policy); err != nil {
			return err
		}
		d.files[url].cache = cacheForever
	}
	settings, err := newFile(".json", style.settings(viewportFrom))
	if err != nil {
		return err
	}
	settings.policy = policy
	d.files["/ui.json"] = settings
	return nil
}

func (d *Dashboard) add(from fs.FS, name, url, policy string) error {
	data, err := fs.ReadFile(from, name)
	if err != nil {
		return fmt.Errorf("read page file: %w", err)
	}
	f, err := newFile(path.Ext(name), data)
	if err != nil {
		return fmt.Errorf("prepare page file %s: %w", name, err)
	}
	f.policy = policy
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
	paths := slices.AppendSeq(slices.Collect(maps.Keys(d.files)), maps.Keys(d.mapFiles))
	slices.Sort(paths)
	return paths
}

// ServeHTTP serves the file whose path is exactly the URL's; there are no folders, so nothing to list or to climb out of.
// Where the application is, what follows the # is its own.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := d.files[r.URL.Path]
	mapFile, isMap := d.mapFiles[r.URL.Path]
	if !ok && !isMap {
		problem.Write(w, r, devices.Errorf(devices.NotFound, "", "there is nothing at this path"))
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		problem.MethodNotAllowed(http.MethodGet, http.MethodHead).Write(w, r)
		return
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if isMap {
		serveMapFile(w, r, mapFile)
		return
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", f.cache)
	h.Set("Content-Security-Policy", f.policy)
	body, etag := f.plain, f.etag
	if f.packs() {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(strings.Join(r.Header.Values("Accept-Encoding"), ",")) {
			if packed := f.gzipped(); packed != nil {
				body, etag = packed, f.gzipEtag
				h.Set("Content-Encoding", "gzip")
			}
		}
	}
	h.Set("ETag", etag)
	// Answers If-None-Match, HEAD and ranges. No Last-Modified: embedded files have no times.
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}
