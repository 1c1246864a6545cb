// Package latency counts how long things took, in buckets, at the cost of two atomic additions.
//
// It owns histograms of durations and their split by fleet up to a bound. It refuses to own how they are shown: a part
// has them among its counters, and gateway/metrics makes Prometheus histograms of them, so that no other package knows
// that library.
package latency
