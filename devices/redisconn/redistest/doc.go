// Package redistest starts real Redis servers for tests, on ports of their own: one, behind Sentinels, as a Cluster, and
// a way to them that can be cut or made to swallow everything.
//
// It owns the processes and ends them with the test. It refuses to know what is kept in them. A test without a
// redis-server is skipped and says so, or fails where CI is set.
package redistest
