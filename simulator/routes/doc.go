// Package routes says where simulated vehicles and ships are: a pure function of (world, index, time).
//
// It owns a small hand-made atlas of cities, corridors and sea lanes (places.go, lanes.go), the street graph that is made
// of each city (streets.go), the roads that a user brings as GPX or GeoJSON (lines.go), the tours over them and the speed
// profile of each tour: vehicles accelerate, slow down before turns and stop, so that speed, heading and displacement
// agree. All of its data is made here, so it has the project's licence. Nothing is kept per vehicle but a phase and a
// pace, and a restarted simulator finds its vehicles where wall time has moved them.
// It refuses to own what a receiver makes of a place (simulator/tracker) and anything about payloads or transport.
//
// In the walk of a message it stands before the first step: it is the world that devices report about.
package routes
