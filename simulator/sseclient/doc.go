// Package sseclient reads Server-Sent Events as an EventSource does, cheaply enough for thousands of streams in a
// process.
//
// It owns the parsing of the event stream format (WHATWG HTML, section 9.2), one connection as one goroutine, and the
// reconnection with Last-Event-ID. It refuses to know what events mean: that is its user's.
//
// In the walk of a message it is the last step, outside of the product: the dashboard.
package sseclient
