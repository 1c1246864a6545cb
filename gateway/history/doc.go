// Package history writes down what devices said, each reading, in files that other programs read: one JSON object a line.
//
// It owns the files: their names, when a new one begins, how long they are kept; reading them; and copying them into
// PostgreSQL. It refuses to decide what is worth keeping, and to answer viewers. In the walk of a message it is beside the
// bridge: an owner writes a window's readings here before the inlet lets go of them.
//
// DIR/p{partition}/{time}-{run}.ndjson, where time is when the file began, as 20261126T134500.123Z, and run names the process.
// A file is only ever added to, by one process, until it is closed; nobody changes it after that but who deletes: Forget, and the
// sweep for what is too old. DIR/retention.json says which fleets keep their readings for another time than the rest.
package history
