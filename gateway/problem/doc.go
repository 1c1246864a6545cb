// Package problem is how every HTTP port of Fleetcast says no: RFC 9457 problem details.
//
// It owns the one table from devices.Kind to an HTTP status and the bytes of a problem. It refuses to know any route and
// any rule; it imports the vocabulary and net/http only, so that the stream, the REST port and later doors can share it.
//
// In the walk of a message it has no place: it is met where a request leaves the walk.
package problem
