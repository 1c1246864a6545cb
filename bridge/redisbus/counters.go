package redisbus

import "sync/atomic"

// reason names something that the bus counts.
type reason uint8

const (
	// Doors.
	countAppends    reason = iota // shares of Appends that were kept
	countEntries                  // entries in them
	countRepeated                 // shares that were there already and were not kept twice
	countDisordered               // refused: a door's number was below its last
	countFull                     // refused: the inlet is full
	countTooLarge                 // refused: larger than a whole inlet

	// Owners.
	countOwned      // leases taken
	countNewEpochs  // of them, those that found a history that may have holes and began a new one
	countPublishes  // parts of flushes with content
	countBeats      // without
	countFences     // publishes without an answer that were settled
	countLost       // leases lost
	countBehind     // of them, because the store was behind its owner
	countInletStray // of them, because the inlet was not the one that was read
	countTrailsOver // blocks of trails that were pruned, because of their bytes or their age
	// countBridgesOver: times that this bridge said that it lives and there were more than can be known: others leave it nothing.
	countBridgesOver

	// Edges.
	countSubscribed   // subscriptions made
	countBroken       // subscriptions that ended with an error
	countUnsubscribed // subscriptions that the server ended: its slot went to another
	countSilent       // subscriptions that were given up because nothing came
	countOverrun      // messages that were dropped while a partition was loaded; the log or a snapshot has them
	countLoads        // states loaded from the store
	countGapsFilled   // gaps filled from the log
	countGapsLoaded   // gaps for which the log was too short, or that were none: the state was loaded again
	countFeedsBehind  // times that a feed lost its batches and got a snapshot in their place
	countWentBack     // times that an edge told the store that it went back
	countBadMessage   // messages and stored values that could not be read

	// Doors and edges that follow commands.
	countCommandLoads // tables of commands loaded from the store

	// The store.
	countRetries  // tries that failed and were repeated
	countFailures // calls that were given up

	reasonCount
)

var reasonNames = [reasonCount]string{
	countAppends: "appends", countEntries: "entries", countRepeated: "appends_repeated", countDisordered: "appends_disordered",
	countFull: "appends_full", countTooLarge: "appends_too_large",
	countOwned: "owned", countNewEpochs: "new_epochs", countPublishes: "publishes", countBeats: "beats", countFences: "fences",
	countLost: "lost", countBehind: "lost_behind", countInletStray: "lost_inlet",
	countTrailsOver: "trails_over", countBridgesOver: "bridges_over",
	countSubscribed: "subscribed", countBroken: "subscription_error", countUnsubscribed: "subscription_moved",
	countSilent: "subscription_silent", countOverrun: "messages_overrun", countLoads: "loads", countGapsFilled: "gaps_filled",
	countGapsLoaded: "gaps_loaded", countFeedsBehind: "feeds_behind", countWentBack: "store_went_back", countBadMessage: "bad_message",
	countCommandLoads: "command_loads",
	countRetries:      "retries", countFailures: "failures",
}

type counters [reasonCount]atomic.Uint64

func (c *counters) add(r reason) { c[r].Add(1) }

// Stats is what the bus holds now and has counted since it was opened.
type Stats struct {
	Partitions int `json:"partitions"`
	Owned      int `json:"owned"`   // leases held by this process
	Bridges    int `json:"bridges"` // that live, as this process knows; 0 where it owns nothing and waits for nothing
	Watched    int `json:"watched"` // partitions that feeds of this process follow
	Feeds      int `json:"feeds"`
	// Counts are by reason, all reasons present.
	Counts map[string]uint64 `json:"counts"`
}

// Stats returns the numbers of now, not of one instant.
func (b *Bus) Stats() Stats {
	s := Stats{Partitions: b.Partitions(), Counts: make(map[string]uint64, reasonCount)}
	for r := range reasonCount {
		s.Counts[reasonNames[r]] = b.counters[r].Load()
	}
	s.Bridges = b.share.known()
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Owned, s.Watched = len(b.leases), len(b.subs)
	for _, sub := range b.subs {
		s.Feeds += sub.feedCount()
	}
	return s
}
