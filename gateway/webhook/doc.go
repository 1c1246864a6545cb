// Package webhook tells addresses of what happened: signed, in order, at least once.
//
// It owns the sending: what is sent and how it is signed (Standard Webhooks), retries, how far each address is, and the
// guard that keeps what people type from reaching what they should not. It refuses to own which addresses there are
// (devices/rulebook) and what is worth an event (the bridge).
//
// In the walk of a message it stands behind the bridge: the owner of a partition hands over the events that it has
// committed, and whoever owns the partition next goes on from the cursor in the store. So each event is sent by one
// process, and after a crash some are sent again under the same id.
package webhook
