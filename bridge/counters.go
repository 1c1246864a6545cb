package bridge

import "sync/atomic"

// reason names something that a partition counts: what it did, and each way in which it did not believe its input.
type reason uint8

const (
	// What was done.
	countReadings     reason = iota // readings applied, duplicates and late ones included
	countConnections                // connection events applied
	countStatuses                   // status reports applied
	countRemovals                   // devices removed
	countErased                     // erasures of a device: of all that is held of it, where there is anything
	countFlushes                    // publishes with content
	countBeats                      // publishes without
	countAssets                     // assets published: one a device and flush
	countOwned                      // times that the partition came to be owned
	countGiven                      // and those that were given to another bridge
	countFixes                      // fixes that went to a trail
	countRaised                     // alerts raised
	countAcknowledged               // alerts acknowledged
	countCleared                    // alerts cleared
	countHistory                    // readings written into the history

	// What the registry did.
	countDeleted         // devices removed because they were deleted there
	countMoved           // devices moved to another fleet
	countForwarded       // entries passed on to the partition of a device's new fleet
	countRetired         // devices removed because they were silent for long
	countSilent          // devices that went offline or unknown because they were silent
	countDeadConns       // connections whose door died
	countCommands        // commands taken in
	countCommandsDone    // of them, those that the device did
	countCommandsFailed  // that it did not, or that could not be sent
	countCommandsExpired // whose time ended before
	reasonUnregistered   // an entry of a device that is not registered, where only such have state

	// What is normal in the field, but tells how devices and doors behave.
	reasonOlder     // a reading of which some field was older than what is held
	reasonDuplicate // a reading that was there already: redelivered, or heard over two gateways
	reasonReplayed  // an entry that was applied before, by this owner or the last
	reasonRemoved   // a reading from before its device was removed
	reasonRetained  // a status that the broker had kept, which proves nothing about now
	reasonTakeover  // the offline report of one connection while another is live
	reasonKept      // a reading that a broker had kept: taken where it is newer, and no sign of life
	reasonAhead     // a clock that runs more than minutes ahead: ordered by receipt
	reasonStanding  // a fix of a device that stands: its place is held
	reasonMoved     // a jump that was believed in the end
	reasonTrailOld  // a fix that is older than trails reach back
	reasonTrailHad  // a fix that the trail has
	reasonNoAlert   // an acknowledgement of an alert that is not open, or was seen already
	reasonUnknown   // a removal, a disconnection or an offline report of a device that is not held

	reasonCommandRepeated  // a command that is there already: the request was repeated
	reasonCommandOvertaken // a state of a command that it had: it was sent once more
	reasonCommandLate      // an answer or a state of a command that is finished
	reasonCommandUnknown   // an answer or a state of a command that is not known

	// Faults of the input. They are also told in a log line, see report.
	reasonOutOfRange     // a member outside its bounds, dropped
	reasonNullIsland     // a position 0/0 without satellites, dropped
	reasonClock          // an absurd device time, replaced by the time of the entry
	reasonWeekRollover   // a device time that is 1024 weeks off, put right
	reasonZone           // a device time that is ahead by a time zone, put right
	reasonTooOld         // a reading above the fleet's age, dropped
	reasonInaccurate     // a position above the fleet's radius, dropped
	reasonOutsideArea    // a position outside the fleet's area, dropped
	reasonAxesSwapped    // the same, and inside with its axes exchanged
	reasonJump           // a position that the device cannot have reached, dropped
	reasonFleetConflict  // an entry of a device in another fleet than its own, dropped
	reasonDeviceLimit    // an entry of a device above the limit of devices, dropped
	reasonMetricLimit    // a metric above the limit of metrics, dropped
	reasonAssetBytes     // a metric that does not fit the asset's bytes, dropped
	reasonBadMetric      // a metric that no decoder should let pass: not finite, no name, too long
	reasonAlertNotes     // an alert above the bytes that are kept of a device's: it cannot be looked up any more
	reasonConnLimit      // a connection above the limit of live connections: the oldest was forgotten
	reasonBadEntry       // an entry without a device or a body, or of an unknown kind
	reasonBadRecord      // a record that could not be read when the partition was loaded
	reasonCommandForeign // an answer of another device than the command's
	reasonCommandLimit   // a command above the limit of those that wait: it failed
	reasonPanic          // an entry on which our own code broke: a bug of ours, and the entry is lost

	// Faults of the bus.
	reasonPublishError
	reasonReadError
	reasonOwnError
	reasonHistoryDropped // readings that waited for the history to be writable and found no room
	reasonHistoryError   // times that the history could not be written
	reasonLookupError    // times that the registry's store did not answer
	reasonForwardRefused // entries that the bus would not take for another partition
	reasonLost           // leases lost to another owner
	reasonConfigLate     // times that an owner went on with less of what people configure than the last one had

	reasonCount // how many there are
)

var reasonNames = [reasonCount]string{
	countReadings: "readings", countConnections: "connections", countStatuses: "statuses", countRemovals: "removals", countErased: "erased",
	countFlushes: "flushes", countBeats: "beats", countAssets: "assets", countOwned: "owned", countGiven: "given", countFixes: "trail_fixes",
	countRaised: "alerts_raised", countAcknowledged: "alerts_acknowledged", countCleared: "alerts_cleared",
	countHistory: "history", reasonHistoryDropped: "history_dropped", reasonHistoryError: "history_error",
	reasonNoAlert: "alert_not_open", reasonAlertNotes: "alert_notes_dropped",
	countDeleted: "deleted", countMoved: "moved_fleet", countForwarded: "forwarded", countRetired: "retired",
	countSilent: "silent", countDeadConns: "dead_connections",
	reasonOlder: "older", reasonDuplicate: "duplicate", reasonReplayed: "replayed", reasonRemoved: "removed",
	reasonRetained: "retained", reasonTakeover: "takeover", reasonUnknown: "unknown_device",
	reasonKept: "retained_reading", reasonAhead: "clock_ahead", reasonStanding: "standing", reasonMoved: "moved", reasonTrailOld: "trail_old", reasonTrailHad: "trail_duplicate",
	reasonOutOfRange: "out_of_range", reasonNullIsland: "null_island", reasonClock: "clock",
	reasonWeekRollover: "week_rollover", reasonZone: "zone", reasonTooOld: "too_old", reasonInaccurate: "inaccurate",
	reasonOutsideArea: "outside_area", reasonAxesSwapped: "axes_swapped", reasonJump: "jump",
	reasonUnregistered: "unregistered", reasonLookupError: "lookup_error", reasonForwardRefused: "forward_refused",
	reasonFleetConflict: "fleet_conflict", reasonDeviceLimit: "device_limit", reasonMetricLimit: "metric_limit",
	reasonAssetBytes: "asset_bytes", reasonBadMetric: "bad_metric", reasonConnLimit: "connection_limit",
	reasonBadEntry: "bad_entry", reasonBadRecord: "bad_record", reasonPanic: "panic",
	countCommands: "commands", countCommandsDone: "commands_done", countCommandsFailed: "commands_failed", countCommandsExpired: "commands_expired",
	reasonCommandRepeated: "command_repeated", reasonCommandOvertaken: "command_overtaken", reasonCommandLate: "command_late",
	reasonCommandUnknown: "command_unknown", reasonCommandForeign: "command_foreign", reasonCommandLimit: "command_limit",
	reasonPublishError: "publish_error", reasonReadError: "read_error", reasonOwnError: "own_error", reasonLost: "lost", reasonConfigLate: "config_late",
}

func (r reason) String() string { return reasonNames[r] }

// isFault tells whether somebody should look at it.
func (r reason) isFault() bool { return r >= reasonOutOfRange && r < reasonPublishError }

// counters are those of one partition: written by its goroutines, read by anybody. Partitions have their own, so that
// the hot path does not fight over a cache line.
type counters [reasonCount]atomic.Uint64

func (c *counters) add(r reason) { c[r].Add(1) }

func (c *counters) get(r reason) uint64 { return c[r].Load() }
