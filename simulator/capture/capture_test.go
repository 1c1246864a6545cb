package capture

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lockedBuffer is a file that a recorder writes and a test reads.
type lockedBuffer struct {
	bytes.Buffer
	lines atomic.Int64
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.lines.Add(int64(bytes.Count(p, []byte("\n"))))
	return b.Buffer.Write(p)
}

// record runs a recorder until so many lines are there, while play plays.
func record(t *testing.T, broker string, count int64, play func()) (string, Recorded) {
	t.Helper()
	var file lockedBuffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	type result struct {
		Recorded
		err error
	}
	done := make(chan result, 1)
	go func() {
		r, err := Record(ctx, RecordOptions{Broker: Broker{Address: broker}, Filters: []string{"fleets/#", "$SYS/broker/version"}, QoS: 1, Count: count}, &file)
		done <- result{r, err}
	}()
	// The broker's own retained topic says that the subscriptions stand.
	testbroker.Eventually(t, "the subscription stands", func() bool { return file.lines.Load() > 0 })
	play()
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	return file.String(), r.Recorded
}

// recording is n messages of two devices, some of them binary, ms apart.
func recording(n int, ms int64) string {
	var b strings.Builder
	for i := range n {
		at := 1700000000000 + int64(i)*ms
		payload := fmt.Sprintf(`"payload":"{\"at\":%d,\"n\":%d}"`, at, i)
		if i%10 == 9 {
			payload = `"payload_base64":"//4A"`
		}
		fmt.Fprintf(&b, `{"at":%d,"topic":"fleets/f/devices/d%d/telemetry","qos":%d,%s}`+"\n", at, i%2, i%2, payload)
	}
	return b.String()
}

func TestWhatIsPlayedIsWhatIsRecorded(t *testing.T) {
	broker := "mqtt://" + testbroker.Start(t)
	const n = 200
	file, recorded := record(t, broker, n+1, func() {
		out, err := Replay(t.Context(), ReplayOptions{Broker: Broker{Address: broker}, QoS: -1, Speed: 100, Connections: 4}, strings.NewReader(recording(n, 100)))
		if err != nil || out.Sent != n || out.Offered != n || out.Acked != n/2 || out.Puback.Count != n/2 || out.Recorded < 19 {
			t.Errorf("%+v, %v", out, err)
		}
		var text bytes.Buffer
		if err := out.WriteText(&text); err != nil || !strings.Contains(text.String(), "replayed 200 of 200") {
			t.Errorf("%v: %s", err, &text)
		}
	})
	if recorded.Messages != n+1 || recorded.Dropped != 0 || recorded.Bytes == 0 {
		t.Errorf("%+v", recorded)
	}
	seen, all := map[string]int{}, newLines(strings.NewReader(file))
	last := map[string]string{}
	for {
		l, err := all.next()
		if err == io.EOF { //nolint:errorlint // it is bare
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		payload, err := l.payload()
		if err != nil {
			t.Fatal(err)
		}
		seen[l.Topic]++
		if string(payload) == "\xff\xfe\x00" {
			seen["binary"]++
		} else {
			if n := string(payload[strings.Index(string(payload), `"n"`)+1:]); strings.HasPrefix(l.Topic, "fleets") && len(n) == len(last[l.Topic]) && n < last[l.Topic] {
				t.Errorf("%s: %s after %s", l.Topic, n, last[l.Topic])
			} else {
				last[l.Topic] = n
			}
		}
	}
	if seen["fleets/f/devices/d0/telemetry"] != n/2 || seen["fleets/f/devices/d1/telemetry"] != n/2 || seen["binary"] != n/10 {
		t.Errorf("%v", seen)
	}
}

func TestTopicsAreRenamedAndTimesMoved(t *testing.T) {
	broker := testbroker.Start(t)
	before := time.Now().UnixMilli()
	file, _ := record(t, broker, 3, func() {
		_, err := Replay(t.Context(), ReplayOptions{Broker: Broker{Address: broker}, QoS: 1, Speed: 1e6, Restamp: true, RenameFrom: "fleets/f/", RenameTo: "fleets/g/"}, strings.NewReader(recording(2, 3600_000)))
		if err != nil {
			t.Error(err)
		}
	})
	for line := range strings.Lines(strings.TrimSpace(file)) {
		l, err := parseLine([]byte(line))
		if err != nil || strings.HasPrefix(l.Topic, "$SYS") {
			continue
		}
		var at int64
		if _, err := fmt.Sscanf(l.Payload, `{"at":%d`, &at); err != nil || at < before || at > time.Now().UnixMilli() || !strings.HasPrefix(l.Topic, "fleets/g/") {
			t.Errorf("%+v, %v", l, err)
		}
	}
}

func TestARecordingIsPlayedInItsTime(t *testing.T) {
	broker := testbroker.Start(t)
	out, err := Replay(t.Context(), ReplayOptions{Broker: Broker{Address: broker}, QoS: 0, Speed: 10, MaxGap: 2 * time.Second}, strings.NewReader(recording(4, 60_000)))
	if err != nil || out.Seconds < 0.6 || out.Recorded != 180 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestWrongFilesAndAddressesAreRefused(t *testing.T) {
	broker := testbroker.Start(t)
	for _, wrong := range []string{
		"nonsense\n", `{"at":1}` + "\n", `{"topic":"a"}` + "\n", `{"at":1,"topic":"a","qos":3}` + "\n", `{"at":1,"topic":"a","payload_base64":"?"}` + "\n",
		strings.Repeat("x", maxLine+1),
	} {
		if _, err := Replay(t.Context(), ReplayOptions{Broker: Broker{Address: broker}}, strings.NewReader("\n"+wrong)); err == nil {
			t.Errorf("%.40q is played", wrong)
		}
	}
	nobody := Broker{Address: testbroker.FreeAddress(t)}
	if _, err := Replay(t.Context(), ReplayOptions{Broker: nobody}, strings.NewReader("")); err == nil {
		t.Error("nobody is played to")
	}
	if _, err := Record(t.Context(), RecordOptions{Broker: nobody}, io.Discard); err == nil {
		t.Error("nobody is recorded")
	}
	for _, o := range []ReplayOptions{{Speed: -1}, {Connections: MaxConnections + 1}} {
		if _, err := Replay(t.Context(), o, strings.NewReader("")); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func TestTimesAreMovedInTheFormInWhichTheyAre(t *testing.T) {
	for payload, want := range map[string]string{
		`{"at":1700000000123,"lat":1}`:                        `{"at":1700003600123,"lat":1}`,
		`{"_type":"location","tst":1700000000}`:               `{"_type":"location","tst":1700003600}`,
		`{"ts": 1700000000.5, "time":"2023-11-14T22:13:20Z"}`: `{"ts": 1700003600.5, "time":"2023-11-14T23:13:20Z"}`,
		`{"fixTime":"2023-11-14T22:13:20.450+0000"}`:          `{"fixTime":"2023-11-14T23:13:20.45Z"}`,
		`{"at":5,"status":"at 1700000000"}`:                   `{"at":5,"status":"at 1700000000"}`,
		`$GPRMC,120000.00,A`:                                  `$GPRMC,120000.00,A`,
		`{"count":1700000000}`:                                `{"count":1700000000}`,
	} {
		if got := string(restamp([]byte(payload), time.Hour)); got != want {
			t.Errorf("%s became %s, want %s", payload, got, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add(recording(1, 1))
	f.Add(`{"at":1,"topic":"a","payload_base64":"//4A"}`)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseLine([]byte(text))
		if err != nil {
			return
		}
		if payload, err := l.payload(); err == nil {
			restamp(payload, time.Hour)
		}
	})
}
