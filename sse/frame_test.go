package sse

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	gosse "github.com/tmaxmax/go-sse"

	"github.com/fleetcast/fleetcast/sse/hub"
)

var twoFrames = [][]byte{[]byte(`{"id":"truck-17"}`), []byte(`{"id":"bus 4"}`)}

func TestPlainGivesEachAssetAMessageAndTheLastTheID(t *testing.T) {
	want := "data: {\"id\":\"truck-17\"}\n\n" +
		"data: {\"id\":\"bus 4\"}\nid: AbC-9_\n\n"
	if got := string(Plain.AppendAssets([]byte("x"), twoFrames, "AbC-9_")); got != "x"+want {
		t.Errorf("got %q", got)
	}
	want = "data: {\"id\":\"truck-17\"}\n\ndata: {\"id\":\"bus 4\"}\n\n"
	if got := string(Plain.AppendAssets(nil, twoFrames, "")); got != want {
		t.Errorf("without an id: %q", got)
	}
}

func TestBatchGivesOneMessageWithAnArray(t *testing.T) {
	want := "event: batch\ndata: [{\"id\":\"truck-17\"},{\"id\":\"bus 4\"}]\nid: AbC-9_\n\n"
	if got := string(Batch.AppendAssets([]byte("x"), twoFrames, "AbC-9_")); got != "x"+want {
		t.Errorf("got %q", got)
	}
	if got := string(Batch.AppendAssets(nil, twoFrames[:1], "")); got != "event: batch\ndata: [{\"id\":\"truck-17\"}]\n\n" {
		t.Errorf("one asset without an id: %q", got)
	}
}

func TestNamedEventsAreTheSameInBothFormats(t *testing.T) {
	for _, f := range []hub.Format{Plain, Batch} {
		got := string(f.AppendEvent([]byte("x"), "removed", []byte(`{"id":"a"}`), "p1"))
		if want := "xevent: removed\ndata: {\"id\":\"a\"}\nid: p1\n\n"; got != want {
			t.Errorf("%s: %q", f.Name(), got)
		}
		if got := string(f.AppendEvent(nil, "heartbeat", nil, "")); got != "event: heartbeat\ndata: {}\n\n" {
			t.Errorf("%s: an event without data: %q", f.Name(), got)
		}
	}
	if Plain.Name() == Batch.Name() {
		t.Error("the formats share their views")
	}
}

func TestAnIDAloneIsABlockThatDispatchesNothing(t *testing.T) {
	for _, f := range []hub.Format{Plain, Batch} {
		if got := string(f.AppendID([]byte("x"), "p1")); got != "xid: p1\n\n" {
			t.Errorf("%s: %q", f.Name(), got)
		}
		if got := string(f.AppendID(f.AppendID([]byte("x"), ""), "a\nb")); got != "x" {
			t.Errorf("%s: no id, or a bad one: %q", f.Name(), got)
		}
	}
}

func TestRetryIsDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		3412 * time.Millisecond: "retry: 3412\n\n", 0: "retry: 0\n\n", -time.Second: "retry: 0\n\n", 1500 * time.Microsecond: "retry: 1\n\n",
	} {
		if got := string(appendRetry(nil, d)); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
	for range 1000 {
		if d := jitter(minRetry, maxRetry); d < minRetry || d > maxRetry {
			t.Fatalf("jitter gives %v", d)
		}
	}
}

// Whatever stands in a value, a client dispatches as many events as were written, of the types that were meant.
func FuzzNobodyInjectsEvents(f *testing.F) {
	f.Add("{}", "id1", "ready")
	f.Add("{}\n\nevent: reset\ndata: {}\n\n", "a\nevent: reset", "x\n\ndata: y")
	f.Add("\r\rdata: x\r\r", "a\rb\x00", "\r\revent: alert\r\r")
	f.Add("\ufeff:\u2028\u0085", "\u2028", ":retry: 1")
	f.Fuzz(func(t *testing.T, data, id, name string) {
		for _, format := range []hub.Format{Plain, Batch} {
			wire := format.AppendAssets([]byte(":\n\n"), [][]byte{[]byte(data), []byte(data)}, id)
			assets := 2
			if format.Name() == Batch.Name() {
				assets = 1
			}
			wire = format.AppendEvent(wire, "n"+name, []byte(data), id)
			var got []gosse.Event
			for e, err := range gosse.Read(strings.NewReader(string(wire)), nil) {
				if err != nil {
					t.Fatalf("%s: a client cannot read %q: %v", format.Name(), wire, err)
				}
				got = append(got, e)
			}
			// The reference client drops a message without data, as a browser does.
			if len(got) > assets+1 || (data != "" && len(got) != assets+1) {
				t.Fatalf("%s: %d events of %q", format.Name(), len(got), wire)
			}
			for _, e := range got[:len(got)-1] {
				if e.Type != "" && e.Type != "batch" {
					t.Fatalf("%s: an asset became %q", format.Name(), e.Type)
				}
			}
			if last := got[len(got)-1]; !strings.HasPrefix(last.Type, "n") {
				t.Fatalf("%s: the event is of type %q", format.Name(), last.Type)
			}
		}
	})
}

func TestLineEndsInJSONBecomeSpacesWithTheSameMeaning(t *testing.T) {
	pretty := "{\r\n  \"id\": \"a\",\n\r \"n\": [1,\n2]\n}"
	for e, err := range gosse.Read(strings.NewReader(string(Plain.AppendAssets(nil, [][]byte{[]byte(pretty)}, ""))), nil) {
		var got struct {
			ID string
			N  []int
		}
		if err != nil || json.Unmarshal([]byte(e.Data), &got) != nil || got.ID != "a" || len(got.N) != 2 {
			t.Errorf("%q, %v", e.Data, err)
		}
	}
}

func TestFormattingAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 1<<10)
	for _, f := range []hub.Format{Plain, Batch} {
		if n := testing.AllocsPerRun(100, func() { buf = f.AppendAssets(buf[:0], twoFrames, "id") }); n != 0 {
			t.Errorf("%s allocates %v times", f.Name(), n)
		}
	}
}
