// Package measure is what the simulator's commands share to measure and to tell: latency histograms, the processor time
// of this process, a probe of how late it wakes up, and a line of progress.
//
// It owns the units of the reports (milliseconds in JSON, three digits of precision) and refuses to judge: it asserts
// nothing. In the walk of a message it stands beside the first and the last step.
package measure
