package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/bridge/redisbus"
)

// ownersCommand is `gateway bus owners`.
type ownersCommand struct {
	output
	Redis string `required:"" help:"Redis, as --redis has it. A password is better set by the variable." env:"FLEETCAST_REDIS" placeholder:"URL"`
}

// Run looks, and changes nothing.
func (c *ownersCommand) Run(ctx context.Context, t *terminal) (err error) {
	b, err := redisbus.Open(ctx, redisbus.Options{URL: c.Redis})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	owners, bridges, err := b.Owners(ctx)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(map[string]any{"partitions": owners, "bridges": bridges})
	if err != nil {
		return fmt.Errorf("encode owners: %w", err)
	}
	return show(t, c.JSON, raw, func() string { return ownersText(owners, bridges, time.Now()) })
}

// ownersText is a line a partition and a line a bridge.
func ownersText(owners []redisbus.Owner, bridges []redisbus.Bridge, now time.Time) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%-9s  %-16s  %10s  %10s  %s\n", "partition", "bridge", "offset", "unread", "published")
	for _, o := range owners {
		who := cmp.Or(o.Bridge, "without a name")
		if !o.Held {
			who = "nobody"
		}
		ago := "never"
		if o.Published > 0 {
			ago = fmt.Sprintf("%.1f s ago", now.Sub(time.UnixMilli(o.Published)).Seconds())
		}
		fmt.Fprintf(&text, "%9d  %-16s  %10d  %10d  %s\n", o.Partition, who, o.Offset, o.Unread, ago)
	}
	for _, b := range bridges {
		fmt.Fprintf(&text, "bridge %s has %d", b.Name, b.Owns)
		if !b.Able {
			text.WriteString(", and is passed over: it could not go on with what it took")
		}
		text.WriteString("\n")
	}
	if len(bridges) == 0 {
		text.WriteString("no bridge lives\n")
	}
	return strings.TrimSuffix(text.String(), "\n")
}
