package play

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/certs"
	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/prove"
	"github.com/fleetcast/fleetcast/simulator/report"
	"github.com/fleetcast/fleetcast/simulator/routes"
	"github.com/fleetcast/fleetcast/simulator/tracker"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Where a group goes that says nothing.
const (
	usualDoor = "{" + gatewayName + ".mqtt}"
	usualEdge = "{" + gatewayName + ".url}"
	usualPath = "/stream/assets"
)

func (e *engine) makeDevices() error {
	start := 0
	for i := range e.scenario.Devices {
		d := &e.scenario.Devices[i]
		if d.Count == 0 {
			start += d.whole // other shards have them
			continue
		}
		o, err := e.deviceOptions(d, start)
		if err != nil {
			return fmt.Errorf("make devices %s: %w", d.Name, err)
		}
		start += max(d.whole, d.Count) // so that no two groups have the same vehicle
		f, err := fleet.New(o)
		if err != nil {
			return fmt.Errorf("make devices %s: %w", d.Name, err)
		}
		e.fleets = append(e.fleets, report.DeviceGroup{Name: d.Name, Fleet: f})
	}
	return nil
}

func (e *engine) deviceOptions(d *Devices, start int) (fleet.Options, error) {
	s := e.scenario
	o := fleet.Options{
		MQTT: e.installation.fill(or(d.MQTT, usualDoor)), Devices: max(d.whole, d.Count), Shard: d.shard, StartIndex: start, Rate: d.Rate, For: max(s.For-d.Ramp-d.RampDown, time.Second),
		Ramp: d.Ramp, RampDown: d.RampDown, Stages: d.Stages, Prefix: d.Prefix, Seed: s.Seed, QoS: d.QoS, QoS1: d.QoS1Share, KeepAlive: d.KeepAlive,
		World: routes.Options{Ships: float64(d.Ships), Places: d.Places},
		Tracker: tracker.Options{
			Noise: d.Noise, Multipath: d.Multipath, Dishonest: float64(d.Dishonest), Tunnels: d.Tunnels, ColdStart: d.ColdStart,
			Policy: tracker.Policy{Every: d.Report.Every, Parked: d.Report.Parked, Distance: d.Report.Distance, Heading: d.Report.Heading},
		},
		ClockShare: d.Wrong.ClockShare, ClockOffset: d.Wrong.ClockOffset, Logger: e.options.Logger, Faults: faultsOf(d.Wrong),
	}
	if d.Parked != nil {
		if o.World.Parked = float64(*d.Parked); o.World.Parked == 0 {
			o.World.Parked = -1 // nobody
		}
	}
	var err error
	if o.Sources, err = fleet.ParseSources(d.Sources); err != nil {
		return o, err
	}
	if o.World.Day, err = routes.ParseDay(d.Day, time.Now()); err != nil {
		return o, err
	}
	for _, file := range d.Routes {
		lines, err := routes.ReadLines(file)
		if err != nil {
			return o, err
		}
		o.World.Lines = append(o.World.Lines, lines...)
	}
	if err := e.access(d, &o); err != nil {
		return o, err
	}
	if o.Mix, err = d.Mix.WithTopics(d.Topics); err != nil {
		return o, err
	}
	o.Fleets = []string{d.Name}
	if d.Fleets > 1 {
		o.Fleets = nil
		for i := range d.Fleets {
			o.Fleets = append(o.Fleets, d.Name+"-"+strconv.Itoa(i))
		}
	}
	return o, nil
}

// access reads what the devices show, and whom they trust.
func (e *engine) access(d *Devices, o *fleet.Options) (err error) {
	if d.Credentials != "" {
		if o.Identities, err = fleet.ReadIdentities(d.Credentials); err != nil {
			return err
		}
		if len(o.Identities) < o.Devices {
			return fmt.Errorf("%d devices and %d credentials", o.Devices, len(o.Identities))
		}
	}
	if o.Certificate, err = certs.Clients(d.ClientCA, d.ClientCerts); err != nil {
		return err
	}
	if d.TLSCA == "" {
		return nil
	}
	text, err := os.ReadFile(d.TLSCA)
	if err != nil {
		return fmt.Errorf("read certificates: %w", err)
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !o.TLS.RootCAs.AppendCertsFromPEM(text) {
		return fmt.Errorf("read certificates: %s holds none", d.TLSCA)
	}
	return nil
}

func faultsOf(w Wrong) fleet.Faults {
	return fleet.Faults{Duplicates: w.Duplicates, Disorder: w.Disorder, Malformed: w.Malformed}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (e *engine) makeViewers() error {
	for i := range e.scenario.Viewers {
		v := &e.scenario.Viewers[i]
		base := e.installation.fill(or(v.URL, usualEdge))
		if !strings.Contains(strings.TrimPrefix(strings.TrimPrefix(base, "http://"), "https://"), "/") {
			base += usualPath
		}
		o := watch.Options{
			URL: base, Viewers: v.Count, First: v.first, ConnectRate: v.ConnectRate, SlowShare: v.SlowShare, SlowRate: v.SlowRate, ResumeEvery: v.ResumeEvery,
			ResumeShare: v.ResumeShare, GoneShare: v.GoneShare, HTTP2Share: v.HTTP2Share, HTTP2OwnShare: v.HTTP2OwnShare, WebSocketShare: v.WebSocketShare,
			TLS: e.installation.trust, PanEvery: v.PanEvery, Silence: v.Silence, Gzip: v.Gzip, Header: e.options.Header, CheckShare: watch.DefaultCheckShare, Logger: e.options.Logger,
			StayFor: e.scenario.For, // it ends with the scenario
		}
		if n := len(v.Queries); n > 0 {
			o.Address = func(i int) string {
				return watch.WithQuery(base, strings.ReplaceAll(v.Queries[i%n], "{i}", strconv.Itoa(i)))
			}
		}
		w, err := watch.New(o)
		if err != nil {
			return fmt.Errorf("make viewers %s: %w", v.Name, err)
		}
		e.watches = append(e.watches, report.ViewerGroup{Name: v.Name, Watch: w})
	}
	return nil
}

func (e *engine) makeLedger() error {
	l := e.scenario.Ledger
	if l == nil {
		return nil
	}
	o := prove.Options{
		Devices: l.Devices, Viewers: l.Viewers, Rate: l.Rate, For: e.scenario.For, Seed: e.scenario.Seed, ResumeEvery: l.ResumeEvery,
		TLS: e.installation.trust, Crowd: prove.Crowd{
			First:      l.firstViewer,
			HTTP2Share: l.HTTP2Share, HTTP2OwnShare: l.HTTP2OwnShare, WebSocketShare: l.WebSocketShare, FilterShare: l.FilterShare, PanEvery: l.PanEvery,
			SlowShare: l.SlowShare, SlowRate: l.SlowRate, ResumeShare: l.ResumeShare, GoneShare: l.GoneShare,
		},
		Settle: l.Settle, Silence: l.Silence, Fleet: or(l.Fleet, "ledger"), Header: e.options.Header, Terms: prove.Terms{Durable: true}, Reconnect: 200 * time.Millisecond, Logger: e.options.Logger,
	}
	if l.Credentials != "" {
		all, err := fleet.ReadIdentities(l.Credentials)
		if err != nil {
			return fmt.Errorf("make ledger: %w", err)
		}
		for _, i := range all {
			o.Identities = append(o.Identities, prove.Identity{Username: i.Username, Password: i.Password})
		}
		o.Identities = o.Identities[min(l.first, len(o.Identities)):]
	}
	for _, door := range l.MQTT {
		o.MQTT = append(o.MQTT, e.installation.fill(door))
	}
	for _, edge := range l.URLs {
		o.URLs = append(o.URLs, e.installation.fill(edge))
	}
	if len(o.MQTT) == 0 {
		o.MQTT = []string{e.installation.fill(usualDoor)}
	}
	if len(o.URLs) == 0 {
		o.URLs = []string{e.installation.fill(usualEdge)}
	}
	p, err := prove.New(o)
	if err != nil {
		return fmt.Errorf("make ledger: %w", err)
	}
	e.prove = p
	return nil
}
