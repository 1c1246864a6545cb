// Package metrics shows the counters of all parts to Prometheus.
//
// It owns the translation: a table says for each number of the tree of counters (what GET /api/stats shows) what its
// name, its kind and its meaning are there, and a histogram is what a part has counted in buckets. No part knows
// Prometheus, nothing is counted twice, and a scrape costs a walk over the tree. It refuses to own what is counted, and
// who may read it: gateway/app serves it at an address of its own.
//
// Names follow the rules of Prometheus: fleetcast_ and the part first, base units, _total for what only grows. A label is
// one of a fixed set of reasons, or a fleet up to a bound; never a device, a topic or a text.
package metrics
