package main

import (
	"os"
	"runtime/debug"
)

// gcPercent is how much a gateway allocates between two collections, in percent of what lives. Go counts stacks as living
// and a connection is a stack above all, so that at Go's own 100 the garbage of 8,000 devices at a message a second grew to
// twice their heap: they took 55 kB each, and 33 at this. A collection marks little, as stacks hold little.
const gcPercent = 50

// collect sets it, unless who runs the gateway knows better.
func collect() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
