// Package rules says when a device's state is worth an alert.
//
// It owns rules (thresholds, silence, places, expressions), fences and their geometry, and what the owner of a partition
// remembers of a device's rules between two readings. It is pure: no clock, no I/O, no lock. It refuses to own where
// rules are kept (the store), when they are asked (the bridge, after each reading and before coalescing) and how alerts
// travel (events of a batch).
//
// In the walk of a message it stands behind the merge: the owner gives it the device as the reading left it, and what it
// answers is committed with the same flush as the reading. So an alert is raised once, whoever owns the partition then.
package rules
