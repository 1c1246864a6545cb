package tracker

import (
	"math"
	"time"

	"github.com/fleetcast/fleetcast/simulator/routes"
)

// Defaults and bounds.
const (
	DefaultMemory = 60 * time.Second
	// MaxHeld is how many fixes a tracker buffers where there is no network; the oldest is dropped for a new one.
	MaxHeld = 240
	// tunnelAccuracy is what a receiver claims, in metres, while it counts wheels instead of satellites.
	tunnelAccuracy = 60
	// odometerEnd is where an odometer begins anew: a vehicle's counts since 1970, which no vehicle does.
	odometerEnd     = 400e6
	metresPerDegree = 6371008.8 * math.Pi / 180
)

// Policy says when a tracker reports. The zero value reports at each look.
type Policy struct {
	// Every is the time after which it reports whatever happened; 0 with nothing else set means each look.
	Every time.Duration
	// Parked is Every's part while it stands; 0 means the same.
	Parked time.Duration
	// Distance in metres and Heading in degrees since the last report make one earlier; 0 does not.
	Distance float64
	Heading  float64
}

// Options of all trackers of a fleet. The zero value is a perfect receiver that reports at each look.
type Options struct {
	Seed uint64
	// Noise is the deviation of the receiver's error along each axis in metres, and Memory how long it lasts.
	Noise  float64
	Memory time.Duration
	// Multipath is how far off, in metres, reflections in streets between high buildings put a receiver; 0: there are none.
	// Dishonest is the share of the receivers that do not say so in their accuracy.
	Multipath, Dishonest float64
	// Tunnels takes satellites and network away where the road is covered: fixes are buffered and come in a burst.
	Tunnels bool
	// ColdStart is how long after its first look a receiver has no satellites, and says 0,0; up to as long again, at random,
	// so that a fleet does not find its satellites as one.
	ColdStart time.Duration
	Policy    Policy
}

// Fix is what a tracker has to say.
type Fix struct {
	At       time.Time
	Valid    bool // there are satellites; without them the position is 0,0
	Buffered bool // it could not be sent when it was made
	Parked   bool
	Kind     routes.Kind

	Lat, Lon   float64
	Altitude   float64 // metres
	Speed      float64 // m/s
	Heading    float64 // degrees true; of no meaning while parked
	Accuracy   float64 // metres
	Satellites int

	Battery, Fuel float64 // percent
	Odometer      float64 // metres
	Seq           uint64
}

// Tracker is the receiver and the reporter on one vehicle. It is for one goroutine, which asks with growing times.
type Tracker struct {
	vehicle routes.Vehicle
	options *Options // shared by the fleet
	seed    uint64

	on       time.Time // of the first look
	cold     time.Duration
	last     Fix // that was reported
	reported bool
	seq      uint64
	held     []Fix
	dropped  uint64
	one      [1]Fix
}

// New returns the tracker of a vehicle; index tells its error from its neighbours'. The options are kept and not changed.
func New(v routes.Vehicle, index int, o *Options) Tracker {
	t := Tracker{vehicle: v, options: o, seed: mix(o.Seed ^ mix(uint64(index)))}
	if o.ColdStart > 0 {
		t.cold = o.ColdStart + time.Duration(t.seed%uint64(o.ColdStart))
	}
	return t
}

// Vehicle is what it is mounted on.
func (t *Tracker) Vehicle() *routes.Vehicle { return &t.vehicle }

// Dropped is how many fixes were lost to a full buffer.
func (t *Tracker) Dropped() uint64 { return t.dropped }

// Look returns what is to be sent now, oldest first: usually one fix, none where nothing is due or there is no network,
// many behind a tunnel. It is valid until the next look.
func (t *Tracker) Look(at time.Time) []Fix {
	if t.on.IsZero() {
		t.on = at
	}
	f := t.fix(at)
	covered := t.options.Tunnels && f.covered
	if !t.isDue(&f.Fix) && (covered || len(t.held) == 0) {
		return nil
	}
	f.Seq = t.seq
	t.seq++
	t.last, t.reported = f.Fix, true
	if covered {
		f.Buffered = true
		t.hold(f.Fix)
		return nil
	}
	if len(t.held) == 0 {
		t.one[0] = f.Fix
		return t.one[:]
	}
	burst := append(t.held, f.Fix)
	t.held = nil
	return burst
}

func (t *Tracker) hold(f Fix) {
	if len(t.held) >= MaxHeld {
		t.dropped++
		t.held = t.held[:copy(t.held, t.held[1:])]
	}
	t.held = append(t.held, f)
}

func (t *Tracker) isDue(f *Fix) bool {
	p := &t.options.Policy
	every := p.Every
	if f.Speed == 0 && p.Parked > 0 {
		every = p.Parked
	}
	switch {
	case !t.reported, *p == Policy{}, f.Valid != t.last.Valid:
		return true
	case every > 0 && f.At.Sub(t.last.At) >= every:
		return true
	case !f.Valid:
		return false
	case p.Distance > 0 && metresBetween(&t.last, f) >= p.Distance:
		return true
	}
	return p.Heading > 0 && f.Speed > 1 && turned(t.last.Heading, f.Heading) >= p.Heading
}

type look struct {
	Fix
	covered bool
}

func (t *Tracker) fix(at time.Time) look {
	m := t.vehicle.At(at)
	e := t.vehicle.Energy(at, m.Odometer)
	f := look{covered: m.Covered, Fix: Fix{
		At: at, Valid: at.Sub(t.on) >= t.cold, Parked: m.Parked, Kind: t.vehicle.Kind(),
		Battery: e.Battery, Fuel: e.Fuel, Odometer: math.Mod(m.Odometer, odometerEnd),
	}}
	if !f.Valid {
		return f
	}
	f.Lat, f.Lon, f.Speed, f.Heading = m.Lat, m.Lon, m.Speed, m.Heading
	f.Accuracy, f.Satellites = 5, 11
	if f.Kind != routes.Ship {
		f.Altitude = altitude(m.Lat, m.Lon)
	}
	if t.options.Noise > 0 {
		t.err(&f.Fix)
	}
	if t.options.Multipath > 0 && m.Walled && !m.Parked {
		t.reflect(&f.Fix, m.Heading)
	}
	if f.covered && t.options.Tunnels {
		f.Accuracy, f.Satellites = tunnelAccuracy, 0
	}
	return f
}

// err adds the receiver's error. Speed and heading come from the Doppler shift, which the error of the place does not
// touch, so they stay as they are.
func (t *Tracker) err(f *Fix) {
	memory := t.options.Memory
	if memory <= 0 {
		memory = DefaultMemory
	}
	north := t.options.Noise * wander(t.seed, 1, f.At, memory)
	east := t.options.Noise * wander(t.seed, 2, f.At, memory)
	f.Lat += north / metresPerDegree
	f.Lon += east / (metresPerDegree * math.Cos(f.Lat*math.Pi/180))
	f.Altitude += 1.6 * t.options.Noise * wander(t.seed, 3, f.At, memory)
	// A receiver knows roughly how far off it may be, and the more satellites the nearer.
	f.Satellites = 7 + int(6*(0.5+0.5*math.Tanh(wander(t.seed, 4, f.At, 4*memory))))
	f.Accuracy = t.options.Noise * 1.4 * (1 + float64(13-f.Satellites)*0.12)
}

// altitude is a made-up land: hills of some hundred metres, the same for everybody who is at a place.
func altitude(lat, lon float64) float64 {
	return 160 + 90*math.Sin(lat*9)*math.Cos(lon*7) + 50*math.Sin(lat*31+lon*17)
}

func metresBetween(a, b *Fix) float64 {
	lon := math.Remainder(b.Lon-a.Lon, 360)
	return metresPerDegree * math.Hypot(b.Lat-a.Lat, lon*math.Cos(b.Lat*math.Pi/180))
}

func turned(a, b float64) float64 { return math.Abs(math.Remainder(a-b, 360)) }
