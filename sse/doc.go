// Package sse is the stream of Server-Sent Events: what a browser's EventSource opens at /stream/assets.
//
// It owns the wire format (frame.go), the query of a stream (params.go), who may open one and how many (limits.go), and
// the connection: an HTTP/1.1 connection is taken over and goes on in one small goroutine per viewer (handler.go,
// conn.go). It refuses to own what is sent: the hub decides what a viewer has not seen, and gives its bytes ready made.
// It holds no queue; where a viewer does not read, its goroutine stands in one write and the hub conflates behind it.
//
// In the walk of a message it is the last stop before the browser.
//
// Section numbers "WHATWG 9.2.x" are those of Server-sent events in the HTML Living Standard.
package sse
