package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/simulator/mqttlite"
	"github.com/fleetcast/fleetcast/simulator/payload"
	"github.com/fleetcast/fleetcast/simulator/routes"
	"github.com/fleetcast/fleetcast/simulator/tracker"
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
	// Shard is the part of the devices that is this process's: numbers, credentials and the connect rate are shared out.
	Shard Shard
	// Rate is how often each device looks where it is, and sends unless its tracker's policy keeps it silent; 0 means
	// never, which is an idle fleet.
	Rate units.Rate
	// For is how long to run after the ramp; 0 means until the context ends.
	For time.Duration

	// Fleets are the names over which the devices are dealt; "demo" where there is none.
	Fleets []string
	// Prefix starts the device ids, which end in the index; "" makes it the kind of vehicle, as in truck-17.
	Prefix string
	// Seed chooses the world, and with it everything that devices say.
	Seed    uint64
	World   routes.Options // without the seed
	Tracker tracker.Options
	// Mix says who speaks which format; the gateway's own where nothing is said.
	Mix payload.Mix
	// ClockShare of the devices have a clock that is off by ClockOffset.
	ClockShare  units.Share
	ClockOffset time.Duration
	Faults      Faults

	// Version is the protocol; 0 makes every other device speak MQTT 5, the others 3.1.1.
	Version mqttlite.Version
	QoS     byte
	// Commands has the devices of the native format subscribe to commands and answer them; CommandsFail of the answers say
	// that the command failed.
	Commands           bool
	CommandsFail       units.Share
	QoS1               units.Share // of the devices send at QoS 1 whatever QoS says
	Window             int         // QoS 1 messages without a PUBACK, of a device
	KeepAlive          time.Duration
	Username, Password string // "": the device's id is the user name where there is a password, else there is none
	// Identities, where there are some, name the devices: as many as there are devices, or more.
	Identities []Identity
	// TLS, where set, is how to speak to the broker.
	TLS *tls.Config
	// Certificate, where set, is what the device of an id shows to the broker over TLS. It is asked at each connection.
	Certificate func(id string) (tls.Certificate, error)
	// Sources are local addresses to connect from, in turn; on loopback more are taken than one has ports for.
	Sources []netip.Addr

	// ConnectRate is connections a second; Ramp, where set, is the time over which all of them are spread instead, and
	// RampDown that over which they end. Stages, where there are some, say it all instead, and For with it.
	ConnectRate    units.Rate
	Ramp, RampDown time.Duration
	Stages         Stages

	// Progress is told how it goes, a line at a time; nil is quiet.
	Progress io.Writer
	Logger   *slog.Logger
	// Dial opens a connection; nil dials TCP. local is the source address to use, or nil.
	Dial func(ctx context.Context, address string, local net.Addr) (net.Conn, error)
}

// complete checks o and sets its defaults.
func (o *Options) complete() error {
	if rest, secure := strings.CutPrefix(o.MQTT, "mqtts://"); secure {
		o.MQTT = rest
		if o.TLS == nil {
			o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
	}
	o.MQTT = strings.TrimSuffix(strings.TrimPrefix(o.MQTT, "mqtt://"), "/")
	if _, _, err := net.SplitHostPort(o.MQTT); err != nil {
		return fmt.Errorf("read broker address: %w", err)
	}
	switch {
	case o.Certificate != nil && o.TLS == nil:
		return errors.New("read options: devices show certificates over mqtts:// only")
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
	if err := o.checkStages(); err != nil {
		return err
	}
	o.defaults()
	return o.share()
}

func (o *Options) checkStages() error {
	if _, most := o.Stages.peak(); most > o.Devices {
		return fmt.Errorf("read options: stages of %d devices, and there are %d", most, o.Devices)
	}
	for i, s := range o.Stages {
		if s.For == 0 && s.Devices == 0 && i == 0 {
			return errors.New("read options: the first stage has neither time nor devices")
		}
	}
	return nil
}

// share takes this process's part of everything that is counted.
func (o *Options) share() error {
	if n := len(o.Identities); n > 0 && n < o.Devices {
		return fmt.Errorf("read options: %d devices and %d credentials", o.Devices, n)
	}
	first, count := o.Shard.Take(o.Devices)
	if count == 0 {
		return fmt.Errorf("read options: part %d of %d has no device", o.Shard.Part, o.Shard.Of)
	}
	if len(o.Identities) > 0 {
		o.Identities = o.Identities[first : first+count]
	}
	o.StartIndex += first
	for i := range o.Stages {
		_, o.Stages[i].Devices = o.Shard.Take(o.Stages[i].Devices)
	}
	o.Devices, o.ConnectRate = count, o.ConnectRate/units.Rate(max(o.Shard.Of, 1))
	if len(o.Stages) == 0 {
		o.Stages = o.usual()
	}
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
	o.Stages = slices.Clone(o.Stages)
	o.Tracker.Seed = o.Seed
	if host, _, err := net.SplitHostPort(o.MQTT); err == nil && o.TLS != nil && o.TLS.ServerName == "" {
		o.TLS = o.TLS.Clone()
		o.TLS.ServerName = host
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

// source is where the device at a position of this process connects from; nil is the kernel's choice.
func (o *Options) source(position int) net.Addr {
	if n := len(o.Sources); n > 0 {
		return &net.TCPAddr{IP: o.Sources[position%n].AsSlice()}
	}
	return sourceAddress(o.MQTT, position, o.Devices)
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
