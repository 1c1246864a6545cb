// Package scenario runs real installations and breaks them under the ledger of losses.
//
// It owns the faults that need more than one program: a gateway that is killed, Redis that is killed, restarted or
// silent, processes with a part of the roles behind a proxy without stickiness, and a broker in front. There are tests
// only. It refuses to own what is promised and how that is checked, which is prove's, and it imports nothing of the
// product but its vocabulary: it builds the gateway's program and speaks MQTT and HTTP to it.
//
// In the walk of a message it stands at both ends, outside of the product.
//
// rows_test.go is the table of faults and clocks that an installation must live with, and of the tests that hold each.
//
// Each scenario has a short form, which runs with all tests, and a long one, with FLEETCAST_SOAK set (make soak).
package scenario
