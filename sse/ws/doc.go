// Package ws is the second transport of the stream: WebSocket (RFC 6455), at /stream/ws.
//
// It owns what is said on such a connection (frame.go, message.go), who may open one and how many (limits.go), and the
// connection. It refuses to own what is sent: as for package sse, the hub decides what a viewer has not seen. A server's
// frames are not masked, so the hub's pieces are whole frames, made once for all viewers of a view and written as they are;
// the library reads what clients send, and does the handshake. Nothing is queued: where a client does not read, one
// goroutine stands in one write and the hub conflates behind it.
//
// In the walk of a message it stands beside package sse.
package ws
