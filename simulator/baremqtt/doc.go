// Package baremqtt is what taking MQTT messages costs at the least in Go: a bare mochi server that acknowledges every
// message at once and drops it.
//
// It owns being cheap with the same library and the same options as the gateway's door, and being honest about it: no
// message is decoded, kept or given to anybody. It refuses authentication, guards against hostile clients and every promise
// about what it acknowledged: it is for a benchmark on one machine. A benchmark compares the gateway's cost with its.
package baremqtt
