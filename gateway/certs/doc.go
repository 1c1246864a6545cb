// Package certs is a certificate with its key in files that are renewed: the one place for every port with TLS.
//
// It owns when the files are read and what is served while they are half written. It refuses to know any port, and to
// decide who a client is: authorities of client certificates are read, what they prove is the port's.
//
// In the walk of a message it stands before the first byte.
package certs
