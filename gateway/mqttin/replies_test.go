package mqttin

import (
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

const anID, anotherID = "0000000000000000000000000v", "1000000000000000000000000v"

func TestAnAnswerIsReadAsADeviceSaysIt(t *testing.T) {
	long := `{"status":"done","result":"` + strings.Repeat("x", devices.MaxCommandValueBytes) + `"}`
	for _, c := range []struct {
		name, last, payload, correlation string
		want                             bus.CommandReport // the zero state: it is none
	}{
		{"done", anID, `{"status":"done","result":{"a": 1}}`, "", bus.CommandReport{State: devices.CommandDone, Result: []byte(`{"a":1}`)}},
		{"failed", anID, `{"status":"failed","error":"a\nb"}`, "", bus.CommandReport{State: devices.CommandFailed, Error: "a b"}},
		{"an error that is an object", anID, `{"status":"failed","error":{"code":7}}`, "", bus.CommandReport{State: devices.CommandFailed, Error: `{"code":7}`}},
		{"by the correlation data", "x", `{"status":"done"}`, anID, bus.CommandReport{State: devices.CommandDone}},
		{"by the payload", "x", `{"id":"` + anID + `","status":"done"}`, "", bus.CommandReport{State: devices.CommandDone}},
		{"a long result", anID, long, "", bus.CommandReport{State: devices.CommandDone, Truncated: true}},
		{"of none", "x", `{"status":"done"}`, "", bus.CommandReport{}},
		{"of two", anID, `{"status":"done"}`, anotherID, bus.CommandReport{}},
		{"an unknown status", anID, `{"status":"maybe"}`, "", bus.CommandReport{}},
		{"no JSON", anID, `done`, "", bus.CommandReport{}},
		{"too large", anID, `{"status":"done","x":"` + strings.Repeat("x", maxReplyBytes) + `"}`, "", bus.CommandReport{}},
	} {
		topic := parseReply("fleets/north/devices/truck-1/replies/" + c.last)
		if topic == nil {
			t.Fatalf("%s: no topic of an answer", c.name)
		}
		got, ok := topic.read([]byte(c.payload), []byte(c.correlation))
		switch {
		case ok != (c.want.State != 0):
			t.Errorf("%s: %+v, %v", c.name, got, ok)
		case ok && (got.ID.String() != anID || got.State != c.want.State || string(got.Result) != string(c.want.Result) ||
			got.Error != c.want.Error || got.Truncated != c.want.Truncated):
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestOtherTopicsAreNoAnswers(t *testing.T) {
	for _, topic := range []string{
		"fleets/north/devices/truck-1/replies", "fleets/north/devices/truck-1/replies/a/b", "fleets/north/devices//replies/a", "fleets//devices/x/replies/a",
		"fleets/north/devices/truck-1/telemetry", "x/north/devices/truck-1/replies/a", "fleets/north/truck-1/replies/a/b",
	} {
		if parseReply(topic) != nil {
			t.Errorf("%s is taken for one", topic)
		}
	}
}

// Whatever a device sends, what comes of it is an entry that a bus takes, or nothing.
func FuzzReply(f *testing.F) {
	f.Add(anID, []byte(`{"status":"done","result":[1]}`), []byte(nil))
	f.Add("x", []byte(`{"id":"`+anID+`","status":"failed","error":"\u0000\ud800"}`), []byte(anID))
	f.Fuzz(func(t *testing.T, last string, payload, correlation []byte) {
		topic := parseReply("fleets/north/devices/truck-1/replies/" + last)
		if topic == nil {
			return
		}
		report, ok := topic.read(payload, correlation)
		if !ok {
			return
		}
		entry := replyEntry(topic.device, topic.fleet, report)
		if err := entry.Check(); err != nil {
			t.Fatalf("%q becomes an entry that is refused: %v", payload, err)
		}
	})
}
