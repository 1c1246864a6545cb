// Package bridge owns partitions: it alone merges what doors heard of a device into the device's one live state.
//
// It owns hygiene (what of a reading is believed), the merge (the newest value of every field, by a time per field),
// presence, trails, removal, the owner's record of a device and its bytes, and coalescing: all devices that changed in a
// window are published together, each once. It refuses to own any transport or store: it knows no MQTT and no Redis, imports
// only the vocabulary and the bus, and meets a partition through one call, Own.
//
// In the walk of a message it stands between the inlet, from which it reads entries in order, and the live batches,
// which edges receive. Each publish commits the records, the frames and how far the inlet was consumed in one step, and
// each record carries the last entry applied to it. So a bridge that dies leaves nothing half done: the next owner goes
// on exactly there, and skips what it reads twice.
//
// Fleets are walls: a device id belongs to one fleet. A bridge sees this for the partitions that it owns, and only from
// when each is loaded; with several bridge processes, it is the registry that keeps two fleets from sharing an id.
package bridge
