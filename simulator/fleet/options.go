package fleet

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/simulator/mqttlite"
	"github.com/fleetcast/fleetcast/simulator/units"
)

// Defaults and bounds of Options.
const (
	DefaultKeepAlive   = 60 * time.Second
	DefaultConnectRate = 500 // a second: below what makes a broker's accept queue the benchmark
	DefaultWindow      = 32
	MaxDevices         = 1_000_000
	// sourceAddressDevices is how many connections leave from one local address: fewer than the kernel's usual 28,000 ports.
	sourceAddressDevices = 25_000
)

// Options of a fleet. Zero values mean the defaults that are named.
type Options struct {
	// MQTT is the broker, host:port with or without mqtt:// before it.
	MQTT string
	// Devices is how many, StartIndex the number of the first: several simulators share a world without a common device.
	Devices    int
	StartIndex int
	// Rate is how often each device sends; 0 means never, which is an idle fleet.
	Rate units.Rate
	// For is how long to run after the ramp; 0 means until the context ends.
	For time.Duration

	// Fleets are the names over which the devices are dealt; "demo" where there is none.
	Fleets []string
	// Prefix starts the device ids, which end in the index; "" makes it the kind of vehicle, as in truck-17.
	Prefix string
	// Seed chooses the world.
	Seed uint64
	// OwnTracks is the share of the devices that speak OwnTracks on owntracks/{fleet}/{device}; the others speak native JSON.
	OwnTracks units.Share

	// Version is the protocol; 0 makes every other device speak MQTT 5, the others 3.1.1.
	Version            mqttlite.Version
	QoS                byte
	Window             int // QoS 1 messages without a PUBACK, of a device
	KeepAlive          time.Duration
	Username, Password string // "": the device's id is the user name where there is a password, else there is none

	// ConnectRate is connections a second; Ramp, where set, is the time over which all of them are spread instead.
	ConnectRate units.Rate
	Ramp        time.Duration

	// Progress is told how it goes, a line at a time; nil is quiet.
	Progress io.Writer
	Logger   *slog.Logger
	// Dial opens a connection; nil dials TCP. local is the source address to use, or nil.
	Dial func(ctx context.Context, address string, local net.Addr) (net.Conn, error)
}

// complete checks o and sets its defaults.
func (o *Options) complete() error {
	o.MQTT = strings.TrimSuffix(strings.TrimPrefix(o.MQTT, "mqtt://"), "/")
	if _, _, err := net.SplitHostPort(o.MQTT); err != nil {
		return fmt.Errorf("read broker address: %w", err)
	}
	switch {
	case o.Devices < 1 || o.Devices > MaxDevices:
		return fmt.Errorf("read options: %d devices; 1 to %d are possible", o.Devices, MaxDevices)
	case o.StartIndex < 0:
		return fmt.Errorf("read options: start index %d is negative", o.StartIndex)
	case o.QoS > 1:
		return fmt.Errorf("read options: QoS %d; the simulator sends QoS 0 and 1", o.QoS)
	case o.Version != 0 && o.Version != mqttlite.V311 && o.Version != mqttlite.V5:
		return fmt.Errorf("read options: MQTT version %d; there are 4 (3.1.1) and 5", o.Version)
	case o.Rate < 0 || float64(o.Rate)*float64(o.Devices) > 5e6:
		return fmt.Errorf("read options: %d devices at %g/s are beyond any process", o.Devices, float64(o.Rate))
	}
	if err := o.checkNames(); err != nil {
		return err
	}
	o.defaults()
	return nil
}

func (o *Options) checkNames() error {
	if len(o.Fleets) == 0 {
		o.Fleets = []string{"demo"}
	}
	for _, name := range o.Fleets {
		if _, err := devices.ParseFleetID(name); err != nil {
			return fmt.Errorf("read fleet name %q: %w", name, err)
		}
	}
	if o.Prefix != "" {
		if _, err := devices.ParseDeviceID(o.Prefix + "1234567"); err != nil {
			return fmt.Errorf("read prefix %q: %w", o.Prefix, err)
		}
	}
	return nil
}

func (o *Options) defaults() {
	if o.ConnectRate <= 0 {
		o.ConnectRate = DefaultConnectRate
	}
	if o.Ramp > 0 {
		o.ConnectRate = units.Rate(float64(o.Devices) / o.Ramp.Seconds())
	}
	if o.KeepAlive <= 0 {
		o.KeepAlive = DefaultKeepAlive
	}
	if o.Window <= 0 {
		o.Window = DefaultWindow
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
}

func dialTCP(ctx context.Context, address string, local net.Addr) (net.Conn, error) {
	d := net.Dialer{LocalAddr: local, KeepAlive: -1} // MQTT's own keep-alive is what a broker watches
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("dial broker: %w", err)
	}
	return conn, nil
}

// sourceAddress is where device number i, counted from the first of this process, connects from: beyond 25,000 devices
// one address has no ports left for one broker, and loopback has as many addresses as one likes.
func sourceAddress(broker string, i, total int) net.Addr {
	host, _, err := net.SplitHostPort(broker)
	if err != nil || total <= sourceAddressDevices {
		return nil
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback() || ip.To4() == nil) {
		return nil
	}
	block := i / sourceAddressDevices
	return &net.TCPAddr{IP: net.IPv4(127, 0, byte(block/250), byte(2+block%250))}
}
