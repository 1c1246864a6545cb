// Command gateway takes telemetry of devices in over MQTT and shows their live state to browsers: every role in one
// process. With --demo N it runs N simulated devices against its own MQTT port.
//
// It owns the process: arguments, signals, the exit code, and the demo fleet. It refuses to own anything that a test
// could want to start twice; that is package app's.
//
// In the walk of a message it is not met.
package main
