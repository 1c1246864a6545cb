// Package testbroker starts a real Mosquitto for the tests of the simulator and finds out what it got.
//
// It owns nothing of the product and stands in no message's way: tests only.
package testbroker
