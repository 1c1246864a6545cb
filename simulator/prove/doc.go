// Package prove is the ledger of losses: it says what became of every message that a device numbered.
//
// It owns the ledger (ledger.go, books.go), devices that number their messages and keep each until its PUBACK
// (device.go), viewers that write down what arrives (viewer.go), the schedule of faults (faults.go), the checks after
// each fault and at the end (audit.go), and the program that is killed and started again (gateway.go). It refuses to own
// how a fault is made: that is a Fault of the caller's.
//
// In the walk of a message it stands at both ends, outside of the product: MQTT in, Server-Sent Events and REST out.
//
// # What is held to be promised
//
// For each viewer every message ends in one of five ways: it was delivered; a newer one of its device was shown instead
// (superseded); a reset said that there is a gap (declared); it never had its PUBACK and was not shown (not promised); or
// none of these: it was silently lost, which must not be. Superseded is no excuse for content: each message also sets one
// of sixteen metrics in turn, and a state that lacks what an earlier message set has lost that message.
//
// An acknowledged message's state, or a newer one, is there after a restart. Since a newer message would hide a loss, a
// share of the devices is silent from each fault until all that they were promised was looked for, and only then goes on.
//
// A viewer never sees a device step back until a reset. With one edge, a viewer that is told ready holds all that this
// edge had shown to anybody before the viewer asked. An id that was handed out resumes, also later and at another edge:
// whoever holds it, since the answer depends on the id alone, so the least that any viewer held with that id is enough.
// That two holders of one id hold the same is not checked: frames may be newer than the id says.
package prove
