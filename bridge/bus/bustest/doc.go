// Package bustest is the suite that every bus passes: the contract of package bus as checks that can fail.
//
// It owns no behaviour and knows no bus: a bus's own test gives it a function that opens one. It refuses to test what
// only one bus has (its files, its bounds to the byte, its speed): that stands in the bus's package.
//
// In the walk of a message it stands beside both places where the bus is met, the inlet and the publish.
package bustest
