package play

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/payload"
	"github.com/fleetcast/fleetcast/simulator/units"
)

// maxFile bounds a scenario's file.
const maxFile = 1 << 20

// Scenario is a file. Unknown members are refused. Durations are written as 90s, rates as 1/s, shares as 10%.
type Scenario struct {
	Name  string        `yaml:"name"`
	About string        `yaml:"about"`
	Seed  uint64        `yaml:"seed"`
	For   time.Duration `yaml:"for"`
	Small Small         `yaml:"small"`

	Start      []Part    `yaml:"start"`
	Devices    []Devices `yaml:"devices"`
	Viewers    []Viewers `yaml:"viewers"`
	Ledger     *Ledger   `yaml:"ledger"`
	Faults     []Fault   `yaml:"faults"`
	Thresholds []string  `yaml:"thresholds"`
	// NoAudit leaves out the look at the end, as where it is not promised that what was acknowledged is kept.
	NoAudit bool `yaml:"no_audit"`
}

// Small is the form that a test can run: shorter, and with fewer of everything. Thresholds on times and rates are left
// out of it, since a busy machine breaks them; those named here take their place.
type Small struct {
	For        time.Duration `yaml:"for"`
	Factor     float64       `yaml:"factor"`
	Thresholds []string      `yaml:"thresholds"`
}

// Part is something that is started: a gateway, a program, or a proxy. Its arguments may name the parts before it: {redis}
// is the address of a part and {redis.host} and {redis.port} its parts, {gateway.mqtt} and {gateway.http} are those of a gateway, {port} and {dir} are a program's own.
type Part struct {
	Name    string            `yaml:"name"`
	Gateway []string          `yaml:"gateway"` // its flags; [] is none
	TLS     bool              `yaml:"tls"`     // a gateway's edge speaks HTTPS, which HTTP/2 needs
	Run     string            `yaml:"run"`     // a program that listens on {port}
	Args    []string          `yaml:"args"`
	Files   map[string]string `yaml:"files"` // that it finds in {dir}
	Proxy   string            `yaml:"proxy"` // the address behind it

	Conditions `yaml:",inline"`
}

// Conditions are a proxy's.
type Conditions struct {
	Latency   time.Duration  `yaml:"latency"`
	Jitter    time.Duration  `yaml:"jitter"`
	Bandwidth units.ByteRate `yaml:"bandwidth"`
}

// Devices are a group of devices.
type Devices struct {
	Name   string `yaml:"name"`
	MQTT   string `yaml:"mqtt"` // {gateway.mqtt} where nothing is said
	Count  int    `yaml:"count"`
	Fleets int    `yaml:"fleets"` // dealt over so many, named as the group with a number; one of the group's name where nothing is said
	Prefix string `yaml:"prefix"`

	Rate      units.Rate    `yaml:"rate"`
	QoS       byte          `yaml:"qos"`
	QoS1Share units.Share   `yaml:"qos1_share"`
	KeepAlive time.Duration `yaml:"keepalive"`
	Ramp      time.Duration `yaml:"ramp"`
	RampDown  time.Duration `yaml:"ramp_down"`
	Stages    fleet.Stages  `yaml:"stages"` // 60s:500,2m:500,10s:0 instead of the ramps

	// Sources are addresses of this machine, or ranges of them, that the connections leave from in turn: 10.0.0.2-10.0.0.9.
	Sources []string `yaml:"sources"`

	Credentials string `yaml:"credentials"` // a file, as --credentials takes it
	TLSCA       string `yaml:"tls_ca"`      // for mqtts://
	// Every device shows a certificate of its own: of the authority in the folder ClientCA, which is made where there is
	// none, or ID.crt and ID.key of the folder ClientCerts.
	ClientCA    string `yaml:"client_ca"`
	ClientCerts string `yaml:"client_certs"`

	Mix       payload.Mix       `yaml:"mix"`
	Topics    map[string]string `yaml:"topics"`
	Noise     float64           `yaml:"noise"`
	Multipath float64           `yaml:"multipath"` // metres, between high buildings
	Dishonest units.Share       `yaml:"dishonest"` // receivers whose accuracy does not say so
	Tunnels   bool              `yaml:"tunnels"`
	ColdStart time.Duration     `yaml:"cold_start"`
	Report    Policy            `yaml:"report"`
	Ships     units.Share       `yaml:"ships"`
	Parked    *units.Share      `yaml:"parked"`
	Places    []string          `yaml:"places"`
	Day       string            `yaml:"day"` // 06:30 or now: vehicles stand at night
	Routes    []string          `yaml:"routes"`

	Wrong Wrong `yaml:"wrong"`

	shard fleet.Shard // whose part Count is
	whole int         // that all shards have together
}

// Policy says when trackers report.
type Policy struct {
	Every    time.Duration `yaml:"every"`
	Parked   time.Duration `yaml:"parked"`
	Distance float64       `yaml:"distance"`
	Heading  float64       `yaml:"heading"`
}

// Wrong is what devices do wrong all the time.
type Wrong struct {
	Duplicates  units.Share   `yaml:"duplicates"`
	Disorder    units.Share   `yaml:"disorder"`
	Malformed   units.Share   `yaml:"malformed"`
	ClockShare  units.Share   `yaml:"clock_share"`
	ClockOffset time.Duration `yaml:"clock_offset"`
}

// Viewers are a group of viewers.
type Viewers struct {
	Name  string `yaml:"name"`
	URL   string `yaml:"url"` // http://{gateway.http} where nothing is said
	Count int    `yaml:"count"`
	// Queries are filters that the viewers take in turn; {i} is the viewer's number.
	Queries []string `yaml:"queries"`

	ConnectRate    units.Rate     `yaml:"connect_rate"`
	SlowShare      units.Share    `yaml:"slow_share"`
	SlowRate       units.ByteRate `yaml:"slow_rate"`
	ResumeEvery    time.Duration  `yaml:"resume_every"`
	ResumeShare    units.Share    `yaml:"resume_share"`
	GoneShare      units.Share    `yaml:"gone_share"`
	HTTP2Share     units.Share    `yaml:"http2_share"`
	HTTP2OwnShare  units.Share    `yaml:"http2_own_share"`
	WebSocketShare units.Share    `yaml:"websocket_share"`
	PanEvery       time.Duration  `yaml:"pan_every"`
	first          int            // of a shard
	Gzip           bool           `yaml:"gzip"`
	// Silence ends a stream on which nothing came for so long; it is more than the gateway's heartbeat.
	Silence time.Duration `yaml:"silence"`
}

// Ledger are devices that number their messages, and viewers that write down what they are told, beside the load.
type Ledger struct {
	MQTT        []string      `yaml:"mqtt"`
	URLs        []string      `yaml:"urls"`
	Devices     int           `yaml:"devices"`
	Viewers     int           `yaml:"viewers"`
	Rate        units.Rate    `yaml:"rate"`
	ResumeEvery time.Duration `yaml:"resume_every"`
	Settle      time.Duration `yaml:"settle"`
	// What its viewers are, as of Viewers. Filtered ones ask for a list of devices or for a box, in turn.
	HTTP2Share     units.Share    `yaml:"http2_share"`
	HTTP2OwnShare  units.Share    `yaml:"http2_own_share"`
	WebSocketShare units.Share    `yaml:"websocket_share"`
	FilterShare    units.Share    `yaml:"filter_share"`
	PanEvery       time.Duration  `yaml:"pan_every"`
	SlowShare      units.Share    `yaml:"slow_share"`
	SlowRate       units.ByteRate `yaml:"slow_rate"`
	ResumeShare    units.Share    `yaml:"resume_share"`
	GoneShare      units.Share    `yaml:"gone_share"`
	// Credentials are a file, as --credentials takes it, of devices of the one fleet that Fleet names.
	Credentials string `yaml:"credentials"`
	Fleet       string `yaml:"fleet"`

	first, firstViewer int // of a shard
	// Silence is as of Viewers.
	Silence time.Duration `yaml:"silence"`
}

// Fault is something that happens at a moment.
type Fault struct {
	At Moment `yaml:"at"`
	Do string `yaml:"do"`
	Of string `yaml:"of"` // the group or the part
	// For is how long it lasts: a killed part is away, a network is bad, devices send what is malformed.
	For time.Duration `yaml:"for"`
	// Fixed says that the small form does not shorten it, as where somebody has to notice.
	Fixed bool `yaml:"fixed"`

	Share  *units.Share  `yaml:"share"`  // of a group, or of a proxy's connections; all where nothing is said
	Within time.Duration `yaml:"within"` // dropped devices come back within it

	Malformed   units.Share   `yaml:"malformed"`
	Duplicates  units.Share   `yaml:"duplicates"`
	Disorder    units.Share   `yaml:"disorder"`
	ClockShare  units.Share   `yaml:"clock_share"` // of a group's devices, whose clocks are off by ClockOffset
	ClockOffset time.Duration `yaml:"clock_offset"`
	Conditions  `yaml:",inline"`
	Kinds       []string `yaml:"kinds"`
	Connections int      `yaml:"connections"`
	// Rate is what each hostile connection that floods sends at most; as fast as it can where nothing is said.
	Rate    units.Rate `yaml:"rate"`
	Forget  bool       `yaml:"forget"`
	Command string     `yaml:"command"`
}

// Moment is a time since the beginning, or a share of the whole time.
type Moment struct {
	Share float64
	After time.Duration
}

// UnmarshalText reads 30s or 25%.
func (m *Moment) UnmarshalText(text []byte) error {
	if percent, found := strings.CutSuffix(string(text), "%"); found {
		n, err := strconv.ParseFloat(percent, 64)
		if err != nil || !(n >= 0 && n <= 100) {
			return fmt.Errorf("read moment %q: it is written as 30s or 25%%", text)
		}
		*m = Moment{Share: n / 100}
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return fmt.Errorf("read moment %q: it is written as 30s or 25%%", text)
	}
	*m = Moment{After: d}
	return nil
}

// of is the moment in a run of a length.
func (m Moment) of(whole time.Duration) time.Duration {
	return m.After + time.Duration(m.Share*float64(whole))
}

// Parse reads a scenario and checks it.
func Parse(text []byte) (*Scenario, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("read scenario: more than %d bytes", maxFile)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	var s Scenario
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("read scenario: there is more than one in the file")
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	return &s, nil
}

// Last gives the scenario another length; 0 leaves it as it is.
func (s *Scenario) Last(d time.Duration) error {
	if d == 0 {
		return nil
	}
	s.For = d
	if err := s.check(); err != nil {
		return fmt.Errorf("make it last %v: %w", d, err)
	}
	return nil
}

// Load reads a scenario from a file, or the one of that name that comes with the program.
func Load(name string) (*Scenario, error) {
	if text, err := bundledText(name); err == nil {
		return Parse(text)
	}
	text, err := os.ReadFile(name) //nolint:gosec // the file that it is given
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read scenario: there is no file and no scenario %q; simulator scenarios lists them", name)
	}
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	return Parse(text)
}
