package watch

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/sseclient"
	"github.com/fleetcast/fleetcast/simulator/wsclient"
)

// client is a way to listen.
type client interface {
	Run(ctx context.Context) error
	Bytes() int64
	Drop(forget bool)
}

// transport is which.
type transport uint8

const (
	overSSE transport = iota
	overHTTP2
	overOwnHTTP2
	overWebSocket
)

func (t transport) String() string { return [...]string{"sse", "http2", "http2_own", "websocket"}[t] }

// webSocketPath is where the WebSocket of a gateway is.
const webSocketPath = "/stream/ws"

// partsViewers is up to how many viewers all take the parts of their latencies; of more, as many do, spread evenly.
const partsViewers = 64

// spread is a number in [0,1) for a viewer and a purpose: any run of viewers is spread evenly.
func spread(index int, by float64) float64 {
	_, share := math.Modf(float64(index) * by)
	return share
}

func (o *Options) transportOf(index int) transport {
	switch u := spread(index, math.Phi); {
	case u < float64(o.WebSocketShare):
		return overWebSocket
	case u < float64(o.WebSocketShare+o.HTTP2Share):
		return overHTTP2
	case u < float64(o.WebSocketShare+o.HTTP2Share+o.HTTP2OwnShare):
		return overOwnHTTP2
	}
	return overSSE
}

// WithQuery adds a query to an address, which may have one.
func WithQuery(address, query string) string {
	if query == "" {
		return address
	}
	if strings.Contains(address, "?") {
		return address + "&" + query
	}
	return address + "?" + query
}

func (v *viewer) init(w *Watch, index int) error {
	o := &w.options
	v.watch = w
	place := index
	index += o.First
	v.slow = o.SlowShare.Has(index)
	v.full = o.CheckShare.Has(index)
	v.parts = !v.slow && index%(1+o.Viewers/partsViewers) == 0
	v.transport = o.transportOf(index)
	if v.latencies = w.slow; !v.slow {
		v.latencies = w.latencies.of(v.transport, place)
	}
	if o.GoneShare.Has(index) {
		stay := cmp.Or(o.StayFor, o.For, time.Minute)
		v.leaves = time.Duration(float64(stay) * (0.2 + 0.6*spread(index, math.Sqrt2)))
	}
	address := o.URL
	if o.Address != nil {
		address = o.Address(index)
	}
	if err := v.readAddress(address); err != nil {
		return err
	}
	return v.makeClient(address, index)
}

// readAddress takes from its query what the viewer may be told.
func (v *viewer) readAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("make viewer: %w", err)
	}
	for _, fleet := range u.Query()["fleet"] {
		v.allowed = append(v.allowed, v.watch.fleets.number([]byte(fleet)))
	}
	bounds := u.Query().Get("bbox")
	switch {
	case bounds == "":
	case v.watch.options.PanEvery > 0:
		v.panning, err = newPanning(u)
	default:
		if v.box, err = parseBox(bounds); err == nil {
			v.box = v.box.grown()
		}
	}
	return err
}

func (v *viewer) makeClient(address string, index int) (err error) {
	o := &v.watch.options
	age, pace := o.ResumeEvery, int64(0)
	if o.ResumeShare > 0 && !o.ResumeShare.Has(index) {
		age = 0
	}
	if v.slow {
		pace = int64(o.SlowRate)
	}
	if v.transport == overWebSocket {
		u, parseErr := url.Parse(address)
		if parseErr != nil {
			return fmt.Errorf("make viewer: %w", parseErr)
		}
		if strings.HasSuffix(u.Path, "/stream/assets") {
			u.Path = webSocketPath
		}
		v.client, err = wsclient.New(wsclient.Options{
			URL: u.String(), Header: o.Header, TLS: o.TLS, MaxAge: age, Silence: o.Silence, Pace: pace, OnOpen: v.onOpen, OnClose: v.onClose, OnEvent: v.onEvent,
		})
	} else {
		c := sseclient.Options{
			URL: address, Header: o.Header, TLS: o.TLS, Gzip: o.Gzip, Raw: o.Raw, MaxAge: age, Silence: o.Silence, Pace: pace, Buffer: viewerBuffer,
			OnOpen: v.onOpen, OnClose: v.onClose, OnEvent: v.onEvent,
		}
		if v.transport == overHTTP2 {
			c.Transport = v.watch.shared
		}
		if v.transport == overOwnHTTP2 {
			v.own = sseclient.NewHTTP2()
			v.own.TLSClientConfig = o.TLS.Clone()
			if v.slow {
				sseclient.Slow(v.own)
			}
			c.Transport = v.own
		}
		v.client, err = sseclient.New(c)
	}
	if err != nil {
		return fmt.Errorf("make viewer: %w", err)
	}
	return nil
}
