package bus

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/fleetcast/fleetcast/devices/trace"
)

const traceHex = `4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7 01`

func goldenTrace(state string) *trace.Context {
	c, _ := trace.Parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", state)
	return &c
}

func TestTheBytesOfACommandThatIsTraced(t *testing.T) {
	row := CommandRow{ID: commandID(t), Device: device(t, "a"), Fleet: fleet(t, "b"), Data: []byte(`{}`), Trace: goldenTrace("")}
	b := AppendCommandRow(nil, &row)
	if want := unhex(t, `42 `+traceHex+`00 1a`+commandHex+`0161 0162 027b7d`); !bytes.Equal(b, want) {
		t.Errorf("a row is %x, want %x", b, want)
	}
	if got, err := DecodeCommandRow(b); err != nil || !reflect.DeepEqual(got, row) {
		t.Errorf("a row comes back as %+v, %v", got, err)
	}
}

func TestTheBytesOfABatchThatIsTraced(t *testing.T) {
	want := goldenBatch(t)
	want.Traces = []Traced{{Device: device(t, "a"), Fleet: fleet(t, "north"), Context: *goldenTrace("")}}
	bare := unhex(t, goldenBatchHex)
	golden := append(unhex(t, `23 01 0161 056e6f727468 `+traceHex+`00 01`), bare[1:]...)
	if got := AppendBatch(nil, &want); !bytes.Equal(got, golden) {
		t.Errorf("AppendBatch gives\n%x, want\n%x", got, golden)
	}
	got, err := DecodeBatch(golden)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("DecodeBatch = %+v, %v", got, err)
	}
	for n := range golden {
		if _, err := DecodeBatch(golden[:n]); err == nil {
			t.Errorf("%d of %d bytes decode", n, len(golden))
		}
	}
	for range MaxTraces {
		want.Traces = append(want.Traces, want.Traces[0])
	}
	if got, err := DecodeBatch(AppendBatch(nil, &want)); err != nil || len(got.Traces) != MaxTraces {
		t.Errorf("%d traces come through, %v", len(got.Traces), err)
	}
}
