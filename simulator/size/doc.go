// Package size says what an installation needs: processes, cores, memory and bandwidth, for so many devices and viewers.
//
// It owns a model: costs that were measured, and how they add up. It refuses to promise: what it says is arithmetic over the
// costs in costs.go, which deploy/docs/bench has with their conditions, at half the use of every core. How near it comes is measured by
// simulator/bench, in cluster.go there.
package size
