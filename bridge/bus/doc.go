// Package bus is the waist of Fleetcast: what passes between doors, owners and edges, and the contract that every bus
// (in memory, on disk, Redis) keeps.
//
// It owns the words (position, entry, flush, batch, snapshot), their bytes between processes, the interfaces of the
// three users, and the in-memory bus. Package bustest is the suite that every bus passes. It refuses to own what a
// message means: hygiene, merging and coalescing are the bridge's, tables and viewers the hub's.
//
// In the walk of a message it is met twice: a door appends an entry to a partition's inlet, and the partition's owner
// publishes a batch that every edge that watches the partition receives.
package bus
