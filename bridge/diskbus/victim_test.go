package diskbus

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// The victim is this test binary run again as a process that may be killed. It appends and publishes as fast as it can,
// and says on its standard output, one line at a time, what others may rely on from then on:
//
//	S epoch offset              the first snapshot's position
//	D device offset content     a device of that snapshot
//	R door number               the owner's record of a door: entries up to this number are consumed
//	I door number               an entry that is read again
//	.                           the end of what a start says
//	A door number               the entry is acknowledged
//	B offset device=content …   a batch that was shown
//	X text                      something is wrong
const (
	childDir   = "FLEETCAST_DISKBUS_DIR"
	childRun   = "FLEETCAST_DISKBUS_RUN"
	childFsync = "FLEETCAST_DISKBUS_FSYNC"

	victimDoors  = 3
	victimBlocks = 4 // that trails keep
)

type victim struct {
	b    *Bus
	run  int
	mu   sync.Mutex
	last map[string]uint64 // of every door, what the owner has read
}

func beVictim(dir string) {
	v := &victim{last: make(map[string]uint64)}
	o := Options{Dir: dir, LogBytes: 64 << 10, Memory: bus.MemoryOptions{FeedBuffer: 1 << 16}}
	if err := o.Fsync.UnmarshalText([]byte(os.Getenv(childFsync))); err != nil {
		v.wrong(err)
		return
	}
	var err error
	if v.run, err = strconv.Atoi(os.Getenv(childRun)); err != nil {
		v.wrong(err)
		return
	}
	if v.b, err = Open(o); err != nil {
		v.wrong(err)
		return
	}
	if err := v.live(context.Background()); err != nil {
		v.wrong(err)
	}
}

func (v *victim) say(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(os.Stdout, format+"\n", args...) // one write, not buffered: a kill loses nothing of what was said
}

func (v *victim) wrong(err error) { v.say("X %v", err) }

func (v *victim) live(ctx context.Context) error {
	feed, err := v.b.Watch(ctx, 0)
	if err != nil {
		return err
	}
	u, err := feed.Next(ctx)
	if err != nil {
		return err
	}
	v.say("S %d %d", u.Snapshot.Position.Epoch, u.Snapshot.Position.Offset)
	for i := range u.Snapshot.Devices {
		d := &u.Snapshot.Devices[i]
		v.say("D %s %d %s", d.Device, d.Offset, d.Frame)
	}
	l, err := v.b.Own(ctx, 0)
	if err != nil {
		return err
	}
	for r := range l.State() {
		n, err := strconv.ParseUint(string(r.Data), 10, 64)
		if err != nil {
			return err
		}
		v.last[r.Device.String()] = n
		if err := v.checkTrail(ctx, &r); err != nil {
			return err
		}
		v.say("R %s %d", r.Device, n)
	}
	if waiting := v.b.Stats().InletEntries; waiting > 0 {
		if err := v.flush(ctx, l, waiting, true); err != nil {
			return err
		}
	}
	v.say(".")
	var wg sync.WaitGroup
	for door := range victimDoors {
		wg.Go(func() { v.door(ctx, door) })
	}
	wg.Go(func() { v.watch(ctx, feed) })
	for err == nil {
		err = v.flush(ctx, l, 100, false)
	}
	v.wrong(err)
	wg.Wait()
	return nil
}

// door numbers its entries and says which are acknowledged.
func (v *victim) door(ctx context.Context, door int) {
	name := fmt.Sprintf("door-%d-%d", v.run, door)
	device, err := devices.ParseDeviceID(name)
	if err != nil {
		v.wrong(err)
		return
	}
	fleet, err := devices.ParseFleetID("north")
	if err != nil {
		v.wrong(err)
		return
	}
	id, n := bus.NewDoorID(), uint64(0)
	for seq := uint64(1); ; seq++ {
		var list []bus.Entry
		for range 1 + seq%5 {
			n++
			list = append(list, bus.Entry{
				Device: device, Fleet: fleet, Kind: bus.KindConnection, Connection: bus.Connection{Door: id, Conn: n, Up: true},
			})
		}
		if err := v.b.Append(ctx, bus.Append{Door: id, Seq: seq, Entries: list}); err != nil {
			v.wrong(err)
			return
		}
		v.say("A %s %d", name, n)
	}
}

// flush consumes what is there. Each door is a device too, whose record is the number of its last entry.
func (v *victim) flush(ctx context.Context, l bus.Lease, limit int, again bool) error {
	got, err := l.Read(ctx, limit)
	if err != nil {
		return err
	}
	f := bus.Flush{Consumed: got[len(got)-1].ID, Time: got[len(got)-1].Time}
	at := make(map[string]int)
	for i := range got {
		e := &got[i]
		name, n := e.Device.String(), e.Connection.Conn
		if n != v.last[name]+1 {
			return fmt.Errorf("door %s: entry %d follows %d", name, n, v.last[name])
		}
		v.last[name] = n
		if again {
			v.say("I %s %d", name, n)
		}
		f.Trails = append(f.Trails, bus.TrailBlock{Device: e.Device, Fleet: e.Fleet, Data: fmt.Append(nil, n), Keep: victimBlocks})
		c := bus.Change{Device: e.Device, Fleet: e.Fleet, Frame: fmt.Append(nil, n), Record: fmt.Append(nil, n)}
		if j, ok := at[name]; ok {
			f.Changes[j] = c
			continue
		}
		at[name] = len(f.Changes)
		f.Changes = append(f.Changes, c)
	}
	_, err = l.Publish(ctx, &f)
	return err
}

// checkTrail sees that what one flush made stands together: the number of the last block of a trail is the record's.
func (v *victim) checkTrail(ctx context.Context, r *bus.Record) error {
	kept, err := v.b.Trail(ctx, r.Fleet, r.Device)
	if err != nil {
		return err
	}
	if n := len(kept.Blocks); n == 0 || n > victimBlocks || !bytes.Equal(kept.Blocks[n-1], r.Data) {
		return fmt.Errorf("the trail of %s is %q where its record is %s", r.Device, kept.Blocks, r.Data)
	}
	return nil
}

func (v *victim) watch(ctx context.Context, feed bus.Feed) {
	for {
		u, err := feed.Next(ctx)
		if err != nil || u.Batch == nil {
			v.wrong(fmt.Errorf("a feed gives %+v: %w", u, err))
			return
		}
		var line bytes.Buffer
		for i := range u.Batch.Changes {
			fmt.Fprintf(&line, " %s=%s", u.Batch.Changes[i].Device, u.Batch.Changes[i].Frame)
		}
		v.say("B %d%s", u.Batch.Position.Offset, line.String())
	}
}
