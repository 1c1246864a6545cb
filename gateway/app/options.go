package app

import (
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/bridge"
	"github.com/fleetcast/fleetcast/bridge/diskbus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/gateway/auth"
	"github.com/fleetcast/fleetcast/gateway/history"
	"github.com/fleetcast/fleetcast/sse/dashboard"
)

// Options are the settings of a gateway, each defined once: the tags give the flag, the same name in upper case after
// FLEETCAST_ is the variable and the same name is the key in the settings file. Defaults gives a complete set.
type Options struct {
	Config configFile `group:"Process" help:"YAML file with settings of the same names. Flags win over variables, variables over the file." placeholder:"FILE"`

	Roles []Role       `group:"Process" help:"What this process does: ${roles}. With less than all of them it needs --redis." default:"${roles}"`
	MQTT  MQTTOptions  `group:"Devices" embed:"" prefix:"mqtt-"`
	HTTP  HTTPOptions  `group:"Viewers and the API" embed:"" prefix:"http-"`
	Admin AdminOptions `group:"Operators" embed:"" prefix:"admin-"`
	Auth  AuthOptions  `group:"Devices" embed:""`
	Store StoreOptions `group:"State" embed:""`
	Fleet FleetOptions `group:"Fleets" embed:""`

	History HistoryOptions `group:"State" embed:""`

	Log    LogOptions    `group:"Operators" embed:"" prefix:"log-"`
	Report ReportOptions `kong:"-"`

	Map      MapOptions      `group:"Viewers and the API" embed:"" prefix:"map-"`
	Registry RegistryOptions `group:"Devices" embed:""`
	Dialects DialectOptions  `group:"Devices" embed:""`
	People   PeopleOptions   `group:"Viewers and the API" embed:""`
	Alerts   AlertOptions    `group:"Alerts" embed:""`
	Guard    GuardOptions    `group:"Viewers and the API" embed:""`
	Trace    TraceOptions    `group:"Operators" embed:""`
}

// MQTTOptions are the devices' door: a broker of our own, or another that is consumed.
type MQTTOptions struct {
	Listen string     `help:"Address for devices (MQTT 3.1.1 and 5). Loopback only, unless --device-auth is required; port 0 takes a free one." default:"${mqtt_listen}"`
	Ports  MQTTPorts  `embed:""`
	Limits MQTTLimits `embed:""`

	Route    bool     `help:"Deliver what MQTT clients publish to MQTT clients that subscribed to it, as far as their credentials go, as a general broker does; sessions, what waits and what is retained are in memory. Off, the broker only takes in what devices say and sends commands."`
	Upstream []string `secret:"" help:"External broker (MQTT 5) that is consumed in place of the embedded one: mqtt://user:password@host:1883 or mqtts://…; several are nodes of one broker. A password is better set by the variable or the file." placeholder:"URL"`
	ClientID string   `help:"Client id at the external broker: the same over restarts, another for each door. Without it, one is made of the host's name and a file in the data directory." placeholder:"ID"`
	Group    string   `help:"Group of the shared subscription at the external broker, for several doors that share the messages, such as fleetcast. Without one every door hears all. Mosquitto 2 forgets the subscriptions of groups when it restarts, and drops what it acknowledges until a door is back; those without a group it keeps. Each change wants a new client id." default:"${mqtt_group}" placeholder:"NAME"`
}

// HTTPOptions are the streams, the API and the page.
type HTTPOptions struct {
	Listen string   `help:"Address for the page, the streams and the API; without the role edge, for health and counters only. Loopback only, unless --viewer-auth is required; port 0 takes a free one." default:"${http_listen}"`
	Hosts  []string `help:"Host names that are answered besides the loopback ones. Any other is refused, so that no web page elsewhere reaches the API by DNS rebinding; with --viewer-auth required every name is answered." placeholder:"NAME"`
	Cert   string   `help:"PEM file with the certificate of this address and its chain: it then speaks HTTPS, with HTTP/2. A changed file is used without a restart." placeholder:"FILE"`
	Key    string   `help:"PEM file with its key." placeholder:"FILE"`
	Gzip   bool     `help:"Compress streams for clients that take gzip: each tick once, for all of them." default:"${http_gzip}" negatable:""`
	Zstd   bool     `help:"Compress streams with zstd for clients that take it, as browsers do by https: a fifth to a third fewer bytes than with gzip, for half as much processor time again."`
}

// MapOptions are what the page draws its map from.
type MapOptions struct {
	Style string `help:"Map of the page in place of the outlines of the world: the URL of a MapLibre style or of a PMTiles file, from whose origin the page may then load, or a file of either here (.json, .pmtiles)." placeholder:"URL|FILE"`
	// ViewportFrom spares browsers that cannot hold the whole fleet.
	ViewportFrom int `name:"viewport-from" help:"From so many assets on the page follows its window: it is sent what is in and around it, and no longer the whole fleet." default:"${viewport_from}"`
	// Page replaces the page that is embedded, where it is not nil. It is no setting.
	Page fs.FS `kong:"-"`
}

// FleetOptions are what happens to the devices' messages.
type FleetOptions struct {
	Window         time.Duration   `help:"How long changes are gathered before they are published together, from ${min_window} to ${max_window}." default:"${window}"`
	OwnTracksFleet devices.FleetID `name:"owntracks-fleet" help:"Fleet of the phones that publish to owntracks/{user}/{device}." default:"${owntracks_fleet}"`
	MaxDevices     int             `help:"Number of devices that are held at most; what more devices say is refused and counted." default:"${max_devices}"`
	MaxTrailMB     int             `name:"max-trail-mb" help:"MiB of trails that are held at most in a partition; above it the device that was quiet for longest loses its oldest places." default:"${max_trail_mb}"`
	Demo           int             `help:"Run this many simulated devices against the gateway's own MQTT port." default:"${demo}"`
}

// StoreOptions are where the state is kept: in a directory of this process, in Redis, or nowhere.
type StoreOptions struct {
	DataDir  string        `help:"Directory for what the gateway keeps, made where it is missing; one process at a time. Without it: ${data_dir}, but with --demo nothing is kept." placeholder:"DIR"`
	Fsync    diskbus.Fsync `help:"When the directory's log is synced: always, before anything is acknowledged; 1s, so that a loss of power costs about a second; never. A killed process loses nothing in any mode." default:"${fsync}"`
	InMemory bool          `help:"Keep everything in memory: a restart forgets it."`
	Redis    string        `secret:"" help:"Keep the state in Redis in place of the directory: redis://user:password@host:6379, redis+sentinel://host,host/master or redis+cluster://host,host (rediss for TLS). A password is better set by the variable or the file." placeholder:"URL"`
}

// LogOptions are what the program says about itself, on standard error.
type LogOptions struct {
	Level  slog.Level `reload:"" help:"Least level that is logged: debug, info, warn or error." default:"${log_level}"`
	Format string     `help:"Form of the log: ${enum}." enum:"text,json" default:"${log_format}"`
}

// ReportOptions are where the gateway talks to. They are no settings: the caller passes them in.
type ReportOptions struct {
	// Logger takes the log of every part; nil discards it.
	Logger *slog.Logger
	// Level is that of Logger, which a reload changes; nil leaves it as it is.
	Level *slog.LevelVar
	// Reload reads the settings again, as they were read for the start; nil: they cannot be.
	Reload func() (Options, error)
	// Banner takes the few lines for people that say where to look, once the ports are bound; nil discards them.
	Banner io.Writer
}

// Bounds of settings. A shorter window costs a publish and a write per viewer each time and shows nothing sooner than a
// screen can; an owner says that it lives once a second, and speaks only at the ends of windows.
const (
	minWindow = 10 * time.Millisecond
	maxWindow = time.Second

	// A held device is about 2 kB in the bridge, the bus and the table together, so this bound is some GB of memory.
	maxMaxDevices = 1_000_000
	maxMaxTrailMB = 64 << 10

	// The demo runs in the gateway's own process: beyond this, bin/simulator on a machine of its own is the tool.
	maxDemo = 10_000

	// Each is compared with every request's Host.
	maxHosts     = 64
	maxHostBytes = 253 // RFC 1035 section 2.3.4, less the root's length octet and dot
)

// Defaults returns the settings of a gateway that nobody configured.
func Defaults() Options {
	owntracks, err := devices.ParseFleetID("owntracks")
	if err != nil {
		panic(err) // a constant: the tests cannot pass
	}
	return Options{
		Roles: Roles{RoleBroker, RoleBridge, RoleEdge},
		MQTT:  MQTTOptions{Listen: "127.0.0.1:1883", Limits: defaultMQTTLimits()},
		HTTP:  HTTPOptions{Listen: "127.0.0.1:8080", Gzip: true},
		Auth:  AuthOptions{Device: AuthOpen},
		Store: StoreOptions{Fsync: diskbus.EverySecond},
		Map:   MapOptions{ViewportFrom: dashboard.DefaultViewportFrom},
		Fleet: FleetOptions{
			Window:         100 * time.Millisecond,
			OwnTracksFleet: owntracks,
			MaxDevices:     100_000,
			MaxTrailMB:     64,
		},
		Log: LogOptions{Level: slog.LevelInfo, Format: "text"},

		Registry: RegistryOptions{RegisterPerMinute: registry.DefaultRegisterPerMinute, OfflineAfter: bridge.DefaultOfflineGrace},
		People:   PeopleOptions{Viewer: AuthOpen, SessionTTL: auth.DefaultSessionTTL},
		History:  HistoryOptions{Keep: history.DefaultKeep},
		Alerts:   AlertOptions{Keep: bridge.DefaultAlertsKept},
		Guard:    defaultGuard(),
		Trace:    TraceOptions{Ratio: defaultTraceRatio},
	}
}

// Check returns the first setting that cannot stand, as a devices.Error of kind Invalid whose Field is the flag.
func (o *Options) Check() error {
	if err := o.checkRoles(); err != nil {
		return err
	}
	if err := o.checkStore(); err != nil {
		return err
	}
	if err := o.checkMQTT(); err != nil {
		return err
	}
	if err := o.MQTT.Limits.check(); err != nil {
		return err
	}
	if err := o.checkPeople(); err != nil {
		return err
	}
	if err := o.checkAdmin(); err != nil {
		return err
	}
	if err := o.checkGuard(); err != nil {
		return err
	}
	if err := o.checkDialects(); err != nil {
		return err
	}
	if err := checkHosts(o.HTTP.Hosts); err != nil {
		return err
	}
	if err := o.checkRegistry(); err != nil {
		return err
	}
	if err := o.checkAlerts(); err != nil {
		return err
	}
	if err := o.checkHistory(); err != nil {
		return err
	}
	if err := o.checkTracing(); err != nil {
		return err
	}
	switch f := &o.Fleet; {
	case f.Window < minWindow || f.Window > maxWindow:
		return devices.Errorf(devices.Invalid, "window", "is %v; it is from %v to %v", f.Window, minWindow, maxWindow)
	case f.OwnTracksFleet.IsZero():
		return devices.Errorf(devices.Invalid, "owntracks-fleet", "is empty")
	case f.MaxDevices < 1 || f.MaxDevices > maxMaxDevices:
		return devices.Errorf(devices.Invalid, "max-devices", "is %d; it is from 1 to %d", f.MaxDevices, maxMaxDevices)
	case f.Demo < 0 || f.Demo > maxDemo:
		return devices.Errorf(devices.Invalid, "demo", "is %d; it is from 0 to %d", f.Demo, maxDemo)
	case f.Demo > 0 && !o.embedsBroker():
		return devices.Errorf(devices.Invalid, "demo", "runs against the embedded broker, which this process does not have")
	case f.MaxTrailMB < 1 || f.MaxTrailMB > maxMaxTrailMB:
		return devices.Errorf(devices.Invalid, "max-trail-mb", "is %d; it is from 1 to %d", f.MaxTrailMB, maxMaxTrailMB)
	case o.Map.ViewportFrom < 1 || o.Map.ViewportFrom > maxMaxDevices:
		return devices.Errorf(devices.Invalid, "map-viewport-from", "is %d; it is from 1 to %d", o.Map.ViewportFrom, maxMaxDevices)
	case f.Demo > f.MaxDevices:
		return devices.Errorf(devices.Invalid, "demo", "is %d, more than the %d devices of max-devices", f.Demo, f.MaxDevices)
	}
	return nil
}

// askedBy is the setting that has a port ask for credentials.
func askedBy(field string) string {
	if strings.HasPrefix(field, "http-") {
		return "viewer-auth"
	}
	return "device-auth"
}

// checkLoopback refuses what other machines could reach: without credentials whoever reaches a port may do anything.
// Names other than localhost are refused too, as what they stand for is decided elsewhere.
func checkLoopback(field, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return devices.Errorf(devices.Invalid, field, "%q is not HOST:PORT", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return devices.Errorf(devices.Invalid, field, "%q has no port number from 0 to 65535", address)
	}
	if host == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	return devices.Errorf(devices.Invalid, field,
		"%q could be reached from other machines, and no credentials are asked for: only 127.0.0.1, ::1 and localhost are served, unless %s is required", address, askedBy(field))
}

func checkHosts(hosts []string) error {
	if len(hosts) > maxHosts {
		return devices.Errorf(devices.Invalid, "http-hosts", "has %d names; there are at most %d", len(hosts), maxHosts)
	}
	for _, h := range hosts {
		if h == "" || len(h) > maxHostBytes || strings.ContainsAny(h, "/:*@ \t\r\n") {
			return devices.Errorf(devices.Invalid, "http-hosts", "%q is not a plain host name (no scheme, port, path or wildcard)", h)
		}
	}
	return nil
}
