package redisbus

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// eventsOf is what scripts/publish.lua needs to erase devices: "" where none is, else their events' ids in the stream, each
// after a space. Nobody but the owner adds to the stream; where that is another by now, the script refuses.
func (l *lease) eventsOf(ctx context.Context, erased []devices.DeviceID) (string, error) {
	if len(erased) == 0 {
		return "", nil
	}
	var stream []redis.XMessage
	err := l.b.call(ctx, "read events", func(ctx context.Context) (err error) {
		stream, err = l.b.client.XRange(ctx, l.b.keys[l.partition].events, "-", "+").Result()
		return err
	})
	if err != nil {
		return "", err
	}
	ids := []string{"", ""}
	for i := range stream {
		text, _ := stream[i].Values["e"].(string)
		batch, err := bus.DecodeBatch([]byte(text))
		if err != nil {
			return "", fmt.Errorf("erase events: %w", err)
		}
		if slices.ContainsFunc(batch.Events, func(e bus.Event) bool { return slices.Contains(erased, e.Device) }) {
			ids = append(ids, stream[i].ID)
		}
	}
	return strings.Join(ids, " "), nil
}

// EraseLetters deletes the dead letters that came from a device or for it.
func (b *Bus) EraseLetters(ctx context.Context, device devices.DeviceID, reasons []string) error {
	return b.call(ctx, "erase dead letters", func(ctx context.Context) error {
		for _, reason := range reasons {
			key := b.lettersKey(reason)
			values, err := b.client.LRange(ctx, key, 0, -1).Result()
			if err != nil {
				return err
			}
			for _, value := range values {
				var l devices.DeadLetter
				if json.Unmarshal([]byte(value), &l) != nil || !l.IsOf(device) {
					continue
				}
				if err := b.client.LRem(ctx, key, 0, value).Err(); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
