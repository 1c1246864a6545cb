package mqttin

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
)

// lettersOf are the dead letters, the oldest first.
func lettersOf(in *intake, reason string) []Letter {
	all := in.Letters(0, reason)
	slices.SortFunc(all, func(a, b Letter) int { return cmp.Compare(a.Number, b.Number) })
	return all
}

func TestReasonsOfDeadLettersAreNamedOnce(t *testing.T) {
	reasons := LetterReasons()
	slices.Sort(reasons)
	if n := len(reasons); len(slices.Compact(reasons)) != n || !slices.Contains(reasons, "panicked") {
		t.Errorf("reasons %v", reasons)
	}
}

// Row 15 of what a payload may be: each is answered, so that it does not come again for ever, and kept under its reason.
func TestWhatIsNotUnderstoodIsAnsweredAndKept(t *testing.T) {
	var log bytes.Buffer // read when the broker has ended
	h := startWith(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	r, _ := connect(t, h, connectOptions{id: "tracker 7", version: 5})
	const topic = "fleets/north/devices/truck-17/telemetry"
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	many := "{" + strings.TrimSuffix(strings.Repeat(`"k":1,`, 5000), ",") + "}"
	for i, c := range []struct{ topic, payload, reason string }{
		{topic, "", "empty"},
		{topic, "null", "not_object"},
		{topic, "[]", "not_object"},
		{topic, `{"lat":1`, "truncated"},
		{topic, `{"lat":1}x`, "trailing"},
		{topic, "\ufeff{}", "byte_order_mark"},
		{topic, "{\x00\"\x00l\x00", "bad_syntax"},
		{topic, "\xff\xfe{\x00", "not_utf8"},
		{topic, deep, "too_deep"},
		{topic, many, "too_many_members"},
		{topic, `{"n":"` + strings.Repeat("x", dialect.MaxPayloadBytes) + `"}`, "too_large"},
		{"nobody/knows/this", `{"lat":1}`, "unknown_topic"},
		{strings.Repeat("deep/", 40) + "end", `{"lat":1}`, "bad_topic"},
	} {
		r.publish(c.topic, c.payload, 1, uint16(i+1))
		r.expect(0x40, uint16(i+1))
		got := lettersOf(&h.intake, c.reason)
		if len(got) == 0 {
			t.Errorf("%.20q: no letter of %s; there are %v", c.payload, c.reason, reasonsOf(lettersOf(&h.intake, "")))
			continue
		}
		last := got[len(got)-1]
		if last.Client != "tracker 7" || last.Bytes != len(c.payload) || !strings.HasPrefix(c.payload, string(last.Payload)) ||
			!strings.HasPrefix(c.topic, last.Topic) || last.At == 0 || (c.topic == topic) != (last.Device == "truck-17") {
			t.Errorf("%.20q is kept as %+v", c.payload, last)
		}
		if len(c.payload) <= letterPayload && len(last.Payload) != len(c.payload) {
			t.Errorf("%.20q is cut to %d bytes", c.payload, len(last.Payload))
		}
	}
	h.well(t)
	if err := h.stop(); err != nil {
		t.Error(err)
	}
	if text := log.String(); !strings.Contains(text, "truncated") || strings.Contains(text, "tracker 7") || strings.Contains(text, "nobody/knows") {
		t.Errorf("the log says the reason and no content; it is %s", text)
	}
}

func reasonsOf(all []Letter) (reasons []string) {
	for _, l := range all {
		reasons = append(reasons, l.Reason)
	}
	return reasons
}

func TestDeadLettersAreBoundedOfEachReason(t *testing.T) {
	var l letters
	topic := strings.Repeat("t", 2*letterTopic)
	for i := range 10 * lettersPerReason {
		l.keep("truncated", topic, sender{}, "", bytes.Repeat([]byte{byte(i)}, 3*letterPayload))
	}
	l.keep("empty", "t", sender{}, "", nil)
	if got := l.since(0, "truncated"); len(got) != lettersPerReason || len(got[0].Payload) != letterPayload ||
		got[0].Bytes != 3*letterPayload || len(got[0].Topic) != letterTopic {
		t.Errorf("%d letters, the first of %d bytes", len(got), len(got[0].Payload))
	}
	newest := l.kept
	if got := l.since(0, ""); len(got) != lettersPerReason+1 {
		t.Errorf("%d letters in all", len(got))
	}
	if got := l.since(newest-1, ""); len(got) != 1 || got[0].Reason != "empty" {
		t.Errorf("the newest is %+v", got)
	}
	// What was given stays what it was.
	given := l.since(0, "truncated")
	before := fmt.Sprint(given)
	for range lettersPerReason {
		l.keep("truncated", topic, sender{}, "", []byte("something else"))
	}
	if fmt.Sprint(given) != before {
		t.Error("a letter changed after it was given")
	}
	if n := testing.AllocsPerRun(100, func() { l.keep("truncated", "t", sender{}, "", []byte("rubbish")) }); n > 1 { // the topic
		t.Errorf("%v allocations a letter", n)
	}
}

func TestAMessageThatBreaksADecoderIsOneDeadLetter(t *testing.T) {
	h := start(t, Limits{})
	w := new(workspace)
	broken := &topicRoute{topic: "fleets/north/devices/d/telemetry", route: new(dialect.Route)}
	if h.intake.decode(broken, []byte(`{"lat":1}`), w, sender{client: "c"}) {
		t.Fatal("a route without decoders understands something")
	}
	got := lettersOf(&h.intake, "")
	if len(got) != 1 || got[0].Client != "c" || string(got[0].Payload) != `{"lat":1}` {
		t.Errorf("letters %+v", got)
	}
}

func TestAnExternalBrokersMessageIsKeptToo(t *testing.T) {
	u, l := unservedUpstream(t)
	u.receive(l, publication(`{"lat":`))
	p := publication(`{}`)
	p.Topic = "nobody/knows"
	u.receive(l, p)
	got := lettersOf(&u.intake, "")
	if len(got) != 2 || got[0].Reason != "truncated" || got[1].Reason != "unknown_topic" || got[1].Topic != "nobody/knows" {
		t.Errorf("letters %+v", got)
	}
}

func TestALetterIsShownAsTextWhereItIsSome(t *testing.T) {
	full := devices.DeadLetter{At: 5, Reason: "truncated", Topic: "a/b", Client: "c", Account: "x", Device: "d", Payload: []byte("{\"a\":</script>"), Bytes: 14}
	for _, c := range []struct {
		l    devices.DeadLetter
		want string
	}{
		{full, `{"at":5,"reason":"truncated","topic":"a/b","client":"c","account":"x","device":"d","bytes":14,"payload":"{\"a\":\u003c/script\u003e"}`},
		{devices.DeadLetter{At: 5, Reason: "not_utf8", Topic: "a", Payload: []byte{0xff, 0}, Bytes: 2}, `{"at":5,"reason":"not_utf8","topic":"a","bytes":2,"payload_base64":"/wA="}`},
		{devices.DeadLetter{At: 5, Reason: "too_large", Topic: "a", Payload: []byte("caf\xc3"), Bytes: 9}, `{"at":5,"reason":"too_large","topic":"a","bytes":9,"truncated":true,"payload":"caf"}`},
		{devices.DeadLetter{At: 5, Reason: "empty", Topic: "a"}, `{"at":5,"reason":"empty","topic":"a","bytes":0,"payload":""}`},
	} {
		if got := string(c.l.AppendJSON(nil)); got != c.want {
			t.Errorf("letter\n%s, want\n%s", got, c.want)
		}
	}
}
