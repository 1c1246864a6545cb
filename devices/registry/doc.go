// Package registry says which devices and fleets there are, what they are called, and who may speak for them.
//
// It owns the records of devices, fleets, credentials and quarantined strangers in the store, what of them is valid,
// how they are imported and exported, and the proof of a credential: a token, a password, a client certificate or a JWT.
// It refuses to own any transport: the people's door (gateway/api) and the devices' door (gateway/mqttin) translate its
// errors, whose kinds say what happened. It refuses to own live state: an owner of partitions follows it and removes,
// renames and moves what people removed, renamed and moved.
//
// In the walk of a message it stands at the beginning: before a device says anything, Authenticate tells the door whose
// connection it is.
//
// Every process follows the store by itself (Run): what it answers comes from its memory, also while the store is away,
// and is as old as the store is far. Only what people change waits for the store.
//
// No secret is kept: of a token its SHA-256, of a password its argon2id. Neither is written to a log or to an error.
package registry
