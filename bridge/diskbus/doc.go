// Package diskbus is the embedded, durable bus: the default of a single process.
//
// It owns the log on disk, its snapshots, the recovery at start, and the question whether the history of offsets goes on.
// It refuses to own what a bus does: inlet, state, leases and feeds are package bus's in-memory bus, which hands every
// Append and Publish to the log before it shows it (bus.NewLogged). It runs on Unix.
//
// In the walk of a message it is met twice, as every bus: a door's entries are acknowledged when they are in the log, and
// an owner's batch is seen by edges when it is.
//
// # How it works
//
// One goroutine writes. What came while the group before was written is the next group: one frame, one write, with
// Always one sync, then all of it is applied and shown in the order of the log. A frame has checksums over its header and
// over its payload, so a cut is told from damage (frame.go). Records hold what was asked and the time; applying them
// again ends in the same state (record.go).
//
// The directory has segments log-N, snapshots state-N (the state at the beginning of segment N, which stands for all
// segments before it) and lock. Every start begins a new segment and never writes to an old one. Its header says how much
// of the segment before it counts, the epochs, the boot, and which file it is itself.
//
// # What is kept
//
// Against the end of the process (kill -9 included): everything that was acknowledged or shown, in every mode; what was
// written is the kernel's. Against a loss of power:
//
//	Always       everything. A sync for each group: a lone door waits 0.3 ms on the disk measured below, many share it
//	EverySecond  all but about the last second. No wait
//	Never        all but what the kernel had not written yet, half a minute or so. No wait, and no syncs but for snapshots
//
// The epoch stays the same over every restart but three, where history may be lost: the machine was started again, the
// log was not closed in order, and the mode was not Always; the directory is a copy (its files have other inodes or times
// of birth); the boot cannot be known (not Linux) and the log was not closed in order. What it cannot notice: a disk
// image or a machine that is set back as a whole, and old contents that are written into the same files. Restore a backup
// into an empty directory. A directory that is copied while it is open may not open.
//
// A last frame that is cut is cut off, with a warning: nobody was told of it. Anything else that is not as it was written
// is ErrDamaged, which names the file and the byte, and nothing is opened. After a loss of power without Always a
// damaged place in what was not synced ends the log, since any page may be missing there; that is a new epoch anyway.
//
// # When the disk fails
//
// A write that fails is taken back (the file is cut to where it was), the group's Appends and Publishes answer with
// devices.Unavailable, and Healthy says why. The next one tries again, and so does the bus once a second. A sync that
// fails is not tried again, since the kernel may have forgotten what it did not write: the segment is given up and a
// snapshot of what is in memory begins another one before anything is taken. Beats need no disk. A start on a full disk
// fails with the reason. A write that hangs holds what waits for it: Append ends with its context, Publish and Close do
// not.
//
// # How much disk
//
// With S the size of a snapshot (about 650 bytes a device with 300 of frame and 300 of record, the trails, which are at
// most MemoryOptions.MaxTrailBytes, and the inlet), a step is
// the larger of Options.LogBytes (128 MiB) and 2 S. A snapshot is begun after a step of log; after maxLogSteps (4)
// without one that succeeds, doors wait for the one that is being written, and are refused where it fails. So the
// directory holds at most 4 steps and one group of log, and two snapshots; usually about one step and one snapshot. What
// recovery reads has the same bound. The copying for a snapshot holds the writer for about 25 ms with 100,000 devices.
//
// # Decisions
//
// Own framing over files, and no library. Context: a round is 20 groups of 100 entries of 200 bytes and a flush of 1,000
// devices with 500 bytes, which is 100 ms of load at 20,000 entries a second. Measured on two shared cores and ext4, one
// goroutine, 100 rounds (300 for diskbus), without and with a sync for each group:
//
//	                   CPU ms a round   a group, ms p50   a flush, ms p50   program, MB more
//	tidwall/wal 1.2.1      10.5 / 5.4      0.05 / 0.26        1.5 / 1.6       1.5
//	bbolt 1.5.0            14.4 / 24.2     0.07 / 0.56       12.1 / 32.4      1.3
//	pebble 2.1.7            4.4 / 7.6      0.04 / 0.26        1.7 / 2.0      22.3
//	this package            4.1 / 6.0      0.04 / 0.30        1.1 / 1.5       0.0
//
// The first three rows write bytes only; the last has the encoding and the bus itself in it. None of the libraries keeps
// what we promise: tidwall/wal (MIT) has no checksums, answers a torn tail with ErrCorrupt, and after a write that failed
// holds in memory what the file does not; bbolt (MIT) rewrites a page for each device that changed, 6 MB a round, and
// without syncs a loss of power may cost the whole file and not the last seconds; pebble (BSD) calls Fatalf when its log
// cannot be written, so that a full disk ends the process, and brings some 30 modules; hashicorp/raft-wal (MPL, last release 2023) always syncs.
// None has a place for the boot, the inode and the clean close. Consequence: some 250 lines of framing and segments are
// ours to keep right, which the tests cut at every byte, flip at every byte, fuzz, fill and kill. Snapshots of the whole
// state instead of an index on disk: all of it is in memory anyway, and 100,000 devices are 55 MB.
//
// Numbers of the benchmarks on the same machine: Append with 16 doors, 50 entries each time: 1.9 million entries a second
// and 0.5 CPU seconds a million (never, 1s), 0.47 million and 1.1 (always); one entry each time: 230,000 and 4 (never,
// 1s), 42,000 and 13 (always). A flush of 1,000 devices: 0.9 ms (never, 1s), 1.9 ms (always). Opening a directory with
// 100,000 devices: 0.11 to 0.4 s from 55 MB of log or snapshot, 0.2 to 0.6 s from 107 MB of log.
package diskbus
