// Package hostile is a device that means harm, or is broken in a way that looks like it.
//
// It owns the kinds of abuse and counts what became of each attempt. It refuses to own whether the installation stood it:
// that is for the devices and viewers beside it, whose thresholds must hold. It goes where it is told to and nowhere else;
// point it at installations of your own only.
//
// In the walk of a message it is the first step gone wrong.
package hostile
