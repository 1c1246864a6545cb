// Package play runs scenarios: files that say which installation to start, who speaks to it, who listens, what goes wrong
// when, and what must hold.
//
// It owns the format of the files (scenario.go, check.go), their small forms (small.go), the processes and proxies that a
// scenario starts (process.go), the schedule of faults (faults.go), the look at the end whether what was acknowledged is
// there (audit.go), and the scenarios that come with the program (bundled.go). Load, viewers, the ledger, the network and
// the report are those of the packages beside it: it ties them together and adds nothing of their kind.
//
// In the walk of a message it stands at both ends, outside of the product.
package play
