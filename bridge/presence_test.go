package bridge

import (
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func TestPresenceFollowsWhatIsHeard(t *testing.T) {
	const grace = DefaultOfflineGrace
	type act = func(r *rig)
	up := func(door, conn int) act { return func(r *rig) { r.connect(busDoor(door), uint64(conn), true) } }
	down := func(door, conn int) act { return func(r *rig) { r.connect(busDoor(door), uint64(conn), false) } }
	says := func(s devices.Status) act { return func(r *rig) { r.report(s, false) } }
	will := func(r *rig) {
		r.put(bus.Entry{Kind: bus.KindStatus, Status: bus.StatusReport{Status: devices.Offline, Will: true}})
	}
	retained := func(s devices.Status) act { return func(r *rig) { r.report(s, true) } }
	read := func(r *rig) { r.read(devices.Reading{}) }
	late := func(r *rig) { r.read(devices.Reading{At: noon - hour}) }
	pass := func(d time.Duration) act {
		return func(r *rig) {
			r.time += d.Milliseconds()
			r.expireBefore(r.time)
		}
	}
	for _, c := range []struct {
		name string
		acts []act
		want devices.Status
	}{
		{"a reading proves online", []act{read}, devices.Online},
		{"a late reading proves it too", []act{late}, devices.Online},
		{"a connection proves online", []act{up(1, 1)}, devices.Online},
		{"a connection that went is forgiven for the grace", []act{up(1, 1), down(1, 1), pass(grace - 1)}, devices.Online},
		{"then the device is offline", []act{up(1, 1), down(1, 1), pass(grace)}, devices.Offline},
		{"a quick reconnect does not flap", []act{up(1, 1), down(1, 1), pass(time.Second), up(1, 2), pass(time.Hour)}, devices.Online},
		{"a takeover, the new one first", []act{up(1, 1), up(1, 2), down(1, 1), pass(time.Hour)}, devices.Online},
		{"a takeover over two doors, in any order", []act{up(1, 7), down(1, 7), up(2, 7), pass(time.Hour)}, devices.Online},
		{"the same number at two doors is two connections", []act{up(1, 7), up(2, 7), down(2, 7), pass(time.Hour)}, devices.Online},
		{"the last of two", []act{up(1, 7), up(2, 7), down(2, 7), down(1, 7), pass(grace)}, devices.Offline},
		{"an up that is told twice is one connection", []act{up(1, 1), up(1, 1), down(1, 1), pass(grace)}, devices.Offline},
		{"a reading within the grace", []act{up(1, 1), down(1, 1), read, pass(time.Hour)}, devices.Online},
		{"the grace is counted from the last end", []act{up(1, 1), down(1, 1), pass(grace - time.Second), up(1, 2), down(1, 2), pass(grace - time.Second)}, devices.Online},
		{"a repeated end does not lengthen the grace", []act{up(1, 1), down(1, 1), pass(grace - time.Second), down(1, 1), pass(time.Second)}, devices.Offline},
		{"an end of a connection that nobody saw begin", []act{read, down(3, 3), pass(grace)}, devices.Offline},
		{"the device says offline", []act{read, says(devices.Offline)}, devices.Offline},
		{"and is heard again", []act{read, says(devices.Offline), read}, devices.Online},
		{"and connects again", []act{read, says(devices.Offline), up(1, 1)}, devices.Online},
		{"and says online again", []act{read, says(devices.Offline), says(devices.Online)}, devices.Online},
		{"a will, then the end of its connection", []act{up(1, 1), will, down(1, 1), pass(time.Hour)}, devices.Offline},
		{"the will of a connection that was taken over", []act{up(1, 1), up(1, 2), will, down(1, 1), pass(time.Hour)}, devices.Online},
		{"what a platform says live while an older connection of its own is counted", []act{up(1, 1), up(1, 2), says(devices.Offline)}, devices.Offline},
		{"and then the end of the older one", []act{up(1, 1), up(1, 2), says(devices.Offline), down(1, 1), pass(time.Hour)}, devices.Offline},
		{"a retained online proves nothing", []act{read, says(devices.Offline), retained(devices.Online)}, devices.Offline},
		{"a retained offline proves nothing", []act{read, retained(devices.Offline)}, devices.Online},
		{"a report makes a device known", []act{says(devices.Online)}, devices.Online},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			for _, act := range c.acts {
				act(r)
			}
			if got := r.truck().asset.Status; got != c.want {
				t.Errorf("the device is %v, want %v", got, c.want)
			}
		})
	}
}

func TestOnlyASignOfLifeMakesADevice(t *testing.T) {
	r := newRig(t)
	r.connect(1, 1, false)
	r.report(devices.Offline, false)
	r.report(devices.Online, true)
	r.report(devices.Offline, true)
	r.removeTruck()
	if got := r.frame(); got != "" {
		t.Errorf("a device came to be: %s", got)
	}
	r.wantCounts(t, map[reason]uint64{reasonUnknown: 5})
	if f := r.makeFlush(noon); len(f.Changes) != 0 || f.Consumed != 5 {
		t.Errorf("%d changes, consumed %d", len(f.Changes), f.Consumed)
	}
}

func TestReceivedIsWhenTheDeviceWasHeardAndNotWhenOthersSpokeOfIt(t *testing.T) {
	r := newRig(t)
	r.connect(1, 1, true)
	heard := r.time
	r.time += second
	r.connect(1, 1, false)
	r.report(devices.Offline, false)
	r.report(devices.Online, true)
	if got := r.truck().asset.Received; got != heard {
		t.Errorf("received %d, want %d", got, heard)
	}
	r.time += second
	r.report(devices.Online, false)
	if got := r.truck().asset.Received; got != r.time {
		t.Errorf("received %d, want %d", got, r.time)
	}
}

func TestTheOldestConnectionGoesWhereThereAreTooMany(t *testing.T) {
	r := newRig(t)
	for i := range uint64(maxConns + 3) {
		r.connect(1, i, true)
	}
	d := r.truck()
	if len(d.conns) != maxConns || d.conns[0].conn != 3 {
		t.Errorf("%d connections are kept, the first is %d", len(d.conns), d.conns[0].conn)
	}
	r.wantCounts(t, map[reason]uint64{reasonConnLimit: 3})
}

func TestAGraceEndsInTheOrderOfEntriesAlsoInABacklog(t *testing.T) {
	r := newRig(t)
	r.connect(1, 1, true)
	r.connect(1, 1, false)
	// The owner's clock does not move: these entries are read at once, a minute later.
	r.time += 4 * second
	r.connect(1, 2, true)
	r.connect(1, 2, false)
	r.time += 4 * second
	r.put(otherDevice(r, "truck-18"))
	if got := r.truck().asset.Status; got != devices.Online {
		t.Errorf("within the grace the device is %v", got)
	}
	r.time += 2 * second
	r.put(otherDevice(r, "truck-18"))
	if got := r.truck().asset.Status; got != devices.Offline {
		t.Errorf("after the grace the device is %v", got)
	}
	if r.leaving.Len() != 0 {
		t.Errorf("%d devices are still due", r.leaving.Len())
	}
}

func TestADeviceThatFlapsIsDueOnce(t *testing.T) {
	r := newRig(t)
	for i := range uint64(1000) {
		r.connect(1, i, true)
		r.connect(1, i, false)
	}
	if r.leaving.Len() != 1 {
		t.Errorf("%d are due", r.leaving.Len())
	}
	r.removeTruck()
	if r.leaving.Len() != 0 {
		t.Errorf("a removed device is still due")
	}
}
