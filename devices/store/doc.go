// Package store is what must be kept besides the bus: what people configure (devices, fleets, credentials, users, rules,
// fences) and what must outlive a process without being a device's live state (sessions, commands).
//
// It owns the contract: records by kind and id, commits that happen as a whole or not at all, and one change log with a
// revision that doors, owners and edges tail. It refuses to own what a record means: its value is opaque, and the
// package that writes a kind (devices/registry, bridge/rules, gateway/auth) tags and reads it. It is for what changes at
// the pace of people; what changes at the pace of devices is the bus's.
//
// Package storetest is the suite that every store passes. There are three: in memory, embedded in the data directory,
// and in Redis. A Follower keeps somebody up to date, a Mirror keeps a copy in memory.
//
// In the walk of a message it is beside the path: a door asks a mirror who a device is, and an owner commits with each
// flush which revision it had applied.
package store
