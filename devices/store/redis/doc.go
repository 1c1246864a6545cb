// Package redis is the store that processes share: one server, a master behind Sentinels, or a Cluster, by the same URLs
// as the bus and mostly in the same server.
//
// It owns the keys, the scripts, the tailing of the change log and how each behaves while the server is away. It refuses
// to own what a record means, and the fan-out of commits, which is package store's. In the walk of a message it is beside
// the path: a door's mirror follows it.
//
// # What is kept
//
// All keys are under one hash tag, fleetcast:{store}:…, so that one script may use them together; a Cluster has them on
// one server, which is enough for what people change. keys.go lists them.
//
// A commit is one script, taken whole or not at all. It carries the random name of its call, which the server remembers
// for CallTTL: one that got no answer is sent again, and happens once. Nothing is repeated by the library.
//
// A revision is the server's time in microseconds, or the last one and one more where the clock is behind. So a server
// that lost commits in a failover does not give their revisions to others.
//
// # The change log
//
// Every commit is an entry of a stream, bounded in number and bytes, with the name of its call and of the call before it.
// One goroutine a process waits at the stream, for a second at most, and then reads what came, and where the store is, in
// one step. The chain of names must lead from the last commit that it knows to the newest that there is. Where it does
// not (the log was trimmed meanwhile, a commit was too large for it, a failover lost commits, the keys are gone), every
// feed gets a snapshot. Nothing can be missed by a connection that broke, and a path that is dead but open is noticed
// after three seconds.
//
// A snapshot is read in pages while commits go on, and moved by the log to one commit. It is taken again where it saw a
// commit that the log does not have.
//
// # While the server is away
//
//   - Down at the start: Open succeeds after two seconds; Healthy says so.
//   - Down, restarting, black-holed, failing over, LOADING, READONLY, CLUSTERDOWN: Commit, Get and List try again for
//     CallTimeout (5 s) or as long as their context allows, then return an error of kind Unavailable. A Commit may have
//     happened then. Feeds wait; what they told before stands, so doors go on with the credentials that they know.
//   - Out of memory (maxmemory, noeviction): commits fail as above; the rest goes on.
//   - When it is back, feeds follow within two seconds.
//
// What Redis acknowledges and loses, in a failover or without persistence, is lost; feeds are told by a snapshot.
package redis
