package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/problem"
)

// MapKind says what a map is drawn from.
type MapKind string

// Kinds of map.
const (
	MapOutlines MapKind = "outlines" // of the world, embedded
	MapStyled   MapKind = "style"    // a MapLibre style
	MapTiles    MapKind = "pmtiles"  // one file of vector tiles, in the layers of Protomaps' base map
)

const (
	pmtilesExt = ".pmtiles"
	// Where a map of the user's own disk is served.
	ownStylePath = "/map/style.json"
	ownTilesPath = "/map/tiles.pmtiles"
)

// MapStyle is where the map of the application comes from.
type MapStyle struct {
	Kind MapKind
	// URL is what the page loads, as it is written in it.
	URL string
	// Origin is another one that the page may load from; "": none.
	Origin string

	file string // on this machine, served at URL
}

// ParseMapStyle reads the setting: "" for the outlines; an http or https URL of a MapLibre style or of a file of PMTiles;
// or a file of either on this machine, which must be there. PMTiles are told by their ending.
func ParseMapStyle(setting string) (MapStyle, error) {
	if setting == "" {
		return MapStyle{Kind: MapOutlines}, nil
	}
	kind := MapStyled
	if strings.Contains(setting, "://") {
		u, err := url.Parse(setting)
		// What an origin may hold goes into the policy as it is; anything else could end the directive.
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil || !isHost(u.Host) {
			return MapStyle{}, fmt.Errorf("read map style: %q is no http or https URL of a host", setting)
		}
		if strings.HasSuffix(u.Path, pmtilesExt) {
			kind = MapTiles
		}
		return MapStyle{Kind: kind, URL: u.String(), Origin: u.Scheme + "://" + u.Host}, nil
	}
	own := ownStylePath
	switch filepath.Ext(setting) {
	case pmtilesExt:
		kind, own = MapTiles, ownTilesPath
	case ".json":
	default:
		return MapStyle{}, fmt.Errorf("read map style: the file %q is neither .json (a MapLibre style) nor %s", setting, pmtilesExt)
	}
	info, err := os.Stat(setting)
	if err != nil {
		return MapStyle{}, fmt.Errorf("read map style: %w", err)
	}
	if !info.Mode().IsRegular() {
		return MapStyle{}, fmt.Errorf("read map style: %q is no file", setting)
	}
	return MapStyle{Kind: kind, URL: own, file: setting}, nil
}

func isHost(host string) bool {
	return host != "" && strings.IndexFunc(host, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]", r)
	}) < 0
}

// settings are what the application reads at /ui.json.
func (m MapStyle) settings(viewportFrom int) []byte {
	type mapSettings struct {
		Kind MapKind `json:"kind"`
		URL  string  `json:"url,omitempty"`
	}
	data, err := json.Marshal(struct {
		Map          mapSettings `json:"map"`
		ViewportFrom int         `json:"viewport_from"`
	}{mapSettings{Kind: m.Kind, URL: m.URL}, viewportFrom})
	if err != nil {
		return []byte(`{"map":{"kind":"outlines"}}`) // strings and a number always encode
	}
	return data
}

func (m MapStyle) files() map[string]string {
	if m.file == "" {
		return nil
	}
	return map[string]string{m.URL: m.file}
}

// serveMapFile serves a file of the user's disk, in ranges: PMTiles are read so, a few kilobytes at a time.
func serveMapFile(w http.ResponseWriter, r *http.Request, name string) {
	f, err := os.Open(name) //nolint:gosec // the file that the setting names
	if err != nil {
		problem.Write(w, r, devices.Errorf(devices.Unavailable, "", "the map cannot be read"))
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		problem.Write(w, r, devices.Errorf(devices.Unavailable, "", "the map cannot be read"))
		return
	}
	contentType := "application/octet-stream"
	if filepath.Ext(name) == ".json" {
		contentType = contentTypes[".json"]
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", cacheNever)
	w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	http.ServeContent(w, r, "", info.ModTime(), f)
}
