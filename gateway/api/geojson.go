package api

import (
	"bufio"
	"encoding/json"
	"net/http"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// featuresPerDeadline is how many features may take writeTimeout: the whole of a large fleet takes longer over a thin line.
const featuresPerDeadline = 256

// geoJSON answers a FeatureCollection (RFC 7946 section 3.3). The answer is written as it is made: a large fleet is tens
// of megabytes that nobody has to hold.
func (a *API) geoJSON(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	q, err := parseAssets(r, MaxFeatures, MaxFeatures)
	if err != nil {
		return err
	}
	frames, next, err := a.assetsOf(r, c, q)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/geo+json") // section 12
	if r.Method == http.MethodHead {
		return nil
	}
	out := bufio.NewWriterSize(w, 32<<10)
	_, _ = out.WriteString(`{"type":"FeatureCollection","features":[`) // errors stay in out
	var feature []byte
	rc := http.NewResponseController(w)
	for i, frame := range frames {
		if i%featuresPerDeadline == 0 {
			_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // a writer that has none is a test's
		}
		feature = feature[:0]
		if i > 0 {
			feature = append(feature, ',')
		}
		feature, err = appendFeature(feature, frame)
		if err != nil {
			a.log.Error("an asset is no feature", "error", err)
			panic(http.ErrAbortHandler) // our own bytes are broken: a cut answer is not taken for a whole one
		}
		if _, err := out.Write(feature); err != nil {
			return nil //nolint:nilerr // the client is gone
		}
	}
	end := []byte{']'}
	if next != "" { // a foreign member (section 6.1): there is more after this
		end = devices.AppendJSONString(append(end, `,"next":`...), next)
	}
	_, _ = out.Write(append(end, '}'))
	_ = out.Flush() // a client that is gone needs no answer
	return nil
}

// position is what a feature needs of an asset, as it is written there.
type position struct {
	ID  json.RawMessage `json:"id"`
	Lat json.RawMessage `json:"lat"`
	Lon json.RawMessage `json:"lon"`
}

// appendFeature appends the asset as a feature (RFC 7946 section 3.2). An asset without a position is an unlocated
// feature, whose geometry is null; it is there, so that lists made of the collection are complete. The altitude stays a
// property: the third number of a position is a height above the ellipsoid (section 3.1.1), and what devices send may be
// above the sea.
func appendFeature(dst, frame []byte) ([]byte, error) {
	var p position
	if err := json.Unmarshal(frame, &p); err != nil {
		return dst, err
	}
	dst = append(append(dst, `{"type":"Feature","id":`...), p.ID...)
	dst = append(dst, `,"geometry":`...)
	if p.Lat != nil && p.Lon != nil {
		dst = append(append(dst, `{"type":"Point","coordinates":[`...), p.Lon...) // section 3.1.1: longitude first
		dst = append(append(append(dst, ','), p.Lat...), `]}`...)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(append(dst, `,"properties":`...), frame...)
	return append(dst, '}'), nil
}
