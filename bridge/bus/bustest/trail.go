package bustest

import (
	"context"
	"errors"
	"fmt"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

var trailChecks = []check{
	{"a trail is the last blocks and the record", trailIsLastBlocks},
	{"a trail outlives its owner and ends with its device", trailEndsWithItsDevice},
	{"a large trail comes with one flush", largeTrail},
	{"trails keep their bound of bytes", trailBytes},
}

func block(f devices.FleetID, n, keep int, data string) bus.TrailBlock {
	return bus.TrailBlock{Device: device(n), Fleet: f, Keep: keep, Data: []byte(data)}
}

// wantTrail compares the trail of a device with blocks and a version of its record.
func wantTrail(ctx context.Context, b bus.Bus, f devices.FleetID, n int, record string, blocks ...string) error {
	got, err := b.Trail(ctx, f, device(n))
	if err != nil {
		return fmt.Errorf("trail of device %d: %w", n, err)
	}
	var texts []string
	for _, data := range got.Blocks {
		texts = append(texts, string(data))
	}
	if fmt.Sprint(texts) != fmt.Sprint(blocks) || string(got.Record) != record {
		return fmt.Errorf("the trail of device %d is %q with %q, want %q with %q", n, texts, got.Record, blocks, record)
	}
	return nil
}

func wantNoTrail(ctx context.Context, b bus.Bus, f devices.FleetID, n int) error {
	_, err := b.Trail(ctx, f, device(n))
	return wantKind(fmt.Sprintf("the trail of device %d", n), err, devices.NotFound)
}

func trailIsLastBlocks(ctx context.Context, s *site) error {
	p := s.partitions - 1
	b, f, g := s.open(Options{}), s.fleet(p, 0), s.fleet(p, 1)
	l, err := b.Own(ctx, p)
	if err != nil {
		return err
	}
	if err := wantNoTrail(ctx, b, f, 1); err != nil {
		return err
	}
	for n := 1; n <= 5; n++ {
		flush := bus.Flush{
			Time: int64(n), Changes: []bus.Change{live(f, 1, n), live(g, 1, n), live(f, 2, n)},
			Trails: []bus.TrailBlock{block(f, 1, 3, fmt.Sprint("f1-", n)), block(g, 1, 2, fmt.Sprint("g1-", n))},
		}
		if _, err := l.Publish(ctx, &flush); err != nil {
			return err
		}
		flush.Trails[0] = bus.TrailBlock{} // the slice stays the owner's
	}
	if err := errors.Join(
		wantTrail(ctx, b, f, 1, "record 5 of 1", "f1-3", "f1-4", "f1-5"),
		wantTrail(ctx, b, g, 1, "record 5 of 1", "g1-4", "g1-5"),
		wantTrail(ctx, b, f, 2, "record 5 of 2"),
	); err != nil {
		return err
	}
	// Fewer are kept from now on, and a block of nothing forgets them all before the next.
	if _, err := l.Publish(ctx, &bus.Flush{Time: 6, Trails: []bus.TrailBlock{
		block(f, 1, 1, "f1-6"), {Device: device(1), Fleet: g}, block(g, 1, 2, "g1-6"),
	}}); err != nil {
		return err
	}
	return errors.Join(
		wantTrail(ctx, b, f, 1, "record 5 of 1", "f1-6"), wantTrail(ctx, b, g, 1, "record 5 of 1", "g1-6"), refusedBlocks(ctx, s, b, l, f),
	)
}

// refusedBlocks expects of the trail of device 1 that it is what it was.
func refusedBlocks(ctx context.Context, s *site, b bus.Bus, l bus.Lease, f devices.FleetID) error {
	bad := map[string]bus.TrailBlock{
		"no device":     {Fleet: f, Data: []byte("x"), Keep: 1},
		"nothing kept":  block(f, 1, 0, "x"),
		"a large block": block(f, 1, 1, string(make([]byte, bus.MaxTrailBlockBytes+1))),
	}
	if s.partitions > 1 {
		bad["another partition's fleet"] = block(s.fleet(0, 0), 1, 1, "x")
	}
	for name, one := range bad {
		_, err := l.Publish(ctx, &bus.Flush{Time: 7, Trails: []bus.TrailBlock{block(f, 1, 1, "never"), one}, Changes: []bus.Change{live(f, 1, 9)}})
		if err := wantKind(name, err, devices.Invalid); err != nil {
			return err
		}
	}
	return wantTrail(ctx, b, f, 1, "record 5 of 1", "f1-6")
}

func trailEndsWithItsDevice(ctx context.Context, s *site) error {
	b, f, g := s.open(Options{}), s.fleet(0, 0), s.fleet(0, 1)
	for n := range 3 { // of three owners
		l, err := b.Own(ctx, 0)
		if err != nil {
			return err
		}
		if _, err := l.Publish(ctx, &bus.Flush{
			Time: 1, Changes: []bus.Change{live(f, 1, n), live(g, 1, n)},
			Trails: []bus.TrailBlock{block(f, 1, 9, fmt.Sprint("f", n)), block(g, 1, 9, fmt.Sprint("g", n))},
		}); err != nil {
			return err
		}
		if err := l.Release(ctx); err != nil {
			return err
		}
	}
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	if err := wantTrail(ctx, b, f, 1, "record 2 of 1", "f0", "f1", "f2"); err != nil {
		return err
	}
	if _, err := l.Publish(ctx, &bus.Flush{
		Time: 2, Trails: []bus.TrailBlock{block(f, 1, 9, "its last")}, Changes: []bus.Change{removed(f, 1, 3)},
	}); err != nil {
		return err
	}
	if err := errors.Join(wantNoTrail(ctx, b, f, 1), wantTrail(ctx, b, g, 1, "record 2 of 1", "g0", "g1", "g2")); err != nil {
		return err
	}
	if _, err := l.Publish(ctx, &bus.Flush{Time: 3, Changes: []bus.Change{live(f, 1, 4)}}); err != nil {
		return err
	}
	return wantTrail(ctx, b, f, 1, "record 4 of 1")
}

func largeTrail(ctx context.Context, s *site) error {
	const devices, blocks = 40, 60
	b, f := s.open(Options{}), s.fleet(0, 0)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	filler := string(make([]byte, 1000))
	flush := bus.Flush{Time: 1}
	for n := range devices {
		flush.Changes = append(flush.Changes, live(f, n, n))
	}
	for i := range blocks {
		for n := range devices {
			flush.Trails = append(flush.Trails, block(f, n, 100, fmt.Sprint(i, filler)))
		}
	}
	if _, err := l.Publish(ctx, &flush); err != nil {
		return err
	}
	for n := range devices {
		got, err := b.Trail(ctx, f, device(n))
		if err != nil {
			return err
		}
		if len(got.Blocks) != blocks {
			return fmt.Errorf("device %d has %d blocks, want %d", n, len(got.Blocks), blocks)
		}
		for i, data := range got.Blocks {
			if string(data) != fmt.Sprint(i, filler) {
				return fmt.Errorf("block %d of device %d is another", i, n)
			}
		}
	}
	return nil
}

func trailBytes(ctx context.Context, s *site) error {
	const bound, devices, rounds = 20_000, 20, 4
	b, f := s.open(Options{TrailBytes: bound}), s.fleet(0, 0)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	data := string(make([]byte, 1000))
	for n := range devices * rounds {
		if _, err := l.Publish(ctx, &bus.Flush{
			Time: 1, Changes: []bus.Change{live(f, n/rounds, n)}, Trails: []bus.TrailBlock{block(f, n/rounds, 100, data)},
		}); err != nil {
			return err
		}
	}
	held := 0
	for n := range devices {
		got, err := b.Trail(ctx, f, device(n))
		if err != nil {
			return err
		}
		held += len(got.Blocks)
		if n == devices-1 && len(got.Blocks) != rounds {
			return fmt.Errorf("the trail that was written last has %d blocks, want %d", len(got.Blocks), rounds)
		}
		if n == 0 && len(got.Blocks) > 0 {
			return errors.New("the trail that was quiet for longest is still there")
		}
	}
	if held*len(data) > bound || held*len(data) < bound/2 {
		return fmt.Errorf("%d blocks of %d bytes are held, the bound is %d", held, len(data), bound)
	}
	return nil
}
