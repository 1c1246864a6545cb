package play

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/prove"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// programConnections is what is reckoned for each program that speaks to another part through a proxy. Three roles on two cores
// were seen with 121 to Redis together.
const programConnections = 64

// needs is what a run opens on this machine.
type needs struct {
	parts map[string]*Part // of the scenario, by name
	given map[string]string
	ways  []fleet.Way
	files int            // besides the ways
	taken map[string]int // connections that a part which is started has to take
}

var firstName = regexp.MustCompile(`\{([^{}.]+)`)

// needs reckons what a run opens: devices and those that are taken over, viewers, the ledger, the look at the end, hostile
// connections, both sides of proxies, and the output of programs.
func (e *engine) needs() *needs {
	s := e.scenario
	n := &needs{parts: map[string]*Part{}, given: map[string]string{}, taken: map[string]int{}}
	if e.options.MQTT != "" {
		host := watch.Host(e.options.URL)
		n.given = map[string]string{usualDoor: e.options.MQTT, "{" + gatewayName + ".http}": host, usualEdge: host}
	}
	for i := range s.Start {
		n.part(&s.Start[i], e.options.MQTT != "")
	}
	for i := range s.Devices {
		d := &s.Devices[i]
		from, _ := fleet.ParseSources(d.Sources) // check has read them
		n.open(fleet.Way{To: or(d.MQTT, usualDoor), Connections: d.Count, Sources: from, Spread: true})
	}
	for i := range s.Viewers {
		v := &s.Viewers[i]
		o := watch.Options{Viewers: v.Count, HTTP2Share: v.HTTP2Share, HTTP2OwnShare: v.HTTP2OwnShare, WebSocketShare: v.WebSocketShare, PanEvery: v.PanEvery}
		n.open(fleet.Way{To: or(v.URL, usualEdge), Connections: o.Connections()})
	}
	if s.Ledger != nil {
		n.ledger(s.Ledger)
	}
	if !s.NoAudit {
		n.open(fleet.Way{To: usualEdge, Connections: 1})
	}
	for i := range s.Faults {
		switch f := &s.Faults[i]; f.Do {
		case "hostile":
			n.open(fleet.Way{To: or(f.Of, usualDoor), Connections: f.Connections})
		case "takeover": // for a moment there are two of each
			n.takeover(s, f)
		}
	}
	return n
}

func (n *needs) takeover(s *Scenario, f *Fault) {
	for i := range s.Devices {
		if d := &s.Devices[i]; d.Name == f.Of {
			n.open(fleet.Way{To: or(d.MQTT, usualDoor), Connections: int(math.Ceil(float64(d.Count) * float64(f.share())))})
		}
	}
}

// ledger is dealt over its doors and edges.
func (n *needs) ledger(l *Ledger) {
	o := prove.Options{Devices: l.Devices, Viewers: l.Viewers, ResumeEvery: l.ResumeEvery, Crowd: prove.Crowd{
		HTTP2Share: l.HTTP2Share, HTTP2OwnShare: l.HTTP2OwnShare, WebSocketShare: l.WebSocketShare, FilterShare: l.FilterShare, PanEvery: l.PanEvery,
		SlowShare: l.SlowShare, ResumeShare: l.ResumeShare,
	}}
	doors, edges := o.Connections()
	deal := func(to []string, usual string, connections int) {
		if len(to) == 0 {
			to = []string{usual}
		}
		for _, one := range to {
			n.open(fleet.Way{To: one, Connections: (connections + len(to) - 1) / len(to)})
		}
	}
	deal(l.MQTT, usualDoor, doors)
	deal(l.URLs, usualEdge, edges)
}

// part reckons what starting a part opens; those of an installation of somebody else's are not started.
func (n *needs) part(p *Part, others bool) {
	if p.Proxy != "" {
		n.parts[p.Name] = p
		n.files++ // it listens
		return
	}
	if others {
		return
	}
	n.parts[p.Name] = p
	n.files++ // its output
	for _, arg := range slices.Concat(p.Gateway, p.Args) {
		for _, name := range firstName.FindAllStringSubmatch(arg, -1) {
			if q := n.parts[name[1]]; q != nil && q.Proxy != "" {
				n.behind(q, programConnections)
			}
		}
	}
}

// open adds connections of ours, with what they cause behind a proxy.
func (n *needs) open(w fleet.Way) {
	for _, scheme := range []string{"mqtt://", "mqtts://", "http://", "https://"} {
		w.To = strings.TrimPrefix(w.To, scheme)
	}
	w.To, _, _ = strings.Cut(w.To, "/") // a path
	if address, ok := n.given[w.To]; ok {
		w.To = address
	}
	part := n.partOf(w.To)
	if part != nil && part.Proxy == "" {
		n.taken[part.Name] += w.Connections
	}
	if part != nil {
		w.To = loopback(w.To)
	}
	n.ways = append(n.ways, w)
	if part != nil && part.Proxy != "" {
		n.behind(part, w.Connections)
	}
}

// loopback names a part so that a fleet sees that it is on this machine.
func loopback(name string) string { return "127.0.0.1:" + strings.Trim(name, "{}") }

// behind adds what a proxy opens for connections that it takes: each is two files, of which one is a connection of its own.
func (n *needs) behind(p *Part, connections int) {
	n.files += connections
	n.open(fleet.Way{To: p.Proxy, Connections: connections})
}

func (n *needs) partOf(text string) *Part {
	if name := firstName.FindStringSubmatch(text); name != nil {
		return n.parts[name[1]]
	}
	return nil
}

// preflight says what this machine lacks for all of it.
func (e *engine) preflight() error {
	n := e.needs()
	lacks := fleet.Preflight(n.files, n.ways...)
	for _, name := range slices.Sorted(maps.Keys(n.taken)) {
		lacks = append(lacks, fleet.Holds(name, n.taken[name])...)
	}
	if len(lacks) > 0 {
		return fmt.Errorf("run scenario: this machine cannot hold so many connections: %s", strings.Join(lacks, "; "))
	}
	return nil
}
