// Package fleet runs simulated devices against an MQTT broker: an open-loop load and a demo.
//
// It owns the devices' connections, the instants at which each should send, and the ledger of what became of every one
// of these instants: sent, late, skipped and why. Sends are driven by a few pacing goroutines; a device costs one
// goroutine, which reads. A broker that is slow never slows the load, it is only counted.
// It refuses to own the world (simulator/routes), the wire (simulator/mqttlite) and any judgement of the results.
//
// In the walk of a message it is the first step, outside of the product: the devices.
package fleet
