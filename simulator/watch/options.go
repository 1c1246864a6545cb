package watch

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/fleetcast/fleetcast/simulator/units"
)

// Options of a watch.
type Options struct {
	URL     string
	Viewers int
	// First is the number of the first of them, where others of the same crowd are in another process: shares and addresses
	// are dealt out by these numbers.
	First int
	// Address is the stream of a viewer where they differ; nil gives all of them URL.
	Address func(index int) string
	// For is how long to run after the last viewer was started; 0 means until the context ends.
	For time.Duration
	// ResumeEvery cuts each connection when it is so old, so that the viewer resumes; 0 never does.
	ResumeEvery time.Duration
	// SlowShare of the viewers read SlowRate bytes a second. Their latencies are told apart.
	SlowShare units.Share
	SlowRate  units.ByteRate
	// ResumeShare of the viewers are those that ResumeEvery cuts; 0 means all.
	ResumeShare units.Share
	// GoneShare of the viewers leave in the middle of the run and never return.
	GoneShare units.Share
	// StayFor is the time in the middle of which they leave; 0 is For, or a minute where that is 0 too.
	StayFor time.Duration
	// HTTP2Share of the viewers share connections, HTTP2OwnShare have one of HTTP/2 each, as browsers of different people do,
	// and WebSocketShare listen over WebSocket, at /stream/ws of the same host; the others have a connection of HTTP/1.1 each.
	HTTP2Share, HTTP2OwnShare, WebSocketShare units.Share
	// TLS is for https:// and wss://; nil trusts what the system trusts.
	TLS *tls.Config
	// Header is sent with every request, as to say who asks.
	Header http.Header
	// PanEvery moves the viewport of each viewer whose address has a bbox so often, without reconnecting; 0 never does.
	PanEvery time.Duration
	// Gzip has the viewers ask for compressed streams.
	Gzip bool
	// Raw viewers count bytes and look at nothing: they are live when the answer began. Decompressing a thousand streams
	// is beyond a load generator; a second watch of few viewers is the sample.
	Raw bool
	// Blind viewers read events and count assets, and look into none: nothing of them is checked, there is no latency, and
	// a viewer holds nothing. It is for thousands of viewers of a large fleet, beside others that look.
	Blind bool
	// Ages takes latencies before ready too: where every device speaks all the time they say how old what a viewer reads is.
	Ages bool
	// CheckShare of the viewers decode every message fully.
	CheckShare units.Share
	// ConnectRate is connections a second.
	ConnectRate units.Rate
	// Silence ends a connection on which nothing came for so long.
	Silence time.Duration

	Progress io.Writer // nil is quiet
	Logger   *slog.Logger
}
