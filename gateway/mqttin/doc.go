// Package mqttin is the devices' door: it takes MQTT messages, has them decoded and appends them to the inlet.
//
// There are two: Broker, an embedded one that devices connect to, and Upstream, which consumes an external broker.
//
// It owns the connections of devices, what protects the process from them, what a credential lets its connection do, the
// acknowledgement of messages once they are durable, and the connection events that presence is made of. It refuses to own
// what a payload means (bridge/dialect), who may connect (an Authenticator, devices/registry) and what becomes of a reading
// (bridge). What a device publishes is delivered to another MQTT client, or retained, only where routing was asked for.
//
// The embedded broker is mochi-mqtt as a front end: its parser, its packets and its answers to QoS 2 are used. What it
// lacks stands here, one guard a trap, each with its test: guard.go and conn.go before a packet is parsed, frames.go and
// attach.go in place of its loop, login.go, rate.go and registry.go around a CONNECT, access.go for who may do what, hook.go and
// will.go around a message, publish.go and committer.go in place of its acknowledgements, subscribe.go and routes.go in
// place of its subscriptions, mailbox.go and pump.go for what is sent to clients, retained.go for what is retained,
// commands.go for what is sent to devices, loop.go for what comes back of it, tend.go in place of its housekeeping.
//
// The external broker is met through paho: external.go and its neighbours. What both doors share is the committer with its
// append.go and newest.go, intake.go and tracing.go; the committer knows a connection of either as an origin.
//
// What is not understood it keeps, within bounds, for people to look at (letters.go): nothing of it is logged.
//
// In the walk of a message this is the first package: a PUBLISH enters at Broker.process, becomes entries in
// publish.go, waits in the committer, and is acknowledged by acks.go when the inlet has it. In the other door it enters at
// Upstream.onPublish and is acknowledged by link.acknowledge.
//
// On Linux connections over plain TCP are watched: poller_linux.go sees who has something, worker_linux.go has it processed by
// incoming_linux.go, and socket_linux.go is such a connection.
//
// Goroutines: one accepts; one greets a connection; one looks who has something and processes it, with others where that is
// much or one takes long; one per connection over TLS or WebSocket reads it; one commits; one looks each second for what ends by itself, and one
// watches the authenticator; a connection that is owed acknowledgements for which its socket has no room, is sent routed
// messages or is thrown out has one for that. Upstream has one that commits, one that subscribes on a new connection, and those of paho. Run waits for all
// of them.
//
// Lock order: retained.mu may be held while mailbox.mu is taken, that while routes.mu is, and flow.mu while mochi's own lock
// of a client's inflight map is; registry.mu while a meter's is. Else registry.mu, committer.mu, guard.mu, acks.mu and
// attempts.mu are never held together; poller.mu may be held while socket.mu is taken. No lock of ours is held across I/O that waits; the client's own lock (mqtt.Client) is held while
// bytes are written to that client, as mochi does, and upstreamConn.mu while a packet is written to the external broker,
// as paho asks of a connection; both writes have a deadline. Upstream.mu is never held with another.
package mqttin
