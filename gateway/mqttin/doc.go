// Package mqttin is the devices' door: it takes MQTT messages, has them decoded and appends them to the inlet.
//
// There are two: Broker, an embedded one that devices connect to, and Upstream, which consumes an external broker.
//
// It owns the connections of devices, what protects the process from them, the acknowledgement of messages once they
// are durable, and the connection events that presence is made of. It refuses to own what a payload means
// (bridge/dialect), what becomes of a reading (bridge), and any routing from device to device: nothing that a device
// publishes is delivered to another MQTT client, and nothing is retained.
//
// The embedded broker is mochi-mqtt as a front end: its parser, its sessions and its keep-alive are used. What it lacks
// stands here, one guard a trap, each with its test: guard.go and conn.go before a packet is parsed, hook.go and
// subscribe.go around it, publish.go and committer.go in place of its acknowledgements.
//
// The external broker is met through paho: external.go and its neighbours. What both doors share is the committer with its
// append.go and newest.go, and intake.go; the committer knows a connection of either as an origin.
//
// In the walk of a message this is the first package: a PUBLISH enters at hook.OnPublish, becomes entries in
// publish.go, waits in the committer, and is acknowledged by acks.go when the inlet has it. In the other door it enters at
// Upstream.onPublish and is acknowledged by link.acknowledge.
//
// Goroutines: one accepts; one per connection reads it (mochi adds one more that writes what mochi itself queues); one
// commits; and a connection that is owed acknowledgements has one that writes them. Upstream has one that commits, one that
// subscribes on a new connection, and those of paho. Run waits for all of them.
//
// Lock order: registry.mu, committer.mu, guard.mu, flow.mu and acks.mu are never held together, except that flow.mu may be
// held while mochi's own lock of a client's inflight map is taken. No lock of ours is held across I/O; the client's own
// lock (mqtt.Client) is held while bytes are written to that client, as mochi does, and upstreamConn.mu while a packet is
// written to the external broker, as paho asks of a connection; both writes have a deadline. Upstream.mu is never held with
// another.
package mqttin
