// Package bench puts a fleet and a crowd of viewers around a gateway's process, measures what that process used, and puts
// the floor program's use for the same bytes beside it.
//
// It owns the order of a run, the reading of /proc and the table. It asserts nothing: a machine that is busy with other
// things changes every number, and so the numbers stand with the host and the generator's health.
// In the walk of a message it stands around both ends.
package bench
