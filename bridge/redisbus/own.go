package redisbus

import (
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/redisconn"
)

// randomName names a holder or a call. It is random, since a counter in the store would go back with it.
func randomName() string {
	var b [12]byte
	_, _ = crand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func newEpoch() string { return formatEpoch(bus.NewEpoch()) }

func formatEpoch(e bus.Epoch) string { return fmt.Sprintf("%016x", uint64(e)) }

func parseEpoch(s string) (bus.Epoch, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("parse epoch: %w", errMalformed)
	}
	return bus.Epoch(n), nil
}

// standing is what acquire finds of a partition.
type standing struct {
	position bus.Position
	n        uint64
	call     string
	consumed bus.EntryID
	config   uint64 // the highest that an owner had applied
	fresh    bool   // the epoch is new
}

// Own implements bus.Owner. While the store does not answer it waits, as it does while another owns the partition. A
// partition that was released moves in a tenth of a second to a bridge that has the fewest, and to another where none such
// took it within a second; one whose owner is gone moves after LeaseTTL and half of it again.
func (b *Bus) Own(ctx context.Context, partition int) (bus.Lease, error) {
	if err := b.check(ctx, partition); err != nil {
		return nil, err
	}
	w, err := b.share.want(partition)
	if err != nil {
		return nil, err
	}
	defer b.share.drop(w)
	var freeSince time.Time // since when nobody has the lease, though its last holder did not give it up
	for {
		if err := b.waitForTurn(ctx, w); err != nil {
			return nil, err
		}
		if b.share.heldAt(w).After(freeSince) {
			freeSince = time.Time{}
		}
		holder := b.share.holder() // a try that got no answer may have taken the lease, and is given back under its own name
		late := !freeSince.IsZero() && time.Since(freeSince) >= b.opts.LeaseTTL/graceOfLease
		at, verdict, err := b.acquire(ctx, partition, holder, late)
		switch {
		case err == nil && verdict == "own":
			return b.takeOver(ctx, w, holder, at)
		case err != nil && !isPassing(err):
			return nil, err
		case err == nil && verdict == "wait" && freeSince.IsZero():
			freeSince = time.Now()
		case err != nil || verdict == "held": // an owner that was cut off like us gets its time after the store is back
			freeSince = time.Time{}
		}
		b.share.tried(w)
	}
}

func (b *Bus) acquire(ctx context.Context, partition int, holder string, late bool) (standing, string, error) {
	k := &b.keys[partition]
	var at standing
	var verdict string
	err := b.attempt(ctx, func(ctx context.Context) error {
		answer, err := b.run(ctx, acquireScript, []string{k.lease, k.meta, k.log},
			holder, b.opts.LeaseTTL.Milliseconds(), newEpoch(), flag(late))
		if err != nil {
			b.abandon(ctx, partition, holder) // it may have run
			return err
		}
		verdict, at, err = parseStanding(answer)
		return err
	})
	return at, verdict, err
}

// abandon gives back, as well as it can, what an acquire without an answer may have taken; else it lapses.
func (b *Bus) abandon(ctx context.Context, partition int, holder string) {
	k := &b.keys[partition]
	b.spawn(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisconn.AttemptTimeout)
		defer cancel()
		_, _ = b.run(ctx, releaseScript, []string{k.lease, k.meta}, holder, "")
	})
}

func parseStanding(answer any) (string, standing, error) {
	var at standing
	members, ok := texts(answer)
	if !ok || len(members) == 0 {
		return "", at, fmt.Errorf("acquire answers %T: %w", answer, errMalformed)
	}
	if members[0] != "own" {
		return members[0], at, nil
	}
	if len(members) != 8 {
		return "", at, fmt.Errorf("acquire answers %d members: %w", len(members), errMalformed)
	}
	epoch, err1 := parseEpoch(members[1])
	offset, err2 := strconv.ParseUint(members[2], 10, 64)
	n, err3 := strconv.ParseUint(members[3], 10, 64)
	consumed, err4 := strconv.ParseUint(members[5], 10, 64)
	config, err5 := strconv.ParseUint(members[7], 10, 64)
	at = standing{
		position: bus.Position{Epoch: epoch, Offset: offset}, n: n, call: members[4],
		consumed: bus.EntryID(consumed), fresh: members[6] == "1", config: config,
	}
	return members[0], at, errors.Join(err1, err2, err3, err4, err5)
}

// texts turns a script's list into strings.
func texts(answer any) ([]string, bool) {
	list, ok := answer.([]any)
	out := make([]string, len(list))
	for i, m := range list {
		switch m := m.(type) {
		case string:
			out[i] = m
		case int64:
			out[i] = strconv.FormatInt(m, 10)
		case nil:
		default:
			return nil, false
		}
	}
	return out, ok
}

func flag(v bool) string {
	if v {
		return "1"
	}
	return "0"
}

// waitForTurn waits until it is worth to try.
func (b *Bus) waitForTurn(ctx context.Context, w *wish) error {
	for {
		b.mu.Lock()
		handed := b.handed[w.partition]
		b.mu.Unlock()
		select {
		case <-w.turn:
			return nil
		case <-handed: // by another owner of this process
			b.share.look()
		case <-b.closed:
			return bus.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// takeOver makes the holder's lease and loads the state, while the lease is renewed beside it.
func (b *Bus) takeOver(ctx context.Context, w *wish, holder string, at standing) (bus.Lease, error) {
	partition := w.partition
	l := newLease(b, partition, holder, at)
	b.mu.Lock()
	if !b.ended {
		b.leases[l] = struct{}{}
	}
	b.mu.Unlock()
	b.share.tried(w) // it counts among the leases now
	started := b.spawn(func() { l.renew(context.WithoutCancel(ctx)) })
	err := bus.ErrClosed
	if started {
		err = l.load(ctx)
	}
	if err != nil {
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisconn.AttemptTimeout)
		defer cancel()
		_ = l.Release(release) // what it cannot give back lapses
		return nil, fmt.Errorf("own partition %d: %w", partition, err)
	}
	b.counters.add(countOwned)
	if at.fresh {
		b.counters.add(countNewEpochs)
		if at.n > 0 {
			b.opts.Logger.Warn("a partition begins a new history, since its last owner and its server were both replaced", "partition", partition)
		}
	}
	return l, nil
}

// load reads the records. Nobody publishes meanwhile: the lease is ours, and what changes in spite of that is found by
// the first publish. The scan gives each record at least once.
func (l *lease) load(ctx context.Context) error {
	k := &l.b.keys[l.partition]
	for {
		records := make(map[string]bus.Record)
		err := l.b.scan(ctx, k.records, func(field, value string) error {
			r, err := decodeRecord(field, value)
			if err != nil {
				return err
			}
			records[field] = r
			return nil
		})
		var n int64
		if err == nil {
			err = l.b.call(ctx, "count records", func(ctx context.Context) (err error) {
				n, err = l.b.client.HLen(ctx, k.records).Result()
				return err
			})
		}
		switch {
		case err != nil:
			return err
		case int(n) != len(records): // a cursor of one server means nothing to the next
			if err := ctx.Err(); err != nil {
				return err
			}
			continue
		}
		for _, r := range records {
			l.records = append(l.records, r)
		}
		l.commands, err = l.b.loadCommands(ctx, l.partition)
		return err
	}
}

// scan reads a hash in pieces that hold the server up for a moment only. It may give a field more than once.
func (b *Bus) scan(ctx context.Context, key string, each func(field, value string) error) error {
	var cursor uint64
	for {
		var page []string
		var next uint64
		if err := b.call(ctx, "scan state", func(ctx context.Context) (err error) {
			page, next, err = b.client.HScan(ctx, key, cursor, "", scanCount).Result()
			return err
		}); err != nil {
			return err
		}
		for i := 0; i+1 < len(page); i += 2 {
			if err := each(page[i], page[i+1]); err != nil {
				return err
			}
		}
		if next == 0 {
			return nil
		}
		cursor = next
	}
}

// fieldOf is the place of a device in the hashes. No id holds a slash.
func fieldOf(f devices.FleetID, d devices.DeviceID) string { return f.String() + "/" + d.String() }

// A stored record is '0' and the owner's bytes, or, of a tombstone, '1', the time of the removal and the bytes.
const (
	recordLive    = '0'
	recordRemoved = '1'
	recordTime    = 13 // digits of unix ms, by the server's clock
)

func decodeRecord(field, value string) (bus.Record, error) {
	fleet, device, _ := strings.Cut(field, "/")
	f, err1 := devices.ParseFleetID(fleet)
	d, err2 := devices.ParseDeviceID(device)
	r := bus.Record{Fleet: f, Device: d}
	switch {
	case err1 != nil || err2 != nil || value == "":
		return r, fmt.Errorf("decode record: %w", errMalformed)
	case value[0] == recordLive:
		r.Data = []byte(value[1:])
	case value[0] == recordRemoved && len(value) > recordTime:
		r.Data, r.Removed = []byte(value[1+recordTime:]), true
	default:
		return r, fmt.Errorf("decode record: %w", errMalformed)
	}
	return r, nil
}
