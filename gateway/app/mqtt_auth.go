package app

import (
	"net"
	"strconv"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/mqttin"
)

// AuthMode says whether a port asks who is there.
type AuthMode string

// The modes. Open is for loopback, where who reaches the port can read the data directory as well.
const (
	AuthOpen     AuthMode = "open"
	AuthRequired AuthMode = "required"
)

// AuthOptions are who is let in.
type AuthOptions struct {
	Device AuthMode `name:"device-auth" help:"Whether devices must show a credential (${enum}). Without it only loopback addresses are served. The user name is the device's id, the password its token." enum:"open,required" default:"${device_auth}"`
}

// MQTTPorts are the ways for devices besides plain TCP.
type MQTTPorts struct {
	TLSListen   string   `name:"tls-listen" help:"Address for devices over TLS." placeholder:"ADDRESS"`
	TLSCert     string   `name:"tls-cert" help:"PEM file with the certificate of the ports with TLS and its chain. A changed file is used without a restart." placeholder:"FILE"`
	TLSKey      string   `name:"tls-key" help:"PEM file with its key." placeholder:"FILE"`
	TLSClientCA string   `name:"tls-client-ca" help:"PEM file with authorities: a device may show a certificate of theirs in place of a token." placeholder:"FILE"`
	WSListen    string   `name:"ws-listen" help:"Address for MQTT over WebSocket, at /mqtt." placeholder:"ADDRESS"`
	WSSListen   string   `name:"wss-listen" help:"Address for MQTT over WebSocket over TLS." placeholder:"ADDRESS"`
	WSOrigins   []string `name:"ws-origins" help:"Web pages that may connect by WebSocket: host, host:port, scheme://host, or * for any. Pages of loopback always may." placeholder:"HOST"`
	Proxies     []string `name:"proxy-protocol" help:"Addresses or prefixes of proxies whose connections begin with a PROXY header, version 1 or 2. It must be there, and is believed." placeholder:"PREFIX"`
}

// ports are the settings as the broker takes them.
func (m *MQTTOptions) ports() (mqttin.Ports, error) {
	p := mqttin.Ports{
		TLS: m.Ports.TLSListen, WebSocket: m.Ports.WSListen, SecureWebSocket: m.Ports.WSSListen, Certificate: m.Ports.TLSCert, Key: m.Ports.TLSKey,
		ClientCA: m.Ports.TLSClientCA, Origins: m.Ports.WSOrigins,
	}
	var err error
	p.Proxies, err = parsePrefixes("mqtt-proxy-protocol", m.Ports.Proxies)
	return p, err
}

// checkMQTTListen refuses addresses that other machines could reach unless devices have to show who they are.
func (o *Options) checkMQTTListen() error {
	p := &o.MQTT.Ports
	extra := 0
	for _, port := range []struct {
		flag, address string
		secure        bool
	}{{"mqtt-tls-listen", p.TLSListen, true}, {"mqtt-ws-listen", p.WSListen, false}, {"mqtt-wss-listen", p.WSSListen, true}} {
		if port.address == "" {
			continue
		}
		extra++
		if port.secure && (p.TLSCert == "" || p.TLSKey == "") {
			return devices.Errorf(devices.Invalid, port.flag, "needs --mqtt-tls-cert and --mqtt-tls-key")
		}
		if err := o.checkMQTTAddress(port.flag, port.address); err != nil {
			return err
		}
	}
	if err := p.checkCertificates(); err != nil {
		return err
	}
	if _, err := o.MQTT.ports(); err != nil {
		return err
	}
	if o.MQTT.Listen == "" && extra > 0 { // plain TCP is switched off
		return nil
	}
	return o.checkMQTTAddress("mqtt-listen", o.MQTT.Listen)
}

// checkCertificates refuses files that nothing would use: who names authorities believes that certificates are asked for.
func (p *MQTTPorts) checkCertificates() error {
	if p.TLSListen != "" || p.WSSListen != "" {
		return nil
	}
	for _, file := range []struct{ flag, name string }{{"mqtt-tls-cert", p.TLSCert}, {"mqtt-tls-key", p.TLSKey}, {"mqtt-tls-client-ca", p.TLSClientCA}} {
		if file.name != "" {
			return devices.Errorf(devices.Invalid, file.flag, "is for --mqtt-tls-listen or --mqtt-wss-listen, and there is neither")
		}
	}
	return nil
}

func (o *Options) checkMQTTAddress(flag, address string) error {
	if o.Auth.Device != AuthRequired {
		return checkLoopback(flag, address)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return devices.Errorf(devices.Invalid, flag, "%q is not HOST:PORT", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return devices.Errorf(devices.Invalid, flag, "%q has no port number from 0 to 65535", address)
	}
	return nil
}

// mayServeDevicesAt holds the bound addresses to the same, whatever a name stands for on this machine.
func (o *Options) mayServeDevicesAt(addrs []net.Addr) error {
	if o.Auth.Device == AuthRequired {
		return nil
	}
	for _, addr := range addrs {
		if err := requireLoopback(addr); err != nil {
			return err
		}
	}
	return nil
}

// requireAuthenticator refuses to ask for credentials that nobody can check.
func (o *Options) requireAuthenticator(auth mqttin.Authenticator) error {
	if o.Auth.Device == AuthRequired && auth == nil {
		return devices.Errorf(devices.Invalid, "device-auth", "is required, and this process has no registry of devices")
	}
	return nil
}
