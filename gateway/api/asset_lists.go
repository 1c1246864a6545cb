package api

import (
	"encoding/json"
	"net/http"

	"github.com/fleetcast/fleetcast/devices"
)

// listedAsset is what a list looks at of an asset.
type listedAsset struct {
	frame    []byte
	ID       string   `json:"id"`
	Fleet    string   `json:"fleet"`
	Name     string   `json:"name"`
	Status   string   `json:"status"`
	At       int64    `json:"at"`
	Received int64    `json:"received"`
	Lat      *float64 `json:"lat"`
	Lon      *float64 `json:"lon"`
	Speed    *float64 `json:"speed"`
	Battery  *float64 `json:"battery"`
}

func byMeasure(v *float64) sortKey {
	if v == nil {
		return sortKey{absent: true}
	}
	return byNumber(*v)
}

var assetListing = listing[*listedAsset]{
	id:   func(a *listedAsset) string { return a.ID },
	text: func(a *listedAsset) []string { return []string{a.Name} },
	keys: map[string]func(*listedAsset) sortKey{
		"name":     func(a *listedAsset) sortKey { return byText(a.Name) },
		"fleet":    func(a *listedAsset) sortKey { return byText(a.Fleet) },
		"status":   func(a *listedAsset) sortKey { return byText(a.Status) },
		"at":       func(a *listedAsset) sortKey { return byTime(a.At) },
		"received": func(a *listedAsset) sortKey { return byTime(a.Received) },
		"speed":    func(a *listedAsset) sortKey { return byMeasure(a.Speed) },
		"battery":  func(a *listedAsset) sortKey { return byMeasure(a.Battery) },
	},
}

// looking is how many lists may look at every asset at once: each holds all of them for a moment.
const looking = 2

// assetsOf is the one way to lists of assets: of the fleets that the caller may see. By id and without a search it costs a
// page; otherwise every asset of the fleets and the status that are asked for is read, MaxFeatures at most.
func (a *API) assetsOf(r *http.Request, c *devices.Caller, q assetQuery) (frames [][]byte, next string, err error) {
	if !c.Scope.IsAll() {
		left := c.Scope.Narrow(q.Fleets)
		if left.IsEmpty() {
			return nil, "", nil // to the hub, no fleet is every fleet
		}
		q.Fleets = left.Fleets()
	}
	if !q.looksInside() {
		frames, next = a.options.Assets.Assets(q.ListQuery)
		return frames, next, nil
	}
	select {
	case a.looking <- struct{}{}:
		defer func() { <-a.looking }()
	case <-r.Context().Done():
		return nil, "", devices.Errorf(devices.Unavailable, "", "it took too long")
	}
	q.ListQuery.After, q.ListQuery.Limit = "", MaxFeatures
	all, _ := a.options.Assets.Assets(q.ListQuery)
	var found []*listedAsset
	for _, frame := range all {
		asset := &listedAsset{frame: frame}
		if err := json.Unmarshal(frame, asset); err != nil {
			a.log.Error("an asset cannot be read", "error", err)
			continue
		}
		if q.bbox.IsZero() || asset.Lat != nil && asset.Lon != nil && q.bbox.Contains(*asset.Lat, *asset.Lon) {
			found = append(found, asset)
		}
	}
	page, next := assetListing.page(&q.list, found)
	for _, asset := range page {
		frames = append(frames, asset.frame)
	}
	return frames, next, nil
}
