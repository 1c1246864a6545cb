// Package watch opens many viewers of a stream and checks what they are told.
//
// It owns the checks that every viewer can make by itself: per device, time never goes backwards; no message is
// malformed; the stream is never ended for good. It measures updates, bytes and the time from the instant at which a
// simulated device wanted to speak to the moment when the viewer had read it.
// It refuses to own the reading of streams (simulator/sseclient) and any judgement of speed.
//
// In the walk of a message it is the last step, outside of the product: the dashboards.
package watch
