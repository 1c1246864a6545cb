package app

import (
	"context"
	"net/url"

	"github.com/fleetcast/fleetcast/gateway/doctor"
)

// Examine looks whether a gateway with these settings, which were checked, would work on this machine.
func Examine(ctx context.Context, o *Options) []doctor.Finding {
	found := []doctor.Finding{{Check: "settings", Status: doctor.OK, Detail: "a gateway would take them"}}
	if err := Rehearse(*o); err != nil {
		found[0] = doctor.Finding{Check: "settings", Status: doctor.Fail, Detail: err.Error(), Remedy: "mend it; `gateway config check` says the same"}
	}
	return append(found, doctor.Examine(ctx, o.examined())...)
}

// examined is what of the settings has to do with the machine.
func (o *Options) examined() doctor.Options {
	e := doctor.Options{Redis: o.Store.Redis}
	port := func(setting, address string) {
		if address != "" {
			e.Ports = append(e.Ports, doctor.Port{Setting: setting, Address: address})
		}
	}
	pair := func(setting, file, key string) {
		if file != "" {
			e.Certificates = append(e.Certificates, doctor.Certificate{Setting: setting, File: file, Key: key})
		}
	}
	if o.embedsBroker() {
		e.Connections = o.MQTT.Limits.MaxConnections
		port("mqtt-listen", o.MQTT.Listen)
		port("mqtt-tls-listen", o.MQTT.Ports.TLSListen)
		port("mqtt-ws-listen", o.MQTT.Ports.WSListen)
		port("mqtt-wss-listen", o.MQTT.Ports.WSSListen)
		pair("mqtt-tls-cert", o.MQTT.Ports.TLSCert, o.MQTT.Ports.TLSKey)
	}
	port("http-listen", o.HTTP.Listen)
	pair("http-cert", o.HTTP.Cert, o.HTTP.Key)
	switch o.Admin.Listen {
	case noAdminListen:
	case "":
		e.Health = defaultAdminListen // that it is taken is no failure: there are no metrics then
	default:
		port("admin-listen", o.Admin.Listen)
		e.Health = o.Admin.Listen
	}
	if !o.keepsNothing() && o.Store.Redis == "" || len(o.MQTT.Upstream) > 0 && o.MQTT.ClientID == "" {
		e.Dir = o.dataDir()
	}
	for _, upstream := range o.MQTT.Upstream {
		u, err := url.Parse(upstream)
		if err != nil {
			continue // the settings were said to be wrong
		}
		b := doctor.Broker{Address: u.Host, TLS: u.Scheme == "mqtts"}
		if u.Port() == "" {
			b.Address += map[bool]string{false: ":1883", true: ":8883"}[b.TLS]
		}
		e.Brokers = append(e.Brokers, b)
	}
	return e
}
