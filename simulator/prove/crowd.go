package prove

import (
	"errors"
	"math"
	"net/url"
	"strconv"
	"time"

	"github.com/fleetcast/fleetcast/simulator/units"
)

// Crowd says how viewers listen, what for, and how they behave. The zero value has all of them listen to the whole fleet
// over HTTP/1.1, and all of them cut by ResumeEvery. Shares are spread evenly and independently of each other.
type Crowd struct {
	// First is the number of the first viewer, where others of the same crowd are in another process.
	First int
	// HTTP2Share of the viewers share connections of HTTP/2, HTTP2OwnShare have one each, and WebSocketShare listen at
	// /stream/ws.
	HTTP2Share, HTTP2OwnShare, WebSocketShare units.Share
	// FilterShare of the viewers ask for a part of the devices: a list of them, or a box, in turn.
	FilterShare units.Share
	// PanEvery moves the box of every other one that asks for a box so often, without reconnecting; 0 never does.
	PanEvery time.Duration
	// SlowShare of the viewers read SlowRate bytes a second.
	SlowShare units.Share
	SlowRate  units.ByteRate
	// ResumeShare of the viewers are those that ResumeEvery cuts; 0 means all.
	ResumeShare units.Share
	// GoneShare of the viewers leave in the middle of the run and never return. About half of them say nothing: they
	// keep their connection for a while and read no more.
	GoneShare units.Share
}

// DefaultSlowRate is how slowly slow viewers read.
const DefaultSlowRate = 16_000

var errShares = errors.New("read options: the shares of HTTP/2 and WebSocket are at most all together")

func (c *Crowd) complete() error {
	if c.HTTP2Share+c.HTTP2OwnShare+c.WebSocketShare > 1 {
		return errShares
	}
	if c.SlowRate <= 0 {
		c.SlowRate = DefaultSlowRate
	}
	return nil
}

// transport is how a viewer listens.
type transport uint8

const (
	overHTTP1 transport = iota
	overHTTP2
	overOwnHTTP2
	overWebSocket
	transports
)

func (t transport) String() string {
	return [...]string{"http1", "http2", "http2_own", "websocket"}[t]
}

// ask is what a viewer asks for.
type ask struct {
	query url.Values
	batch bool   // as batches, over SSE
	sees  []bool // the devices that it is told; nil is all
}

// The asks of a run.
const (
	askAll = iota
	askBatch
	askList
	askBox
)

// Bounds of filters.
const (
	// maxList is how many devices a list names at the most: an address has to hold them.
	maxList = 40
	// latitudes is how many places there are, one north of the other, on which devices stand.
	latitudes = 1000
)

func (o *Options) asks(n names) []ask {
	whole := url.Values{"fleet": {o.Fleet}}
	list, box := ask{query: url.Values{"fleet": {o.Fleet}}}, ask{query: url.Values{"fleet": {o.Fleet}}}
	list.sees = make([]bool, o.Devices)
	for i := 0; i < o.Devices && len(list.query["device"]) < maxList; i += 2 {
		list.sees[i] = true
		list.query.Add("device", n.id(i))
	}
	first := o.band(0)
	box.query.Set("bbox", first.text())
	box.sees = first.sees(o.Devices, 0)
	return []ask{askAll: {query: whole}, askBatch: {query: whole, batch: true}, askList: list, askBox: box}
}

// habits are what a viewer does.
type habits struct {
	over      transport
	ask       int
	pans      bool
	slow      bool
	cut       bool          // by ResumeEvery
	leaves    time.Duration // since the run's start; 0: never
	silently  bool          // it leaves without a word
	paceBytes int64
}

// spread is a number in [0,1) for a viewer and a purpose: any run of viewers is spread evenly.
func spread(index int, by float64) float64 {
	_, share := math.Modf(float64(index) * by)
	return share
}

// Irrational numbers that make purposes independent of each other.
const (
	forTransport = math.Phi
	forFilter    = math.Sqrt2
	forLeaving   = math.E
	forSilence   = math.Pi
)

func (o *Options) habits(index int) habits {
	index += o.First
	h := habits{ask: askAll, slow: o.SlowShare.Has(index), cut: o.ResumeShare == 0 || o.ResumeShare.Has(index)}
	switch u := spread(index, forTransport); {
	case u < float64(o.WebSocketShare):
		h.over = overWebSocket
	case u < float64(o.WebSocketShare+o.HTTP2OwnShare):
		h.over = overOwnHTTP2
	case u < float64(o.WebSocketShare+o.HTTP2OwnShare+o.HTTP2Share):
		h.over = overHTTP2
	}
	if index%4 == 3 {
		h.ask = askBatch
	}
	if spread(index, forFilter) < float64(o.FilterShare) {
		h.ask = askList + index/2%2
		h.pans = h.ask == askBox && o.PanEvery > 0 && index%2 == 1
	}
	if h.slow {
		h.paceBytes = int64(o.SlowRate)
		if h.over == overHTTP2 { // or it would make those slow with whom it shares
			h.over = overOwnHTTP2
		}
	}
	if o.GoneShare.Has(index) {
		whole := o.For
		if whole <= 0 {
			whole = time.Minute
		}
		h.leaves = time.Duration(float64(whole) * (0.2 + 0.6*spread(index, forLeaving)))
		h.silently = spread(index, forSilence) < 0.5 && h.over != overHTTP2
	}
	return h
}

// band is a box that holds the devices of some latitudes: from one on, and so many.
type band struct{ from, many int }

// band is where a box is that has moved so often: about half of the latitudes that there are.
func (o *Options) band(moves int) band {
	all := min(o.Devices, latitudes)
	many := max(all/2, 1)
	return band{moves * (many/2 + 1) % (all - many + 1), many}
}

// box is west, south, east, north: half-way between latitudes.
func (b band) box() [4]float64 {
	return [4]float64{1, latitude(b.from) - 0.0005, 3, latitude(b.from+b.many) - 0.0005}
}

func latitude(place int) float64 { return 48 + float64(place)*0.001 }

func (b band) text() string {
	var t []byte
	for i, n := range b.box() {
		if i > 0 {
			t = append(t, ',')
		}
		t = strconv.AppendFloat(t, n, 'f', 6, 64)
	}
	return string(t)
}

// sees says which devices are in the band, or at most so many places beside it.
func (b band) sees(devices, beside int) []bool {
	all := make([]bool, devices)
	for i := range all {
		place := i % latitudes
		all[i] = place >= b.from-beside && place < b.from+b.many+beside
	}
	return all
}

// margin is how many places beside the band a device may be that was in it: a box is left a 64th of its height outside.
func (b band) margin() int { return b.many/64 + 1 }
