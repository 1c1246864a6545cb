package redisbus

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// A message is what the publishing script shows and keeps in the log: one line of what only the server knows when it
// commits, then the batch in the bus's bytes. The line is "1 publishes lag tombstone-floor event-floor call": the
// version, the number of the publish, the inlet's lag in ms, the floors, and the random name of the publish.
type message struct {
	n     uint64 // counts the publishes of the partition, beats too
	call  string
	batch bus.Batch
}

const (
	messageVersion = "1"
	messageMembers = 6
	maxCallBytes   = 32
)

// decodeMessage reads one. The batch shares no memory with b.
func decodeMessage(b []byte) (message, error) {
	line, rest, found := bytes.Cut(b[:], []byte{'\n'})
	members := bytes.Split(line, []byte{' '})
	if !found || len(members) != messageMembers || string(members[0]) != messageVersion {
		return message{}, fmt.Errorf("decode message: %w", errMalformed)
	}
	var numbers [4]uint64
	for i := range numbers {
		n, err := strconv.ParseUint(string(members[i+1]), 10, 63)
		if err != nil {
			return message{}, fmt.Errorf("decode message: number %d: %w", i, errMalformed)
		}
		numbers[i] = n
	}
	call := string(members[5])
	if call == "" || len(call) > maxCallBytes {
		return message{}, fmt.Errorf("decode message: call: %w", errMalformed)
	}
	batch, err := bus.DecodeBatch(rest)
	if err != nil {
		return message{}, fmt.Errorf("decode message: %w", err)
	}
	batch.LagMS = int64(numbers[1])
	batch.Floor = bus.Floor{Tombstones: numbers[2], Events: numbers[3]}
	return message{n: numbers[0], call: call, batch: batch}, nil
}
