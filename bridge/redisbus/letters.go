package redisbus

import (
	"context"
	"encoding/json"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/devices"
)

// The bounds of dead letters in the store, so that any process can show what any door did not understand.
const (
	lettersPerReason = 32
	lettersAge       = 7 * 24 * time.Hour // after the last one of the reason
)

func (b *Bus) lettersKey(reason string) string { return b.opts.Prefix + ":letters:" + reason }

// KeepLetters keeps dead letters, the oldest of them first. The last 32 of each reason are kept, of all doors together.
func (b *Bus) KeepLetters(ctx context.Context, letters []devices.DeadLetter) error {
	values := make(map[string][]any) // by reason
	for i := range letters {
		value, err := json.Marshal(&letters[i])
		if err != nil {
			return err
		}
		values[letters[i].Reason] = append(values[letters[i].Reason], value)
	}
	return b.call(ctx, "keep dead letters", func(ctx context.Context) error {
		_, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for reason, list := range values {
				key := b.lettersKey(reason)
				p.LPush(ctx, key, list...)
				p.LTrim(ctx, key, 0, lettersPerReason-1)
				p.Expire(ctx, key, lettersAge)
			}
			return nil
		})
		return err
	})
}

// Letters returns the dead letters of some reasons, in no order. What cannot be read is left out and counted.
func (b *Bus) Letters(ctx context.Context, reasons []string) ([]devices.DeadLetter, error) {
	var answers []*redis.StringSliceCmd
	err := b.call(ctx, "read dead letters", func(ctx context.Context) error {
		answers = answers[:0]
		_, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, reason := range reasons {
				answers = append(answers, p.LRange(ctx, b.lettersKey(reason), 0, lettersPerReason-1))
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []devices.DeadLetter
	for _, answer := range answers {
		for _, text := range answer.Val() {
			var l devices.DeadLetter
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				b.counters.add(countBadMessage)
				continue
			}
			out = append(out, l)
		}
	}
	return out, nil
}
