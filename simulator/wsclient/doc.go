// Package wsclient is a dashboard that listens over WebSocket.
//
// It owns the wire of /stream/ws as a client sees it: the subscription that is sent first, arrays and envelopes of assets,
// other events, the position that a reconnection resumes from, and reconnecting. It gives its user the same events as
// simulator/sseclient does, so that one viewer checks both. It refuses to judge what it is told.
//
// In the walk of a message it is the last step, outside of the product.
package wsclient
