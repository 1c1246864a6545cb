package bustest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// Options are what a check needs of the bus that it opens. The bounds are of one partition, 0 stands for the bus's own,
// and a bus may take a bound for less than exact where its contract allows that.
type Options struct {
	Partitions   int
	InletEntries int // that are not consumed
	FeedBatches  int // that a feed may be behind before it gets a snapshot
	Tombstones   int
	Events       int
	TrailBytes   int
}

// Open returns a new and empty bus. What it keeps outside the process is removed by t.Cleanup; the suite closes it.
type Open func(t *testing.T, o Options) bus.Bus

// Run checks the bus with one and with three partitions.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, partitions := range []int{1, 3} {
		t.Run(fmt.Sprintf("partitions=%d", partitions), func(t *testing.T) {
			for _, c := range checks() {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel() // each has a bus of its own, and most of them wait
					if err := runCheck(t, c, open, partitions, patience); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

const (
	// patience is how long a check may take before what it waits for is said not to come. A bus that keeps the contract
	// never gets near it, whatever the machine.
	patience = 30 * time.Second
	// moment is how long a check looks at something that must not happen. It being short can hide a fault but never
	// make one up.
	moment = 20 * time.Millisecond
)

// check is one promise. It returns an error instead of failing a test so that the suite can be checked itself.
type check struct {
	name string
	run  func(ctx context.Context, s *site) error
}

func checks() []check {
	var all []check
	for _, of := range [][]check{inletChecks, leaseChecks, stateChecks, eraseChecks, doorChecks, edgeChecks, trailChecks, commandChecks, feedChecks, raceChecks, closeChecks} {
		all = append(all, of...)
	}
	return all
}

// site is where a check works.
type site struct {
	partitions int
	open       func(Options) bus.Bus
}

func runCheck(t *testing.T, c check, open Open, partitions int, patience time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var opened []bus.Bus
	s := &site{partitions: partitions, open: func(o Options) bus.Bus {
		o.Partitions = partitions
		b := open(t, o)
		opened = append(opened, b)
		return b
	}}
	err := c.run(ctx, s)
	for _, b := range opened {
		err = errors.Join(err, b.Close())
	}
	return err
}

// fleet returns the nth fleet of a partition.
func (s *site) fleet(partition, n int) devices.FleetID {
	for i := 0; ; i++ {
		id, err := devices.ParseFleetID(fmt.Sprintf("fleet-%d", i))
		if err != nil {
			panic(err) // the name above is a good one
		}
		if id.Partition(s.partitions) != partition {
			continue
		}
		if n == 0 {
			return id
		}
		n--
	}
}

func device(n int) devices.DeviceID {
	id, err := devices.ParseDeviceID(fmt.Sprintf("device-%d", n))
	if err != nil {
		panic(err)
	}
	return id
}

// mark is an entry that can be told from others by its number.
func mark(f devices.FleetID, n int) bus.Entry {
	return bus.Entry{
		Device: device(n % 7), Fleet: f, Kind: bus.KindConnection,
		Connection: bus.Connection{Door: 1, Conn: uint64(n), Up: true},
	}
}

func marks(f devices.FleetID, from, to int) []bus.Entry {
	var out []bus.Entry
	for n := from; n < to; n++ {
		out = append(out, mark(f, n))
	}
	return out
}

// door numbers its Appends.
type door struct {
	bus bus.Inlet
	id  bus.DoorID
	seq uint64
}

func newDoor(b bus.Inlet) *door { return &door{bus: b, id: bus.NewDoorID()} }

func (d *door) append(ctx context.Context, entries ...bus.Entry) error {
	d.seq++
	return d.repeat(ctx, entries...)
}

// repeat sends the number of the last Append once more.
func (d *door) repeat(ctx context.Context, entries ...bus.Entry) error {
	if err := d.bus.Append(ctx, bus.Append{Door: d.id, Seq: d.seq, Entries: entries}); err != nil {
		return fmt.Errorf("append %d of door %x: %w", d.seq, d.id, err)
	}
	return nil
}

// readExactly reads n entries, and sees that no more are there.
func readExactly(ctx context.Context, l bus.Lease, n int) ([]bus.Entry, error) {
	var out []bus.Entry
	for len(out) < n {
		got, err := l.Read(ctx, n+1-len(out))
		if err != nil {
			return nil, fmt.Errorf("read entry %d of %d: %w", len(out)+1, n, err)
		}
		out = append(out, got...)
	}
	if len(out) > n {
		return nil, fmt.Errorf("read %d entries, want %d; the last is %+v", len(out), n, out[n])
	}
	return out, readNothing(ctx, l)
}

func readNothing(ctx context.Context, l bus.Lease) error {
	short, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	if got, err := l.Read(short, 100); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("read where nothing should be: %d entries, %w", len(got), orNil(err))
	}
	return nil
}

// sameMarks compares what was read with the numbers that were appended.
func sameMarks(got []bus.Entry, want ...int) error {
	var numbers []int
	for i := range got {
		numbers = append(numbers, int(got[i].Connection.Conn))
	}
	if fmt.Sprint(numbers) != fmt.Sprint(want) {
		return fmt.Errorf("read entries %v, want %v", numbers, want)
	}
	return nil
}

// upTo returns the numbers from 0 to before n.
func upTo(n int) []int { return between(0, n) }

func between(from, to int) []int {
	var out []int
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

// wantError says what came in the place of an error.
func wantError(what string, got, want error) error {
	if errors.Is(got, want) {
		return nil
	}
	return fmt.Errorf("%s gives %w, want %w", what, orNil(got), want)
}

func wantKind(what string, got error, want devices.Kind) error {
	if got != nil && devices.KindOf(got) == want {
		return nil
	}
	return fmt.Errorf("%s gives %w, want an error of kind %v", what, orNil(got), want)
}

// orNil lets a nil error stand after %w.
func orNil(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

// firstError runs steps in order until one fails.
func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// together runs all at the same time, ends the others' context when one fails, waits for all and returns the first error.
func together(ctx context.Context, runs ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	for _, run := range runs {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				once.Do(func() { first = err; cancel() })
			}
		})
	}
	wg.Wait()
	return first
}
