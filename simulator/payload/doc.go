// Package payload writes what trackers of many makers publish: topic and bytes of a fix, a format a file or a function.
//
// It owns the units, the clocks and the ways of saying "unknown" of each format, from the makers' public documents. It
// refuses to own what is written (simulator/tracker) and knows nothing of the decoders on the other side: that the two
// agree is for a run against a gateway to show.
//
// In the walk of a message it is the first step: the payload.
package payload
