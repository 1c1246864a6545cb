// Package mqttlite is an MQTT client small enough to run tens of thousands of times in one process.
//
// It owns the wire of MQTT 3.1.1 and 5 as far as a simulated tracker needs it: CONNECT with a last will, PUBLISH at
// QoS 0 and 1, SUBSCRIBE, receiving, keep-alive and DISCONNECT. A client costs a few hundred bytes and the one goroutine
// that runs Serve; writes go straight to the socket and never wait.
// It refuses to own reconnection, QoS 2, topic aliases, the storage of sessions and the sending again of what was not
// acknowledged: its user decides what a lost connection means.
//
// In the walk of a message it is the first step, outside of the product: the device.
package mqttlite
