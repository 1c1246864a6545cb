// Package hub is the edge's fan-out: from the bus's batches to what each viewer has not seen yet.
//
// It owns the versioned table of every partition, the views (a filter, a format and a tick, shared by all viewers that
// ask for the same), and the viewers, each of which is a position and no queue. It refuses to own any transport: it
// knows neither HTTP nor WebSocket, and asks the view's Format for the bytes of a message.
//
// In the walk of a message it comes after the bus: a batch changes the table, the tick makes one chunk of bytes per view
// out of what changed, and every viewer that is up to date gets that same chunk. A viewer that is behind, or comes
// back, reads the table in passes of bounded slices instead. See view.go for the chunk, pass.go for the pass, and
// interest.go and grid.go for how a change finds the views that it concerns.
package hub
