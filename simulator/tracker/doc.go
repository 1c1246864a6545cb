// Package tracker is what a hardware tracker makes of where its vehicle is: fixes, and when it reports them.
//
// It owns the error of the receiver, which is correlated in time as a real one's is (noise.go), reflections by buildings (multipath.go), cold starts, tunnels and
// the burst of buffered fixes behind them, and the policy of reporting by time, distance and heading (tracker.go). All of
// it follows from a seed, the vehicle and the instants at which the tracker is asked, so that a run can be made again.
// It refuses to own the world (simulator/routes), the formats in which fixes are written (simulator/payload) and sending.
//
// In the walk of a message it is the instant before the first step.
package tracker
