package app

import (
	"fmt"
	"io"
	"net"
)

// The texts have addresses that can be copied into a terminal or a browser.
const (
	bannerTitle = "Fleetcast is running.\n"
	// The HTTP address.
	bannerEdge = `  page     %[1]s/
  stream   curl -N %[1]s/stream/assets
`
	bannerMetrics = `  metrics  http://%[1]s/metrics
`
	bannerHealth = `  health   %[1]s/readyz
`
	// The MQTT address, its host and port, and how a device shows who it is.
	bannerDevices = `  devices  mqtt://%[1]s
  try      mosquitto_pub -h %[2]s -p %[3]s%[4]s -t fleets/north/devices/truck-17/telemetry -m '{"lat":48.85833,"lon":2.29513,"speed":16.9,"fuel":41.5}'
`
)

// Where devices have to show a credential.
const (
	bannerLogin    = ` -u truck-17 -P "$TOKEN"`
	bannerRegister = `  register gateway devices create truck-17 --fleet north --server %s%s
`
)

// The one-time link.
const bannerSetup = `  sign up  %s
           (once, for the first admin)
`

// writeBanner tells people where to look. A terminal that went away is no reason to stop.
func writeBanner(w io.Writer, o *Options, a Addrs, setup string) {
	text, login, http := bannerTitle, "", o.scheme()+"://"+a.HTTP.String()
	if o.roles().Has(RoleEdge) {
		text += fmt.Sprintf(bannerEdge, http)
	} else {
		text += fmt.Sprintf(bannerHealth, http)
	}
	if a.Admin != nil {
		text += fmt.Sprintf(bannerMetrics, a.Admin)
	}
	if setup != "" {
		text += fmt.Sprintf(bannerSetup, setup)
	}
	if a.MQTT != nil {
		if o.Auth.Device == AuthRequired {
			login = bannerLogin
			if o.roles().Has(RoleEdge) {
				text += fmt.Sprintf(bannerRegister, http, o.bannerProof())
			}
		}
		if host, port, err := net.SplitHostPort(a.MQTT.String()); err == nil {
			text += fmt.Sprintf(bannerDevices, a.MQTT, host, port, login)
		}
	}
	fmt.Fprint(w, text)
}

// bannerProof is what a command on this machine shows who it is by, where that is asked and not found by itself.
func (o *Options) bannerProof() string {
	if dir := o.dataDir(); o.requiresViewers() && dir != "" && dir != defaultDataDir {
		return " --data-dir '" + dir + "'"
	}
	return ""
}
