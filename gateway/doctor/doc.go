// Package doctor looks at the place where a gateway is to run: ports, files, the data directory, certificates, Redis, external
// brokers and the clock.
//
// It owns what is asked of each of them, what is too little, and what to do about it. It refuses to change anything: a port is
// bound for a moment and given back, a file is written into the data directory and removed, and Redis is only read. In the walk
// of a message it has no part: it runs before the first one, or at 3 a.m. beside a gateway that does.
package doctor
