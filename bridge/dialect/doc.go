// Package dialect turns what devices say into readings.
//
// It owns the presets (an ecosystem's topics, format and fleets), one file a format or a family of them, the mapper that
// reads what the settings file describes, and what the formats share: a scanner that reports the leaves of a JSON object in
// one pass, for the hot path, and a bounded tree for documents that are deep or have arrays. It also says which topics a
// credential may use (access.go), since that is the same table read backwards. It refuses to own any transport, and any
// judgement of the values: a latitude of 91 is decoded, hygiene rejects it. It imports devices, and two readers of wires
// that are not JSON.
//
// A format is one decode function and one or more rows in table.go. A decoder may decline what is not its format; the next
// matching row is asked then, from the most specific template to the least. Decoders keep nothing, but for Sparkplug,
// whose sessions (sparkplug_state.go) are the router's.
//
// In the walk of a message it stands between the door that took a payload and the inlet that keeps the reading.
package dialect
