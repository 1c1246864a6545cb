package watch

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

// full is the design's example.
const full = `{"id":"truck-17","fleet":"north","name":"Truck 17","status":"online","at":1795353543237,"received":1795353543301,` +
	`"lat":48.85833,"lon":2.29513,"altitude":167,"speed":16.9,"heading":271,"accuracy":5,"battery":67,"metrics":{"fuel":41.5,"seq":9}}`

func TestAnAssetIsScanned(t *testing.T) {
	u, err := scan([]byte(full))
	if err != nil || string(u.id) != "truck-17" || string(u.fleet) != "north" || u.at != 1795353543237 || u.received != 1795353543301 || !u.stamped {
		t.Errorf("%+v, %v", u, err)
	}
	if err := checkFully([]byte(full)); err != nil {
		t.Error(err)
	}
	u, err = scan([]byte(`{"received":5,"status":"unknown","x":[{"a":"}]"},2],"fleet":"f","id":"a\"b"}`))
	if err != nil || string(u.id) != `a\"b` || u.received != 5 || u.at != 0 || u.stamped {
		t.Errorf("another order: %+v, %v", u, err)
	}
}

func TestMalformedAssetsAreFound(t *testing.T) {
	for _, s := range []string{
		``, `{`, `{}`, `[]`, `null`, `{"id":"a"}`, full[:len(full)-2], full[:60], full + "x",
		`{"id":1,"fleet":"f","status":"online","received":1}`,
		`{"id":"","fleet":"f","status":"online","received":1}`,
		`{"id":"a","fleet":"f","status":"online","received":"1"}`,
		`{"id":"a","fleet":"f","status":"online","received":1.5}`,
		`{"id":"a","fleet":"f","status":"online","received":-1}`,
		`{"id":"a","fleet":"f","status":"online","received":99999999999999999999}`,
		`{"id":"a","fleet":"f","status":"online","received":}`,
		`{"id":"a" "fleet":"f","status":"online","received":1}`,
		`{"id":"a","fleet":"f","status":"online"}`,
		`{"id":"a","fleet":"f","received":1}`,
		`{id:"a","fleet":"f","status":"online","received":1}`,
	} {
		if u, err := scan([]byte(s)); err == nil {
			t.Errorf("%s was scanned as %+v", s, u)
		}
	}
	for _, s := range []string{
		`{`, `{"id":"a","status":"on"}`, `{"status":"online","lat":1}`, `{"status":"online","lat":91,"lon":0}`,
		`{"status":"online","at":2,"received":1}`, `{"status":"online","received":1,"speed":"5"}`, `{"status":"online","metrics":[]}`,
	} {
		if err := checkFully([]byte(s)); err == nil {
			t.Errorf("%s passed the full check", s)
		}
	}
}

func TestABatchIsCutIntoAssets(t *testing.T) {
	var got []string
	keep := func(b []byte) error { got = append(got, string(b)); return nil }
	if err := each([]byte("["+full+","+full+"]"), keep); err != nil || len(got) != 2 || got[1] != full {
		t.Errorf("%q, %v", got, err)
	}
	for _, s := range []string{``, `[`, `{}`, `[{"a":"]`, `[{]`, `[,]`} {
		if err := each([]byte(s), func([]byte) error { return nil }); err == nil {
			t.Errorf("%s is a batch", s)
		}
	}
	if err := each([]byte(`[]`), keep); err != nil || len(got) != 2 {
		t.Errorf("an empty batch: %v", err)
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte(full), "truck-17", "north", "name", int64(5), int64(7))
	f.Add([]byte(`{"id":"a\\","fleet":"f","status":"online","received":1}`), `a"b\`, "\u2028", `","received":"1`, int64(0), int64(1))
	f.Fuzz(func(t *testing.T, hostile []byte, id, fleet, name string, at, received int64) {
		_, _ = scan(hostile) // anything but a panic
		_ = each(hostile, func(b []byte) error { _, err := scan(b); return err })

		d, err1 := devices.ParseDeviceID(id)
		fl, err2 := devices.ParseFleetID(fleet)
		if err1 != nil || err2 != nil || at < 0 || received < 0 || at > 1<<53 || received > 1<<53 {
			return
		}
		a := devices.Asset{
			ID: d, Fleet: fl, Name: name, Status: devices.Online, At: at, Received: received,
			Metrics: []devices.Metric{{Name: name, Value: devices.TextValue(name)}, {Name: "seq", Value: devices.NumberValue(3)}},
		}
		frame := a.AppendJSON(nil)
		u, err := scan(frame)
		if err != nil || u.at != at || u.received != received || u.stamped != (at != 0) {
			t.Fatalf("%s: %+v, %v", frame, u, err)
		}
		var back string
		if err := json.Unmarshal([]byte(`"`+string(u.id)+`"`), &back); err != nil || back != id {
			t.Fatalf("id %q was scanned as %q, %v", id, u.id, err)
		}
	})
}

func TestScanningAllocatesNothing(t *testing.T) {
	b, ids := []byte(full), newInterner()
	ids.number([]byte("truck-17"))
	n := testing.AllocsPerRun(100, func() {
		u, err := scan(b)
		if err != nil || ids.number(u.id) != 0 {
			t.Error("not found")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNumbersOfTextsAreTheSameForAll(t *testing.T) {
	ids := newInterner()
	const texts, readers = 3000, 4
	var group sync.WaitGroup
	got := make([][]int32, readers)
	for r := range readers {
		group.Go(func() {
			for i := range texts {
				got[r] = append(got[r], ids.number(fmt.Appendf(nil, "device-%d", (i*7+r*1000)%texts)))
			}
		})
	}
	group.Wait()
	if ids.count() != texts || ids.find([]byte("nobody")) != -1 {
		t.Errorf("%d numbers", ids.count())
	}
	seen := map[int32]bool{}
	for r := range readers {
		for i, id := range got[r] {
			seen[id] = true
			if want := ids.find(fmt.Appendf(nil, "device-%d", (i*7+r*1000)%texts)); want != id {
				t.Fatalf("number %d became %d", id, want)
			}
		}
	}
	if len(seen) != texts {
		t.Errorf("%d different numbers", len(seen))
	}
}

func BenchmarkScan(b *testing.B) {
	message := []byte(full)
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		if _, err := scan(message); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckFully(b *testing.B) {
	message := []byte(full)
	for b.Loop() {
		if err := checkFully(message); err != nil {
			b.Fatal(err)
		}
	}
}
