package diskbus

import (
	"encoding/binary"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// encodeCommands encodes rows. They are in one payload with their flush, which is there whole or not at all.
func encodeCommands(partition int, rows []bus.CommandRow) []byte {
	b := binary.AppendUvarint(nil, uint64(partition))
	var one []byte
	for i := range rows {
		one = bus.AppendCommandRow(one[:0], &rows[i])
		b = appendBytes(b, one)
	}
	return b
}

func decodeCommands(body []byte) (partition int, rows []bus.CommandRow, err error) {
	p := parser{left: body}
	partition = p.partition()
	for len(p.left) > 0 {
		b := p.bytes()
		if p.bad {
			break
		}
		row, err := bus.DecodeCommandRow(b)
		if err != nil {
			return 0, nil, err
		}
		rows = append(rows, row)
	}
	return partition, rows, p.end()
}

func replayCommands(m *bus.Memory, body []byte) error {
	partition, rows, err := decodeCommands(body)
	if err != nil {
		return err
	}
	return m.ReplayCommands(partition, rows)
}
