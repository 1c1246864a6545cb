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

// checkMQTTListen refuses an address that other machines could reach unless devices have to show who they are.
func (o *Options) checkMQTTListen() error {
	if o.Auth.Device != AuthRequired {
		return checkLoopback("mqtt-listen", o.MQTT.Listen)
	}
	_, port, err := net.SplitHostPort(o.MQTT.Listen)
	if err != nil {
		return devices.Errorf(devices.Invalid, "mqtt-listen", "%q is not HOST:PORT", o.MQTT.Listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return devices.Errorf(devices.Invalid, "mqtt-listen", "%q has no port number from 0 to 65535", o.MQTT.Listen)
	}
	return nil
}

// mayServeDevicesAt holds the bound address to the same, whatever a name stands for on this machine.
func (o *Options) mayServeDevicesAt(addr net.Addr) error {
	if o.Auth.Device == AuthRequired {
		return nil
	}
	return requireLoopback(addr)
}

// requireAuthenticator refuses to ask for credentials that nobody can check.
func (o *Options) requireAuthenticator(auth mqttin.Authenticator) error {
	if o.Auth.Device == AuthRequired && auth == nil {
		return devices.Errorf(devices.Invalid, "device-auth", "is required, and this process has no registry of devices")
	}
	return nil
}
