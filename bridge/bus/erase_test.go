package bus

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

func TestTheBytesOfABatchThatErases(t *testing.T) {
	want := goldenBatch(t)
	want.Erased = []devices.DeviceID{device(t, "a"), device(t, "truck")}
	bare := unhex(t, goldenBatchHex)
	golden := append(unhex(t, `24 02 0161 05747275636b 01`), bare[1:]...)
	checkBatch(t, &want, golden)

	want.Traces = []Traced{{Device: device(t, "a"), Fleet: fleet(t, "north"), Context: *goldenTrace("")}}
	golden = append(unhex(t, `24 02 0161 05747275636b 03 01 0161 056e6f727468 `+traceHex+`00 01`), bare[1:]...)
	checkBatch(t, &want, golden)

	want.Erased = make([]devices.DeviceID, MaxErased)
	for i := range want.Erased {
		want.Erased[i] = device(t, "a")
	}
	if got, err := DecodeBatch(AppendBatch(nil, &want)); err != nil || len(got.Erased) != MaxErased {
		t.Errorf("%d erased come through, %v", len(got.Erased), err)
	}
	want.Erased = append(want.Erased, device(t, "a"))
	if _, err := DecodeBatch(AppendBatch(nil, &want)); err == nil {
		t.Error("more than may be erased decode")
	}
	if _, err := DecodeBatch(append(unhex(t, `24 00 01`), bare[1:]...)); err == nil {
		t.Error("a batch that says that it erases, and does not, decodes")
	}
}

func checkBatch(t *testing.T, want *Batch, golden []byte) {
	t.Helper()
	if got := AppendBatch(nil, want); !bytes.Equal(got, golden) {
		t.Errorf("AppendBatch gives\n%x, want\n%x", got, golden)
	}
	got, err := DecodeBatch(golden)
	if err != nil || !reflect.DeepEqual(got, *want) {
		t.Errorf("DecodeBatch = %+v, %v", got, err)
	}
	for n := range golden {
		if _, err := DecodeBatch(golden[:n]); err == nil {
			t.Errorf("%d of %d bytes decode", n, len(golden))
		}
	}
}
