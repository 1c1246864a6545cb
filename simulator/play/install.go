package play

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/fleetcast/fleetcast/simulator/child"
	"github.com/fleetcast/fleetcast/simulator/prove"
	"github.com/fleetcast/fleetcast/simulator/proxy"
)

// gatewayName is what a gateway is called that somebody else runs.
const gatewayName = "gateway"

// installation is what a scenario has started, or was given.
type installation struct {
	addresses map[string]string // by name, as {redis} and {gateway.mqtt} say
	processes map[string]*guarded
	proxies   map[string]*proxy.Proxy
	order     []*guarded  // as they were started
	trust     *tls.Config // who trusts the edge of HTTPS, where there is one
	running   sync.WaitGroup
	cancel    context.CancelFunc // ends the proxies

	mu     sync.Mutex     // guards what follows
	groups []*child.Group // what commands may have left running
}

// fill puts addresses in the place of names.
func (in *installation) fill(text string) string {
	for name, address := range in.addresses {
		text = strings.ReplaceAll(text, "{"+name+"}", address)
	}
	return text
}

// install starts the parts in their order. With addresses of an installation that is there, only proxies are started.
func install(ctx context.Context, o *Options) (*installation, error) {
	proxying, cancel := context.WithCancel(context.WithoutCancel(ctx))
	in := &installation{addresses: map[string]string{}, processes: map[string]*guarded{}, proxies: map[string]*proxy.Proxy{}, cancel: cancel}
	if o.MQTT != "" {
		in.addresses[gatewayName+".mqtt"] = o.MQTT
		u, err := url.Parse(o.URL)
		if err != nil || u.Host == "" {
			return nil, errors.Join(fmt.Errorf("read address of the edge %q: it is written as http://127.0.0.1:8080", o.URL), in.stop())
		}
		in.addresses[gatewayName+".http"], in.addresses[gatewayName+".url"] = u.Host, u.Scheme+"://"+u.Host
	}
	for i := range o.Scenario.Start {
		if err := in.start(ctx, proxying, &o.Scenario.Start[i], o); err != nil {
			return nil, errors.Join(err, in.stop())
		}
	}
	return in, nil
}

func (in *installation) start(ctx, proxying context.Context, p *Part, o *Options) error {
	switch {
	case p.Proxy != "":
		x, err := proxy.New(ctx, "127.0.0.1:0", in.fill(p.Proxy))
		if err != nil {
			return fmt.Errorf("start %s: %w", p.Name, err)
		}
		x.Set(conditions(p.Conditions))
		in.proxies[p.Name], in.addresses[p.Name] = x, x.Address()
		in.running.Go(func() { _ = x.Run(proxying) }) // it ends when it is told to
	case o.MQTT != "":
		return nil // somebody else's
	case p.Run != "":
		g, err := startProgram(ctx, p, in.fill)
		if err != nil {
			return err
		}
		in.keep(p.Name, g)
		in.addresses[p.Name], in.addresses[p.Name+".host"], in.addresses[p.Name+".port"] = g.address, g.host, g.port
	default:
		var args []string
		for _, arg := range p.Gateway {
			args = append(args, in.fill(arg))
		}
		g, err := prove.StartGateway(ctx, prove.GatewayOptions{Program: o.Gateway, Args: args, Secure: p.TLS})
		if err != nil {
			return fmt.Errorf("start %s: %w", p.Name, err)
		}
		in.keep(p.Name, g)
		in.addresses[p.Name+".mqtt"], in.addresses[p.Name+".http"] = g.MQTT(), g.Host()
		in.addresses[p.Name+".url"] = g.URL()
		if p.TLS {
			in.trust = g.Trust()
		}
	}
	return nil
}

func (in *installation) keep(name string, p process) {
	g := &guarded{process: p}
	in.processes[name], in.order = g, append(in.order, g)
}

func conditions(c Conditions) proxy.Conditions {
	return proxy.Conditions{Latency: c.Latency, Jitter: c.Jitter, Bandwidth: c.Bandwidth}
}

// stop ends everything, the last first.
func (in *installation) stop() error {
	var errs []error
	in.mu.Lock()
	for _, g := range in.groups {
		g.End()
	}
	in.mu.Unlock()
	for _, g := range slices.Backward(in.order) {
		g.mu.Lock()
		errs = append(errs, g.Stop())
		g.mu.Unlock()
	}
	in.cancel()
	in.running.Wait()
	return errors.Join(errs...)
}
