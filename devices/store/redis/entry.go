package redis

import (
	"encoding/binary"
	"fmt"

	"github.com/fleetcast/fleetcast/devices/store"
)

// An entry of the log is version 1 (1 byte), and for every op the lengths of kind, id and value (uvarint; of a value one
// more than it has, and 0 where the record is deleted) and their bytes.
const entryVersion = 1

func appendEntry(dst []byte, ops []store.Op) []byte {
	dst = append(dst, entryVersion)
	for i := range ops {
		op := &ops[i]
		dst = binary.AppendUvarint(dst, uint64(len(op.Kind)))
		dst = binary.AppendUvarint(dst, uint64(len(op.ID)))
		if op.Value == nil {
			dst = binary.AppendUvarint(dst, 0)
		} else {
			dst = binary.AppendUvarint(dst, uint64(len(op.Value))+1)
		}
		dst = append(append(append(dst, op.Kind...), op.ID...), op.Value...)
	}
	return dst
}

// decodeEntry returns the records of a commit. The entry is what another process wrote: nothing of it is believed.
func decodeEntry(at store.Revision, text string) ([]store.Record, error) {
	if text == "" || text[0] != entryVersion {
		return nil, fmt.Errorf("decode commit: %w", errMalformed)
	}
	rest := []byte(text[1:])
	var out []store.Record
	for len(rest) > 0 {
		var lengths [3]uint64
		for i := range lengths {
			n, used := binary.Uvarint(rest)
			if used <= 0 || n > store.MaxValueBytes+1 {
				return nil, fmt.Errorf("decode commit: %w", errMalformed)
			}
			lengths[i], rest = n, rest[used:]
		}
		kind, id, value := int(lengths[0]), int(lengths[1]), max(int(lengths[2])-1, 0)
		if kind+id+value > len(rest) || len(out) >= store.MaxOps {
			return nil, fmt.Errorf("decode commit: %w", errMalformed)
		}
		r := store.Record{Kind: store.Kind(rest[:kind]), ID: string(rest[kind : kind+id]), Revision: at}
		if lengths[2] > 0 {
			r.Value = rest[kind+id : kind+id+value : kind+id+value]
		}
		if err := store.CheckKey(r.Kind, r.ID); err != nil {
			return nil, fmt.Errorf("decode commit: %w: %w", errMalformed, err)
		}
		out, rest = append(out, r), rest[kind+id+value:]
	}
	return out, nil
}
