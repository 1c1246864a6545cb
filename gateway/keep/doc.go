// Package keep copies what a gateway keeps: into a file and back, and from a directory into Redis.
//
// It owns the format of a backup, what a restore checks before it lets anybody open the result, and the order of a
// migration. It refuses to own the bytes of a log or of a record (bridge/diskbus, devices/store), who may ask for a backup
// (gateway/api), and when one is made: a timer of the operating system's is the tool for that.
//
// # The order of a backup
//
// First the bus, at one point of its log, then what people configure, as of one commit. An owner waits at its start for
// what had been applied of the second, so the second must not be older than the first; where it is newer by the moment
// between the two, owners apply the difference, as they do after every start.
//
// # A backup
//
// It is a tar file, or one in gzip:
//
//	fleetcast.json  the version of this format, which gateway wrote it and when, and how many partitions there are
//	bus/000001 …    a snapshot of the log (bridge/diskbus), in pieces
//	store.db        what people configure (devices/store/embedded)
//	contents.json   how many of what
//	SHA256SUMS      of all files before; without it the backup is not whole
//
// In the walk of a message it is not met.
package keep
