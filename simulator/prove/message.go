package prove

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The metrics of a message: its number, and one of a ring of metrics that holds the number until the ring comes round.
const (
	seqMetric  = "seq"
	slotPrefix = "slot"
)

// appendMessage writes telemetry. A device stands near a place of its own and moves a little with each message, so that
// nothing is implausible and no two messages are alike.
func appendMessage(dst []byte, device int, seq uint32, at time.Time) []byte {
	lat := latitude(device % latitudes)
	lon := 2 + float64(seq%1000)*0.00001
	dst = append(dst, `{"at":`...)
	dst = strconv.AppendInt(dst, at.UnixMilli(), 10)
	dst = append(dst, `,"lat":`...)
	dst = strconv.AppendFloat(dst, lat, 'f', 6, 64)
	dst = append(dst, `,"lon":`...)
	dst = strconv.AppendFloat(dst, lon, 'f', 6, 64)
	dst = append(dst, `,"`+seqMetric+`":`...)
	dst = strconv.AppendUint(dst, uint64(seq), 10)
	dst = append(dst, `,"`+slotPrefix...)
	dst = strconv.AppendUint(dst, uint64(seq%Ring), 10)
	dst = append(dst, `":`...)
	dst = strconv.AppendUint(dst, uint64(seq), 10)
	return append(dst, '}')
}

// assetMessage is what is needed of an asset.
type assetMessage struct {
	ID      string         `json:"id"`
	At      int64          `json:"at"`
	Metrics map[string]any `json:"metrics"`
}

// names are the devices' ids: a prefix with a number, or those of credentials.
type names struct {
	prefix string
	ids    []string       // nil: by the prefix
	index  map[string]int // the reverse of ids
}

func newNames(o *Options) names {
	n := names{prefix: o.Prefix}
	if len(o.Identities) == 0 {
		return n
	}
	n.index = map[string]int{}
	for i := range o.Devices {
		n.ids = append(n.ids, o.Identities[i].Username)
		n.index[o.Identities[i].Username] = i
	}
	return n
}

func (n names) id(device int) string {
	if n.ids != nil {
		return n.ids[device]
	}
	return n.prefix + "-" + strconv.Itoa(device)
}

// find returns a device's number; false means that the id is none of ours.
func (n names) find(id string, devices int) (int, bool) {
	if n.ids != nil {
		i, ok := n.index[id]
		return i, ok
	}
	number, ok := strings.CutPrefix(id, n.prefix+"-")
	if !ok {
		return 0, false
	}
	i, err := strconv.Atoi(number)
	return i, err == nil && i >= 0 && i < devices
}

// parseAsset reads an asset; ours is false for one of other people's devices.
func (n names) parseAsset(data []byte, devices int) (device int, s State, ours bool, err error) {
	var a assetMessage
	if err := json.Unmarshal(data, &a); err != nil {
		return 0, State{}, false, fmt.Errorf("read asset: %w", err)
	}
	if device, ours = n.find(a.ID, devices); !ours {
		return 0, State{}, false, nil
	}
	s = State{At: a.At, Seq: number(a.Metrics[seqMetric]), Silent: a.At == 0 && len(a.Metrics) == 0}
	for i := range s.Slots {
		s.Slots[i] = number(a.Metrics[slotPrefix+strconv.Itoa(i)])
	}
	return device, s, true, nil
}

// number is 0 for what is no message's number, which the ledger then refuses.
func number(v any) uint32 {
	if f, ok := v.(float64); ok && f >= 1 && f <= 1<<31 && f == float64(uint32(f)) {
		return uint32(f)
	}
	return 0
}
