package fleet

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/simulator/mqttlite"
	"github.com/fleetcast/fleetcast/simulator/units"
)

// Faults are what devices do wrong, as shares of their messages. They may be changed while a fleet runs.
type Faults struct {
	Duplicates units.Share // sent twice
	Disorder   units.Share // sent after the one behind it
	Malformed  units.Share // cut short, of a wrong type, no JSON at all
	// ClockShare of the devices have a clock that is off by ClockOffset, whatever it was before.
	ClockShare  units.Share
	ClockOffset time.Duration
}

// clockOf is how far a device's clock is off with these faults.
func (d *device) clockOf(faults *Faults) time.Duration {
	if faults != nil && faults.ClockShare.Has(d.position) {
		return faults.ClockOffset
	}
	return d.clock
}

// takeovers bounds the connections that take others over at the same time.
const takeovers = 64

// SetFaults changes what goes wrong from now on.
func (f *Fleet) SetFaults(faults Faults) { f.faults.Store(&faults) }

// chance is a number in [0,1) for message seq of a device and a purpose: the same in each run of a seed.
func (d *device) chance(seq uint64, purpose uint64) float64 {
	z := d.fleet.options.Seed ^ uint64(d.device.Index)<<32 ^ seq<<8 ^ purpose
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

const (
	forDuplicate = iota + 1
	forDisorder
	forMalformed
	forKind
)

// malform spoils a payload in one of a few ways that devices and networks have.
func malform(payload []byte, how float64) []byte {
	switch n := len(payload); int(how * 5) {
	case 0: // cut by a modem
		return payload[:n/2]
	case 1: // a buffer that was never written
		clear(payload)
		return payload
	case 2: // nested beyond what anybody reads
		for i := range payload {
			payload[i] = '['
		}
		return payload
	case 3: // a value of a wrong type
		return append(payload[:0], `{"lat":"north","lon":[1,2],"speed":{"a":1e999}}`...)
	default:
		return append(payload[:0], "AT+CGPSINF=0\r\nERROR\r\n\xff\xfe"...)
	}
}

// chosen returns the share of the connected devices that a fault is for, the same ones each time.
func (f *Fleet) chosen(share units.Share) (chosen []*device) {
	for i := range f.devices {
		if share.Has(i) && f.devices[i].client.Load() != nil {
			chosen = append(chosen, &f.devices[i])
		}
	}
	return chosen
}

// Drop ends the connections of a share of the devices without a goodbye. Each comes back at a random moment within the
// time: with 0 they all come at once, which is a reconnect storm. It returns how many were dropped.
func (f *Fleet) Drop(share units.Share, within time.Duration) int {
	dropped := f.chosen(share)
	for _, d := range dropped {
		d.hurry.Store(int64(within) + 1)
		if client := d.client.Load(); client != nil {
			_ = client.Close() // it is to end
		}
	}
	f.count.dropped.Add(int64(len(dropped)))
	return len(dropped)
}

// Vanish has a share of the devices lose their network: their connections stand and nothing is said on them, so that only
// the keep-alive tells. Each device comes back after the time that it is dark and at a random moment within another one: to
// a broker that has noticed, or that still holds its old connection. It returns how many vanished.
func (f *Fleet) Vanish(share units.Share, dark, within time.Duration) (vanished int) {
	for _, d := range f.chosen(share) {
		client := d.client.Load()
		if client == nil {
			continue
		}
		d.dark.Store(int64(dark))
		d.hurry.Store(int64(within) + 1)
		if conn := client.Vanish(); conn != nil {
			f.keepSilent(conn)
			vanished++
		}
	}
	f.count.vanished.Add(int64(vanished))
	return vanished
}

// keepSilent holds a connection that nobody uses until the fleet ends, which is when a process would lose it too.
func (f *Fleet) keepSilent(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent = append(f.silent, conn)
}

func (f *Fleet) closeSilent() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range f.silent {
		_ = conn.Close() // the broker has mostly closed it before
	}
	f.silent = nil
}

// Takeover connects a second time with the client ids of a share of the devices, as a modem does that has forgotten its
// connection, and drops those connections when they stand. It returns when all are done.
func (f *Fleet) Takeover(ctx context.Context, share units.Share) {
	var running sync.WaitGroup
	room := make(chan struct{}, takeovers)
	for _, d := range f.chosen(share) {
		select {
		case <-ctx.Done():
		case room <- struct{}{}:
			running.Go(func() {
				defer func() { <-room }()
				d.takeOver(ctx)
			})
		}
	}
	running.Wait()
}

func (d *device) takeOver(ctx context.Context) {
	d.hurry.Store(int64(time.Second) + 1) // the device notices, and comes back
	conn, err := d.dial(ctx)
	if err != nil {
		return // counted where it was dialled
	}
	o := d.connectOptions()
	o.OnAck = nil
	client, err := mqttlite.Connect(ctx, conn, o)
	if err != nil {
		d.fleet.count.handshakes.Add(1)
		return
	}
	d.fleet.count.takeovers.Add(1)
	_ = client.Close() // it is to end
}

// pause is how long a device waits before it connects again: in a hurry where a fault asked for it.
func (d *device) pause(backoff time.Duration) time.Duration {
	if hurry := d.hurry.Swap(0); hurry > 0 {
		return time.Duration(d.dark.Swap(0)) + rand.N(time.Duration(hurry))
	}
	return backoff/2 + rand.N(backoff/2+1)
}
