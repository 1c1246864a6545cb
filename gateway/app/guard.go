package app

import (
	"net/netip"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/api"
)

// GuardOptions are what is asked of those who come over HTTP, beside who they are.
type GuardOptions struct {
	TrustedProxies   []string `name:"trusted-proxies" reload:"" help:"Addresses or prefixes of proxies whose X-Forwarded-For is believed: what is counted by address, and logged, then is whom they ask for." placeholder:"PREFIX"`
	CORSOrigins      []string `name:"cors-origins" reload:"" help:"Origins whose pages may use the API and the streams, with cookies: https://app.example.org. Without any, only our own page may." placeholder:"ORIGIN"`
	Rate             float64  `name:"rate-limit" reload:"" help:"Requests a second that one caller may make, by name or, without a proof, by address; 0: any. Without credentials loopback is not counted." default:"${rate_limit}"`
	Burst            int      `name:"rate-burst" reload:"" help:"Requests of one caller that may come at once." default:"${rate_burst}"`
	StreamsPerCaller int      `name:"max-streams-per-caller" reload:"" help:"Streams that one caller who shows a proof may have open on this process; 0: any." default:"${streams_per_caller}"`
	AccessLog        bool     `name:"access-log" reload:"" help:"Log every request, without headers and without what proves anything."`
}

// Bounds of the settings.
const (
	maxProxies = 64
	maxOrigins = 64
	maxRate    = 1_000_000
)

// defaultGuard is what nobody configured.
func defaultGuard() GuardOptions {
	return GuardOptions{Rate: api.DefaultRate, Burst: api.DefaultBurst, StreamsPerCaller: api.DefaultStreamsPerCaller}
}

func (o *Options) checkGuard() error {
	g := &o.Guard
	switch {
	case len(g.CORSOrigins) > maxOrigins:
		return devices.Errorf(devices.Invalid, "cors-origins", "has %d origins; there are at most %d", len(g.CORSOrigins), maxOrigins)
	case !(g.Rate >= 0 && g.Rate <= maxRate):
		return devices.Errorf(devices.Invalid, "rate-limit", "is %v; it is from 0 to %d", g.Rate, maxRate)
	case g.Burst < 1 || g.Burst > maxRate:
		return devices.Errorf(devices.Invalid, "rate-burst", "is %d; it is from 1 to %d", g.Burst, maxRate)
	case g.StreamsPerCaller < 0 || g.StreamsPerCaller > maxRate:
		return devices.Errorf(devices.Invalid, "max-streams-per-caller", "is %d; it is from 0 to %d", g.StreamsPerCaller, maxRate)
	}
	for _, origin := range g.CORSOrigins {
		if err := api.CheckOrigin(origin); err != nil {
			return devices.Errorf(devices.Invalid, "cors-origins", "has %v", err)
		}
	}
	_, err := o.trustedProxies()
	return err
}

// trustedProxies are the setting, read.
func (o *Options) trustedProxies() (api.Proxies, error) {
	if len(o.Guard.TrustedProxies) > maxProxies {
		return nil, devices.Errorf(devices.Invalid, "trusted-proxies", "has %d prefixes; there are at most %d", len(o.Guard.TrustedProxies), maxProxies)
	}
	return parsePrefixes("trusted-proxies", o.Guard.TrustedProxies)
}

// parsePrefixes reads addresses and prefixes.
func parsePrefixes(field string, texts []string) (prefixes []netip.Prefix, err error) {
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return nil, devices.Errorf(devices.Invalid, field, "%q is neither an address nor a prefix", text)
			}
			prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

// limits bound what callers ask of this process.
func (o *Options) limits(proxies api.Proxies) api.LimitOptions {
	return api.LimitOptions{
		Rate: o.Guard.Rate, Burst: o.Guard.Burst, StreamsPerCaller: o.Guard.StreamsPerCaller, Proxies: proxies,
	}
}

// live is what of the people's door may change while it serves.
func (o *Options) live(proxies api.Proxies) api.Live {
	return api.Live{Proxies: proxies, Origins: o.Guard.CORSOrigins, AccessLog: o.Guard.AccessLog}
}
