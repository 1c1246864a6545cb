// Package floor is what fan-out costs at the least: a server that writes the same bytes, encoded once, to every viewer of
// an event stream at every tick, one plain write each, and does nothing else.
//
// It owns being cheap and being honest about it: net/http accepts and hands over the connection, a few goroutines write,
// no system call is avoided by a trick. It refuses devices, filters, resumption and slow viewers: one that does not read
// is dropped. A benchmark compares the gateway's cost with its.
package floor
