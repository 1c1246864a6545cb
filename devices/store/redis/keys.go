package redis

import (
	_ "embed"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/devices/store"
)

// keys are the names of the store's keys.
type keys struct {
	meta string // hash: revision and call of the last commit, number of records, bytes of the log
	log  string // stream of commits, bounded; its ids are their revisions
	tag  string
}

func makeKeys(prefix string) keys {
	tag := prefix + ":{store}:"
	return keys{meta: tag + "meta", log: tag + "log", tag: tag}
}

// call is where the revision of a call's commit is remembered.
func (k *keys) call(name string) string { return k.tag + "call:" + name }

// records is a hash: id → revision (16 digits) and value.
func (k *keys) records(kind store.Kind) string { return k.tag + "of:" + string(kind) }

// ids is a sorted set of all ids with the same score, for their order.
func (k *keys) ids(kind store.Kind) string { return k.tag + "ids:" + string(kind) }

var (
	//go:embed scripts/commit.lua
	commitSource string
	//go:embed scripts/tail.lua
	tailSource string
	//go:embed scripts/shorten.lua
	shortenSource string
	//go:embed scripts/list.lua
	listSource string

	commitScript = goredis.NewScript(commitSource)
	tailScript   = goredis.NewScript(tailSource)
	listScript   = goredis.NewScript(listSource)

	shortenScript = goredis.NewScript(shortenSource)
)
