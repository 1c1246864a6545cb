// Package embedded is the store of a single process: one bbolt file beside the bus's log in the data directory.
//
// It owns the file: its layout, its checksums, what is said when it is damaged or cannot be written. It refuses to own
// what a record means, and the fan-out of commits, which is package store's. In the walk of a message it is beside the
// path: a door's mirror follows it.
//
// # What is kept
//
// Every commit is synced before it returns, whatever --fsync says of the bus: people change little and expect it to stay.
// A killed process and a loss of power cost nothing that was committed, and a commit is there whole or not at all.
//
// bbolt has checksums of its two roots only, so every record carries one of its own. Open reads the whole file and
// refuses one that is damaged with ErrDamaged, rather than to serve what a device's credentials may not have been; a page
// that goes bad later is an error of kind Internal of the reads that meet it, never a panic. One thing cannot be found:
// a newest root that is damaged looks as one that a loss of power cut while it was written, and the commit before it counts.
//
// A copy of the file that is taken while the process runs may be of no use: stop it first.
//
// # When the disk fails
//
// A commit that cannot be written is refused with devices.Unavailable and Healthy says why until one succeeds; reads and
// feeds go on. Whether a commit whose last sync failed happened, nobody knows: feeds take a snapshot after it.
//
// # Why bbolt
//
// Commits are rare, small and must be synced, reads are a B-tree's, and a file that is there or not is what an operator
// copies: that is what bbolt is for, it is kept by those who run etcd on it, and it brings no other module. What speaks
// against it for the bus (diskbus/doc.go: a page written for each device that changed) does not count here. One commit is
// two syncs, some milliseconds; 100,000 devices are imported in 100 of them.
package embedded
