// Package devices is the vocabulary of Fleetcast: ids, readings, assets, presence and errors.
//
// It owns the meaning and the bounds of these words, and the JSON of an asset as every dashboard receives it.
// It refuses to own any transport, any storage and any policy: what to do with an absurd clock or a full fleet is
// decided elsewhere. It imports the standard library only, and everything else may import it.
//
// In the walk of a message it is what the door produces from a payload (a Reading) and what the edge shows (an Asset).
package devices
