package redisbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Owner is who has a partition, and where it stands.
type Owner struct {
	Partition int    `json:"partition"`
	Bridge    string `json:"bridge"`    // as its log names it; "" where nobody has it, or a bridge of a release before they had names
	Held      bool   `json:"held"`      // somebody has it
	LapsesMS  int64  `json:"lapses_ms"` // unless it is renewed
	Offset    uint64 `json:"offset"`    // of the last batch
	Published int64  `json:"published"` // when the last one was, a beat included, unix ms by its owner's clock; 0: never
	Unread    uint64 `json:"unread"`    // entries of the inlet that no publish has consumed
}

// Bridge is one that lives.
type Bridge struct {
	Name string `json:"name"`
	Owns int    `json:"owns"`
	Able bool   `json:"able"` // not passed over, as one that could not go on with what it took
}

// Owners tells who has which partition now, and which bridges live. It changes nothing.
func (b *Bus) Owners(ctx context.Context) ([]Owner, []Bridge, error) {
	owners := make([]Owner, len(b.keys))
	var bridges []Bridge
	err := b.call(ctx, "look at owners", func(ctx context.Context) error {
		for i := range b.keys {
			o, err := b.owner(ctx, i)
			if err != nil {
				return err
			}
			owners[i] = o
		}
		answer, err := b.run(ctx, doorsScript, []string{bridgesKey(b.opts.Prefix)}, "list")
		if err != nil {
			return err
		}
		live, err := parseDoors(answer)
		if err != nil {
			return err
		}
		bridges = bridges[:0]
		for _, l := range live {
			bridges = append(bridges, Bridge{Name: fmt.Sprintf("%016x", uint64(l.Door)), Able: l.Hears})
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for i := range bridges {
		for _, o := range owners {
			if o.Bridge == bridges[i].Name {
				bridges[i].Owns++
			}
		}
	}
	slices.SortFunc(bridges, func(a, b Bridge) int { return strings.Compare(a.Name, b.Name) })
	return owners, bridges, nil
}

func (b *Bus) owner(ctx context.Context, partition int) (Owner, error) {
	k, o := &b.keys[partition], Owner{Partition: partition}
	var holder *redis.StringCmd
	var left *redis.DurationCmd
	var meta *redis.SliceCmd
	_, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		holder, left, meta = p.Get(ctx, k.lease), p.PTTL(ctx, k.lease), p.HMGet(ctx, k.meta, "offset", "time", "in", "consumed")
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return o, err
	}
	if name := holder.Val(); name != "" {
		o.Held, o.LapsesMS = true, left.Val().Milliseconds()
		if id, named := bridgeOf(name); named {
			o.Bridge = fmt.Sprintf("%016x", uint64(id))
		}
	}
	number := func(i int) uint64 { // what is missing or malformed is nothing yet
		text, _ := meta.Val()[i].(string)
		n, _ := strconv.ParseUint(text, 10, 64)
		return n
	}
	o.Offset = number(0)
	o.Published = int64(number(1))
	o.Unread = number(2) - min(number(3), number(2))
	return o, nil
}
