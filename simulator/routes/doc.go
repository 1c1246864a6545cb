// Package routes says where simulated vehicles are: a pure function of (seed, index, time).
//
// It owns a small hand-made atlas of cities and corridors, the tours through them and the speed profile of each tour:
// vehicles accelerate, slow down before turns and stop, so that speed, heading and displacement agree. Nothing is kept
// per vehicle but a phase and a pace, and a restarted simulator finds its vehicles where wall time has moved them.
// It refuses to own a road graph, GPS error and anything about payloads or transport.
//
// In the walk of a message it stands before the first step: it is the world that devices report about.
package routes
