// Package certs makes certificates for servers that the simulator starts: HTTP/2 is spoken over TLS only. It makes
// those of simulated devices too, each its own (clients.go).
//
// It owns short-lived keys of this machine's own. It refuses to own those of users, which they name as files, and stands
// in no message's way.
package certs
