// Package child starts programs that end with this one, however it ends.
//
// It owns how a gateway, a broker or a Redis of the simulator's is started: on Linux the kernel kills it where the simulator
// is killed and cannot do it; that a command's background goes with it; and where temporary folders are, which the next simulator
// removes where their owner is dead. It refuses to own when such a program is ended or started again, which prove, play and bench
// decide. Elsewhere than on Linux only an end that can be noticed takes the programs with it: SIGINT and SIGTERM, which the
// simulator waits for, and not SIGKILL.
//
// In the walk of a message it stands outside.
package child
