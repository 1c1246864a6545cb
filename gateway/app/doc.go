// Package app ties the parts of the gateway together: settings, wiring, start and stop.
//
// It owns every setting (Options, its flags, variables and file), the order in which parts start and stop, and the
// bounds on their stopping. It refuses to own any step of a message's path: a part that needs deciding something about
// messages, viewers or requests decides it itself.
//
// In the walk of a message it is not met; the function that wires (wire.go) has the walk as its diagram.
package app
