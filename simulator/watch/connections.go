package watch

import (
	"net/url"

	"github.com/fleetcast/fleetcast/simulator/sseclient"
)

// panConnections are those on which viewports are moved, one after the other.
const panConnections = 2

// Connections are how many the viewers have at the most: those over HTTP/2 share theirs.
func (o *Options) Connections() int {
	own, shared := 0, 0
	for i := range o.Viewers {
		if o.transportOf(i) == overHTTP2 {
			shared++
		} else {
			own++
		}
	}
	if o.PanEvery > 0 {
		own += panConnections
	}
	return own + sseclient.SharedConnections(shared)
}

// Host is the host and port of an address, or the address where it has none.
func Host(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	if u.Port() == "" {
		return u.Host + map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	}
	return u.Host
}
