// Package capture keeps real MQTT traffic in a file and plays it again, at any speed.
//
// It owns the file (line.go): a JSON object a line, so that it can be cut, joined and searched with ordinary tools; the
// subscriber that writes it (record.go); the publisher that reads it, in an open loop (replay.go); and the moving of the
// times that payloads hold to the present (restamp.go). It refuses to understand payloads beyond that.
//
// In the walk of a message it is the first step: the devices, as they once were.
package capture
