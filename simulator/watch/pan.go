package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// panTimeout bounds the request that moves a viewport.
const panTimeout = 5 * time.Second

// panning is a viewport that is moved while the stream goes on: PUT /stream/{sid}/view.
type panning struct {
	base *url.URL // of the stream's host
	sid  atomic.Pointer[string]

	// Owned by the goroutine that moves viewports.
	box box
	seq int
}

// box is west, south, east, north. West is more than east where it crosses 180.
type box [4]float64

func parseBox(text string) (*box, error) {
	parts, b := strings.Split(text, ","), &box{}
	if len(parts) != len(b) {
		return nil, fmt.Errorf("make viewer: bbox %q has not four numbers", text)
	}
	for i, part := range parts {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return nil, fmt.Errorf("make viewer: read bbox: %w", err)
		}
		b[i] = n
	}
	return b, nil
}

// hysteresis is the part of its width and height by which a box is left: an asset that was in it is shown until then.
const hysteresis = 1.0 / 64

// grown is the box whose edge is where it is left.
func (b *box) grown() *box {
	width := b[2] - b[0]
	if width < 0 {
		width += 360
	}
	wide, high := width*hysteresis, (b[3]-b[1])*hysteresis
	if width+2*wide >= 360 {
		return &box{-180, b[1] - high, 180, b[3] + high}
	}
	g := &box{b[0] - wide, b[1] - high, b[2] + wide, b[3] + high}
	if g[0] < -180 {
		g[0] += 360
	}
	if g[2] > 180 {
		g[2] -= 360
	}
	return g
}

// isOutside tells whether an asset says that it is somewhere else. One that says no place is not known to be.
func (b *box) isOutside(asset []byte) bool {
	var at struct{ Lat, Lon *float64 }
	if json.Unmarshal(asset, &at) != nil || at.Lat == nil || at.Lon == nil {
		return false // what is malformed was found before
	}
	inside := *at.Lon >= b[0] && *at.Lon <= b[2]
	if b[0] > b[2] {
		inside = *at.Lon >= b[0] || *at.Lon <= b[2]
	}
	return !inside || *at.Lat < b[1] || *at.Lat > b[3]
}

func newPanning(u *url.URL) (*panning, error) {
	b, err := parseBox(u.Query().Get("bbox"))
	if err != nil {
		return nil, err
	}
	return &panning{base: &url.URL{Scheme: u.Scheme, Host: u.Host}, box: *b}, nil
}

// opened takes the id of the stream from its ready. A nil panning takes nothing.
func (p *panning) opened(ready []byte) {
	if p == nil {
		return
	}
	var r struct{ SID string }
	if json.Unmarshal(ready, &r) == nil && r.SID != "" {
		p.sid.Store(&r.SID)
	}
}

// move shifts the viewport by a part of its size, in a direction that turns with each move, so that it stays about where
// it was.
func (p *panning) move() {
	p.seq++
	sin, cos := math.Sincos(float64(p.seq) * 2.4)
	east, north := cos*(p.box[2]-p.box[0])*0.3, sin*(p.box[3]-p.box[1])*0.3
	for i, by := range [4]float64{east, north, east, north} {
		p.box[i] += by
	}
}

// pan moves the viewports until ctx ends, one after the other, each once in PanEvery.
func (w *Watch) pan(ctx context.Context) {
	var all []*viewer
	for i := range w.viewers {
		if w.viewers[i].panning != nil {
			all = append(all, &w.viewers[i])
		}
	}
	if len(all) == 0 {
		return
	}
	transport := &http.Transport{TLSClientConfig: w.options.TLS.Clone()}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: panTimeout}
	tick := time.NewTicker(max(w.options.PanEvery/time.Duration(len(all)), time.Millisecond))
	defer tick.Stop()
	for next := 0; ; next = (next + 1) % len(all) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if v := all[next]; v.count.isLive.Load() {
			if err := v.panning.put(ctx, client, w.options.Header); err != nil && ctx.Err() == nil {
				w.complain(err)
			}
		}
	}
}

func (p *panning) put(ctx context.Context, client *http.Client, header http.Header) error {
	sid := p.sid.Load()
	if sid == nil {
		return nil
	}
	p.move()
	body, err := json.Marshal(map[string]any{"seq": p.seq, "bbox": p.box[:]})
	if err != nil {
		return fmt.Errorf("move viewport: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, p.base.JoinPath("stream", *sid, "view").String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("move viewport: %w", err)
	}
	if header != nil {
		request.Header = header.Clone()
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("move viewport: %w", err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
	if response.StatusCode >= http.StatusBadRequest && response.StatusCode != http.StatusNotFound {
		return fmt.Errorf("move viewport: answered with status %d", response.StatusCode)
	}
	return nil // 404: that stream is gone, and a new one says its id
}
