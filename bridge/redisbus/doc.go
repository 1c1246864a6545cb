// Package redisbus is the bus between processes, in Redis: one server, a master behind Sentinels, or a Cluster.
//
// It owns everything that is Redis: the keys, the scripts that run inside the server, leases, the subscription of the
// edges and how each of them behaves while the store is away. It refuses to own what a message means. In the walk of a
// message it stands where the in-memory bus stands: a door appends to a partition's inlet, the owner publishes, edges
// are told. It is tested with Redis 7; before that, down to 6.2, and where sharded channels are taken away, channels are
// classic ones.
//
// # What is kept
//
// Each partition has keys of its own under one hash tag, fleetcast:{p7}:…, which keys.go lists; fleetcast:config holds
// the number of partitions. A step that changes a partition is one script, so that it is taken whole or not at all.
//
// An Append is one script for each partition that it touches, with many entries in one value of the inlet's stream. The
// script knows the door's last number, so that one that is repeated, by us after a timeout or by the door, is kept once.
//
// A trail is a list of blocks, each of many fixes, in a key of its own; a sorted set knows which of them was quiet for
// longest, for the bounds. The publishing script pushes blocks before it writes the records.
//
// # Who may publish
//
// A holder has a random name, in a key that lapses; but what counts is that the publishing script finds the name in the
// partition's :meta. Therefore an owner that was cut off for longer than the lease goes on where nobody came between, and
// one that was replaced can do nothing more, whatever the clocks say. Each publish also names the call before it. A
// publish that got no answer is settled before the next (scripts/fence.lua): after that it was applied or never will be,
// even where its bytes are still under way.
//
// # When a history ends
//
// An epoch ends where something may be lost that was shown, and only there:
//
//   - The owner lives and the store does not have its last publish: a failover or a restart lost acknowledged writes, or a
//     backup was restored. The publishing script finds it, and the owner gets ErrLost and loads again.
//   - An edge finds that the store is below an offset of the same epoch that it was shown. It says so, with the same result.
//   - The owner died without a handover, and the server is not the run (run_id) that took its publishes: nobody is left
//     who could know. master_replid would not tell more: it changes with a restart too, and a server without replicas
//     does not keep it.
//
// A clean restart of Redis with persistence, RDB or AOF, with or without replicas, therefore keeps the epoch where the
// owners live on, or handed over before, and so does a failover that lost nothing. A publish that was on its way when
// the server changed costs the edges a load of the state and the viewers nothing: its offset is skipped. An inlet
// that went back is found by the mark of the chunk that is consumed; the owner then reads it again.
//
// Not found: a backup restored while every process of ours was stopped, after a handover. NewEpochs, which is
// `gateway bus new-epoch`, says it then.
//
// # While the store is away
//
//   - Down at the start: Open succeeds after two seconds; Healthy says so.
//   - Down, restarting, black-holed, failing over, LOADING, READONLY, CLUSTERDOWN, a slot on its way: Append and Publish
//     try again for CallTimeout (5 s) or as long as their context allows, then return an error of kind Unavailable. They
//     never return nil without an answer of the store. Own and Next wait. Nothing is queued here: memory is bounded by
//     the callers'.
//   - Out of memory (maxmemory, noeviction): Append fails. Owners may go on: what they publish frees the inlet.
//   - A path that is dead but open is given up after Silence (3 s), and every call after 2 s.
//   - When it is back: leases within a third of their time, feeds within seconds, from the log or by a snapshot.
//
// While a slot of a Cluster moves, scripts on it fail with TRYAGAIN when some keys have moved and some have not.
package redisbus
