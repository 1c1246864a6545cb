// Package trail is the memory of where a device was: the bytes of its fixes, and what is read out of them.
//
// It owns the encoding (block.go), the open block of a device to which its owner adds (tail.go), putting blocks together
// (merge.go) and leaving fixes out of a line (simplify.go). It refuses to own what a fix is believed for, which is
// hygiene's, and where blocks are kept, which is the bus's.
//
// In the walk of a message it stands beside the merge: what hygiene believes moves the device's asset if it is the newest,
// and is a fix of its trail in any case. Fixes stand in the order of their times, however they came.
//
// A fix takes 10 to 15 bytes. BlockFixes of them are a block: until then they are part of the device's record, so that
// nothing more than the record has to be written for a fix, and none is lost with its owner.
package trail
