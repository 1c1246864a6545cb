package app

import (
	"fmt"
	"io"
	"net"
)

// bannerText says where to look, with addresses that can be copied into a terminal or a browser. Its arguments are the
// HTTP address, the MQTT address, and the host and the port of that.
const bannerText = `Fleetcast is running.
  page     http://%[1]s/
  stream   curl -N http://%[1]s/stream/assets
  devices  mqtt://%[2]s
  try      mosquitto_pub -h %[3]s -p %[4]s -t fleets/north/devices/truck-17/telemetry -m '{"lat":48.85833,"lon":2.29513,"speed":16.9,"fuel":41.5}'
`

// writeBanner tells people where to look. A terminal that went away is no reason to stop.
func writeBanner(w io.Writer, a Addrs) {
	host, port, err := net.SplitHostPort(a.MQTT.String())
	if err != nil { // only an address that is not TCP's
		return
	}
	fmt.Fprintf(w, bannerText, a.HTTP, a.MQTT, host, port)
}
