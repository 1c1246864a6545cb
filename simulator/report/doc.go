// Package report is what a run is told as: values by name, thresholds, text, JSON, one page of HTML, percentile files and
// Prometheus, the comparison of two reports, and the sum of those of several machines (merge.go).
//
// It owns the names of the values (values.go), the judgement by thresholds (threshold.go), the sampling of a run second by
// second (recorder.go) and every way of telling it. It refuses to own load, viewers and the ledger, which it only reads.
//
// In the walk of a message it stands beside the last step: it is what people read.
package report
