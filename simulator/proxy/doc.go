// Package proxy is a bad network: a TCP proxy that delays, narrows, cuts and swallows what passes through it.
//
// It owns the conditions of its connections, which may be changed while they stand, and stands in front of a broker, a bus
// or an edge, whatever they speak. It refuses to understand a byte of it. Everything that it holds is bounded: a
// direction that is slow is read slowly, so that the sender feels it.
//
// In the walk of a message it stands between the steps, outside of the product.
package proxy
