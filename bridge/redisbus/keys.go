package redisbus

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// keys are the names of a partition's keys. They share a hash tag, so that a Cluster keeps them on one server and one
// script may use them together.
type keys struct {
	lease   string // the holder's name, with a time to live
	meta    string // hash: epoch, offset, last publish and its call, inlet and consumed position, floors, holder, run
	inlet   string // stream of chunks; its ids are the last entry's
	doors   string // hash: door → its last number
	state   string // hash: fleet/device → versioned change
	records string // hash: fleet/device → mark of a tombstone and the owner's record
	gone    string // sorted set of the tombstones by offset
	events  string // stream by offset
	log     string // stream of messages by offset, short: it only fills gaps
	live    string // channel
	trails  string // sorted set of fleet/device by when the last block of its trail came
	trail   string // begins the keys of trails, each a list of blocks: fleet/device follows
	probe   string // written by health checks

	commands string // hash: command → its row
	told     string // stream of the names of rows that changed, by a count of publishes that changed any; short
}

func makeKeys(prefix string, partition int) keys {
	k := func(name string) string { return fmt.Sprintf("%s:{p%d}:%s", prefix, partition, name) }
	return keys{
		lease: k("lease"), meta: k("meta"), inlet: k("in"), doors: k("doors"), state: k("state"), records: k("records"),
		gone: k("gone"), events: k("events"), log: k("log"), live: k("live"), probe: k("probe"), trails: k("trails"), trail: k("trail:"),
		commands: k("commands"), told: k("told"),
	}
}

// configKey is the one key that is of no partition: what holds for the whole store.
func configKey(prefix string) string { return prefix + ":config" }

// The steps that run inside the server. Each is atomic there; a Cluster runs it where the partition's keys are.
var (
	//go:embed scripts/append.lua
	appendSource string
	//go:embed scripts/acquire.lua
	acquireSource string
	//go:embed scripts/renew.lua
	renewSource string
	//go:embed scripts/release.lua
	releaseSource string
	//go:embed scripts/behind.lua
	behindSource string
	//go:embed scripts/fence.lua
	fenceSource string
	//go:embed scripts/publish.lua
	publishSource string
	//go:embed scripts/head.lua
	headSource string
	//go:embed scripts/doors.lua
	doorsSource string
	//go:embed scripts/history.lua
	historySource string
	//go:embed scripts/seed.lua
	seedSource string

	appendScript  = redis.NewScript(appendSource)
	acquireScript = redis.NewScript(acquireSource)
	renewScript   = redis.NewScript(renewSource)
	releaseScript = redis.NewScript(releaseSource)
	behindScript  = redis.NewScript(behindSource)
	fenceScript   = redis.NewScript(fenceSource)
	publishScript = redis.NewScript(publishSource)
	headScript    = redis.NewScript(headSource)
	doorsScript   = redis.NewScript(doorsSource)
	historyScript = redis.NewScript(historySource)
	seedScript    = redis.NewScript(seedSource)
)

// run sends a script once; one that the server does not know yet is sent whole.
func (b *Bus) run(ctx context.Context, s *redis.Script, keys []string, args ...any) (any, error) {
	return s.Run(ctx, b.client, keys, args...).Result()
}
