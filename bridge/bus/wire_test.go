package bus

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type goldenEntry struct {
	name  string
	entry Entry
	hex   string
}

func goldenEntries(t testing.TB) []goldenEntry {
	truck, north := device(t, "truck-17"), fleet(t, "north")
	return []goldenEntry{
		{"a full reading", Entry{Device: truck, Fleet: north, Kind: KindReading, Reading: &devices.Reading{
			Measures: devices.Measures{
				Has: devices.FieldPosition | devices.FieldAltitude | devices.FieldSpeed | devices.FieldHeading |
					devices.FieldAccuracy | devices.FieldBattery | devices.FieldSatellites,
				Lat: 48.85833, Lon: 2.29513, Altitude: 167, Speed: 16.9, Heading: 271, Accuracy: 5, Battery: 67,
			},
			At: 1795353543237, Satellites: 9,
			Metrics: []devices.Metric{
				{Name: "fuel", Value: devices.NumberValue(41.5)},
				{Name: "gear", Value: devices.TextValue("D")},
				{Name: "on", Value: devices.BoolValue(true)},
				{Name: "old", Value: devices.Value{}},
			},
		}}, `11 01 08747275636b2d3137 056e6f727468
			7f 00 8a89c8b6c068
			7d96e7c1dd6d4840 3f8c101e6d5c0240
			0000000000e06440 6666666666e63040 0000000000f07040
			0000000000001440 0000000000c05040
			12 04 046675656c 01 0000000000c04440
			0467656172 02 0144 026f6e 03 01 036f6c64 00`},
		{"a bare reading that clears", Entry{Device: truck, Fleet: north, Kind: KindReading, Reading: &devices.Reading{
			Cleared: devices.FieldSpeed | devices.FieldBattery,
		}}, `11 01 08747275636b2d3137 056e6f727468 00 24 00 00`},
		{"a reading with marks", Entry{Device: truck, Fleet: north, Kind: KindReading, Reading: &devices.Reading{
			Cleared: devices.FieldSpeed, Key: 0x1122334455667788, Historical: true,
		}}, `12 01 08747275636b2d3137 056e6f727468 03 8877665544332211 00 04 00 00`},
		{"a historical reading", Entry{Device: truck, Fleet: north, Kind: KindReading, Reading: &devices.Reading{
			Cleared: devices.FieldSpeed, Historical: true,
		}}, `12 01 08747275636b2d3137 056e6f727468 02 00 04 00 00`},
		{"a reading that a broker had kept", Entry{Device: truck, Fleet: north, Kind: KindReading, Reading: &devices.Reading{
			Cleared: devices.FieldSpeed, Retained: true,
		}}, `12 01 08747275636b2d3137 056e6f727468 04 00 04 00 00`},
		{"a connection", Entry{Device: truck, Fleet: north, Kind: KindConnection, Connection: Connection{
			Door: 0x1122334455667788, Conn: 300, Up: true,
		}}, `11 02 08747275636b2d3137 056e6f727468 8877665544332211 ac02 01`},
		{"a status", Entry{Device: truck, Fleet: north, Kind: KindStatus, Status: StatusReport{
			Status: devices.Offline, Retained: true,
		}}, `11 03 08747275636b2d3137 056e6f727468 01 01`},
		{"an acknowledgement", Entry{Device: truck, Fleet: north, Kind: KindAcknowledgement, Acknowledgement: &Acknowledgement{
			Alert: "a1", By: "ann", Text: "seen",
		}}, `11 07 08747275636b2d3137 056e6f727468 026131 03616e6e 047365656e`},
		{"a removal", Entry{Device: truck, Fleet: north, Kind: KindRemoval}, `11 04 08747275636b2d3137 056e6f727468`},
		{"a command", Entry{Device: truck, Fleet: north, Kind: KindCommand, Command: &CommandOrder{
			ID: commandID(t), Name: "go", Params: []byte(`{}`), At: 3, TTL: 60_000, By: "ann",
		}}, `11 05 08747275636b2d3137 056e6f727468 1a` + commandHex + `02676f 027b7d 06 c0a907 03616e6e`},
		{"an answer", Entry{Device: truck, Fleet: north, Kind: KindCommandState, Report: &CommandReport{
			ID: commandID(t), State: devices.CommandFailed, Result: []byte(`7`), Error: "no", Unconfirmed: true,
		}}, `11 06 08747275636b2d3137 056e6f727468 1a` + commandHex + `05 01 0137 026e6f`},
		{"a reading that is traced", Entry{Device: truck, Fleet: north, Kind: KindReading, Trace: goldenTrace("a=b"), Reading: &devices.Reading{
			Cleared: devices.FieldSpeed, Historical: true,
		}}, `13 ` + traceHex + `03613d62 02 01 08747275636b2d3137 056e6f727468 02 00 04 00 00`},
		{"a removal that is traced", Entry{Device: truck, Fleet: north, Kind: KindRemoval, Trace: goldenTrace("")}, `13 ` + traceHex + `00
			01 04 08747275636b2d3137 056e6f727468`},
	}
}

// commandHex is the id of the golden commands.
const commandHex = `3030303030303030303030303030303030303030303030303076`

func commandID(t testing.TB) devices.CommandID {
	t.Helper()
	id, err := devices.ParseCommandID("0000000000000000000000000v")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestTheBytesOfACommand(t *testing.T) {
	row := CommandRow{ID: commandID(t), Device: device(t, "a"), Fleet: fleet(t, "b"), Data: []byte(`{}`)}
	b := AppendCommandRow(nil, &row)
	if want := unhex(t, `41 1a`+commandHex+`0161 0162 027b7d`); !bytes.Equal(b, want) {
		t.Errorf("a row is %x, want %x", b, want)
	}
	if got, err := DecodeCommandRow(b); err != nil || !reflect.DeepEqual(got, row) {
		t.Errorf("a row comes back as %+v, %v", got, err)
	}
	for n := range b {
		if _, err := DecodeCommandRow(b[:n]); err == nil {
			t.Errorf("%d of %d bytes decode", n, len(b))
		}
	}
}

// The bytes stand in inlets and stores of others: a test that fails here says that a new version is needed.
func TestBytesOfAnEntryNeverChange(t *testing.T) {
	for _, g := range goldenEntries(t) {
		t.Run(g.name, func(t *testing.T) {
			want := unhex(t, g.hex)
			if got := AppendEntry([]byte("before"), &g.entry); string(got[:6]) != "before" || !bytes.Equal(got[6:], want) {
				t.Errorf("AppendEntry gives\n%x, want\n%x", got[6:], want)
			}
			got, err := DecodeEntry(want)
			if err != nil || !reflect.DeepEqual(got, g.entry) {
				t.Errorf("DecodeEntry = %+v, %v", got, err)
			}
		})
	}
}

func goldenBatch(t testing.TB) Batch {
	north, south := fleet(t, "north"), fleet(t, "south")
	return Batch{
		Partition: 2, Position: Position{Epoch: 0x0102030405060708, Offset: 515}, Time: 1795353543301, LagMS: 12,
		Floor: Floor{Tombstones: 7, Events: 300},
		Changes: []Change{
			{Device: device(t, "a"), Fleet: north, Frame: []byte(`{"id":"a"}`), HasPosition: true, Lat: 1.5, Lon: -2},
			{Device: device(t, "b"), Fleet: north},
			{Device: device(t, "b"), Fleet: south, Frame: []byte(`{}`)},
		},
		Events: []Event{{Name: "alert", Device: device(t, "a"), Fleet: north, Data: []byte(`{"id":1}`)}},
	}
}

const goldenBatchHex = `21 02 0807060504030201 8304 8a8ac8b6c068 18 07 ac02
	03
	02 0161 056e6f727468 000000000000f83f 00000000000000c0 0a 7b226964223a2261227d
	05 0162
	00 0162 05736f757468 02 7b7d
	01
	05616c657274 0161 056e6f727468 08 7b226964223a317d`

// goldenNotedHex is of the version that has notes.
const goldenNotedHex = `22 02 0807060504030201 8304 8a8ac8b6c068 18 07 ac02
	01
	08 0162 05736f757468 02 7b7d 01 05616c657274 026131 0a 02 7b7d
	00`

func TestBytesOfABatchNeverChange(t *testing.T) {
	b, want := goldenBatch(t), unhex(t, goldenBatchHex)
	if got := AppendBatch(nil, &b); !bytes.Equal(got, want) {
		t.Errorf("AppendBatch gives\n%x, want\n%x", got, want)
	}
	if got, err := DecodeBatch(want); err != nil || !reflect.DeepEqual(got, b) {
		t.Errorf("DecodeBatch = %+v, %v", got, err)
	}
	noted, want2 := goldenBatch(t), unhex(t, goldenNotedHex)
	noted.Changes = noted.Changes[2:]
	noted.Changes[0].Notes = []Note{{Name: "alert", ID: "a1", At: 5, Data: []byte("{}")}}
	noted.Events = nil
	if got := AppendBatch(nil, &noted); !bytes.Equal(got, want2) {
		t.Errorf("AppendBatch gives\n%x, want\n%x", got, want2)
	}
	if got, err := DecodeBatch(want2); err != nil || !reflect.DeepEqual(got, noted) {
		t.Errorf("DecodeBatch = %+v, %v", got, err)
	}
	b.Changes[0].Record = []byte("the owner's")
	if got := AppendBatch(nil, &b); !bytes.Equal(got, want) {
		t.Error("a record is in the bytes of a batch")
	}
	beat := Batch{Position: Position{Epoch: 1, Offset: 2}, LagMS: 3}
	if got, err := DecodeBatch(AppendBatch(nil, &beat)); err != nil || !reflect.DeepEqual(got, beat) {
		t.Errorf("a beat comes back as %+v, %v", got, err)
	}
}

func TestBytesOfAVersionedChangeNeverChange(t *testing.T) {
	v := Versioned{Offset: 515, Change: goldenBatch(t).Changes[0]}
	want := unhex(t, `31 8304 02 0161 056e6f727468 000000000000f83f 00000000000000c0 0a 7b226964223a2261227d`)
	if got := AppendVersioned(nil, &v); !bytes.Equal(got, want) {
		t.Errorf("AppendVersioned gives\n%x, want\n%x", got, want)
	}
	if got, err := DecodeVersioned(want); err != nil || !reflect.DeepEqual(got, v) {
		t.Errorf("DecodeVersioned = %+v, %v", got, err)
	}
}

func TestDecodersRefuseWhatTheyDoNotKnow(t *testing.T) {
	removal := `04 08747275636b2d3137 056e6f727468`
	decodeEntry := func(b []byte) error { _, err := DecodeEntry(b); return err }
	decodeBatch := func(b []byte) error { _, err := DecodeBatch(b); return err }
	decodeVersioned := func(b []byte) error { _, err := DecodeVersioned(b); return err }
	batch := `21 00 0000000000000000 00 00 00 00 00`
	for _, c := range []struct {
		name   string
		decode func([]byte) error
		hex    string
		want   error
	}{
		{"nothing", decodeEntry, ``, ErrWireMalformed},
		{"a later version", decodeEntry, `14` + removal, ErrWireVersion},
		{"marks on what is no reading", decodeEntry, `12` + removal, ErrWireMalformed},
		{"no marks where they are announced", decodeEntry, `12 01 0161 0162 00 00 00 00 00`, ErrWireMalformed},
		{"unknown marks", decodeEntry, `12 01 0161 0162 08 00 00 00 00`, ErrWireMalformed},
		{"a key of nothing", decodeEntry, `12 01 0161 0162 01 0000000000000000 00 00 00 00`, ErrWireMalformed},
		{"a batch as an entry", decodeEntry, `21` + removal, ErrWireMalformed},
		{"a kind of the future", decodeEntry, `11 60 0161 0162`, ErrWireKind},
		{"trailing bytes", decodeEntry, `11` + removal + `00`, ErrWireMalformed},
		{"a device with a slash", decodeEntry, `11 04 03612f62 0162`, ErrWireMalformed},
		{"an empty fleet", decodeEntry, `11 04 0161 00`, ErrWireMalformed},
		{"an id that is too long", decodeEntry, `11 04 8101` + strings.Repeat("61", 129) + `0162`, ErrWireMalformed},
		{"a length beyond the end", decodeEntry, `11 04 05 61`, ErrWireMalformed},
		{"a length of 2^64-1", decodeEntry, `11 04 ffffffffffffffffff01 61`, ErrWireMalformed},
		{"a number of more than 64 bits", decodeEntry, `11 04 ffffffffffffffffffff01 61`, ErrWireMalformed},
		{"an unknown member", decodeEntry, `11 01 0161 0162 8001 00 00 00`, ErrWireMalformed},
		{"a bool of 2", decodeEntry, `11 02 0161 0162 0000000000000000 00 02`, ErrWireMalformed},
		{"a status that is none", decodeEntry, `11 03 0161 0162 00 00`, ErrWireMalformed},
		{"a value of unknown kind", decodeEntry, `11 01 0161 0162 00 00 00 01 0178 04`, ErrWireMalformed},
		{"too many metrics", decodeEntry, `11 01 0161 0162 00 00 00 8102` + strings.Repeat("0000", 257), ErrWireMalformed},
		{"a metric's name that is too long", decodeEntry, `11 01 0161 0162 00 00 00 01 41` + strings.Repeat("61", 65) + `00`, ErrWireMalformed},
		{"a later batch", decodeBatch, `25`, ErrWireVersion},
		{"a partition beyond all", decodeBatch, `21 8008 0000000000000000 00 00 00 00 00 00 00`, ErrWireMalformed},
		{"more changes than bytes", decodeBatch, batch + `02 01 0161 00`, ErrWireMalformed},
		{"a first change that has the fleet of the one before", decodeBatch, batch + `01 05 0161 00`, ErrWireMalformed},
		{"unknown flags of a change", decodeBatch, batch + `01 09 0161 0162 00`, ErrWireMalformed},
		{"an empty frame", decodeBatch, batch + `01 00 0161 0162 00 00`, ErrWireMalformed},
		{"a frame above the limit", decodeBatch, batch + `01 00 0161 0162 8120` + strings.Repeat("61", 4097) + `00`, ErrWireMalformed},
		{"an event whose name has two lines", decodeBatch, batch + `00 01 03610a62 0161 0162 00`, ErrWireMalformed},
		{"an event with too much data", decodeBatch, batch + `00 01 0161 0161 0162 818001` + strings.Repeat("61", 16385), ErrWireMalformed},
		{"notes in a version without", decodeBatch, batch + `01 08 0161 0162 02 7b7d 01 0161 0161 00 017b 00`, ErrWireMalformed},
		{"no notes where they are announced", decodeBatch, `22` + batch[2:] + `01 08 0161 0162 02 7b7d 00 00`, ErrWireMalformed},
		{"notes of a removed device", decodeBatch, `22` + batch[2:] + `01 09 0161 0162 01 0161 0161 00 017b 00`, ErrWireMalformed},
		{"an acknowledgement of nothing", decodeEntry, `11 07 0161 0162 00 00 00`, ErrWireMalformed},
		{"a cut batch", decodeBatch, `21 00 00000000`, ErrWireMalformed},
		{"a cut versioned change", decodeVersioned, `31 00 00`, ErrWireMalformed},
		{"a later versioned change", decodeVersioned, `33 00 00`, ErrWireVersion},
	} {
		if err := c.decode(unhex(t, c.hex)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestEveryCutOfGoodBytesIsRefused(t *testing.T) {
	for _, g := range goldenEntries(t) {
		b := AppendEntry(nil, &g.entry)
		for n := range b {
			if _, err := DecodeEntry(b[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes decode", g.name, n, len(b))
			}
		}
	}
	batch := goldenBatch(t)
	b := AppendBatch(nil, &batch)
	for n := range b {
		if _, err := DecodeBatch(b[:n]); err == nil {
			t.Errorf("%d of %d bytes of a batch decode", n, len(b))
		}
	}
}

func TestDecodedThingsShareNoMemoryWithTheBytes(t *testing.T) {
	want := goldenBatch(t)
	b := AppendBatch(nil, &want)
	got, err := DecodeBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the batch changed with the bytes: %+v", got)
	}
	for _, g := range goldenEntries(t) {
		b := AppendEntry(nil, &g.entry)
		e, err := DecodeEntry(b)
		clear(b)
		if err != nil || !reflect.DeepEqual(e, g.entry) {
			t.Errorf("%s changed with the bytes: %+v, %v", g.name, e, err)
		}
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	buf, e, batch := make([]byte, 0, 4096), goldenEntries(t)[0].entry, goldenBatch(t)
	if n := testing.AllocsPerRun(100, func() { buf = AppendBatch(AppendEntry(buf[:0], &e), &batch) }); n != 0 {
		t.Errorf("encoding allocates %v times", n)
	}
}

// FuzzWireDecode gives arbitrary bytes to the decoders: what they take must pass the checks of the way in and be stable.
func FuzzWireDecode(f *testing.F) {
	for _, g := range goldenEntries(f) {
		f.Add(AppendEntry(nil, &g.entry))
	}
	batch := goldenBatch(f)
	f.Add(AppendBatch(nil, &batch))
	f.Add(AppendVersioned(nil, &Versioned{Change: batch.Changes[0], Offset: 9}))
	batch.Changes[0].Notes = []Note{{Name: "alert", ID: "a1", At: 5, Data: []byte("{}")}}
	f.Add(AppendBatch(nil, &batch))
	f.Add([]byte{})
	f.Add([]byte{0x12, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := DecodeEntry(b); err == nil {
			if err := e.Check(); err != nil {
				t.Fatalf("a decoded entry fails its check: %v", err)
			}
			first := AppendEntry(nil, &e)
			again, err := DecodeEntry(first)
			if err != nil || !bytes.Equal(AppendEntry(nil, &again), first) {
				t.Fatalf("entry is not stable: %x, %v", first, err)
			}
		}
		if v, err := DecodeBatch(b); err == nil {
			first := AppendBatch(nil, &v)
			again, err := DecodeBatch(first)
			if err != nil || !bytes.Equal(AppendBatch(nil, &again), first) {
				t.Fatalf("batch is not stable: %x, %v", first, err)
			}
		}
		if v, err := DecodeVersioned(b); err == nil {
			first := AppendVersioned(nil, &v)
			again, err := DecodeVersioned(first)
			if err != nil || !bytes.Equal(AppendVersioned(nil, &again), first) {
				t.Fatalf("versioned change is not stable: %x, %v", first, err)
			}
		}
	})
}

// FuzzEntryRoundTrip builds entries from parts: every one that passes the check comes back as it was.
func FuzzEntryRoundTrip(f *testing.F) {
	f.Add("truck-17", "north", uint8(1), uint16(0x7f), uint16(0), int64(1795353543237), 48.85833, "fuel", "D", uint8(2), 9)
	f.Add("d", "f", uint8(1), uint16(3), uint16(0x20), int64(-1), math.Copysign(0, -1), "", "", uint8(0), -1)
	f.Add("d", "f", uint8(3), uint16(0), uint16(0), int64(2), 1.0, "", "", uint8(1), 0)
	f.Fuzz(func(t *testing.T, d, fl string, kind uint8, has, cleared uint16, at int64, n float64, name, text string, valueKind uint8, k int) {
		dev, err := devices.ParseDeviceID(d)
		if err != nil || math.IsNaN(n) {
			return
		}
		flt, err := devices.ParseFleetID(fl)
		if err != nil {
			return
		}
		e := Entry{Device: dev, Fleet: flt, Kind: EntryKind(kind)}
		switch e.Kind {
		case KindReading:
			r := &devices.Reading{At: at, Cleared: devices.Fields(cleared)}
			r.Has = devices.Fields(has)
			for i, m := range measuresOf(&r.Measures) {
				if r.Has.Has(m.field) {
					*m.value = n + float64(i)
				}
			}
			if r.Has.Has(devices.FieldSatellites) {
				r.Satellites = k
			}
			v := devices.Value{Kind: devices.ValueKind(valueKind)}
			switch v.Kind {
			case devices.Number:
				v.Num = n
			case devices.Text:
				v.Text = text
			case devices.Bool:
				v = devices.BoolValue(k > 0)
			case devices.Null:
			}
			r.Metrics = []devices.Metric{{Name: name, Value: v}, {Name: text, Value: devices.NumberValue(n)}}
			e.Reading = r
		case KindConnection:
			e.Connection = Connection{Door: DoorID(at), Conn: uint64(k), Up: has > 0}
		case KindStatus:
			e.Status = StatusReport{Status: devices.Status(valueKind), Retained: has > 0, Will: has > 1}
		case KindAcknowledgement:
			e.Acknowledgement = &Acknowledgement{Alert: name, By: text, Text: d}
		case KindCommand:
			e.Command = &CommandOrder{ID: devices.CommandIDFor(name, text, e.Device), Name: name, Params: []byte(text), At: at, TTL: int64(k), By: text}
		case KindCommandState:
			e.Report = &CommandReport{ID: devices.CommandIDFor(name, text, e.Device), State: devices.CommandState(valueKind), Result: []byte(text), Error: name, Unconfirmed: has > 0}
		case KindRemoval, KindErasure:
		}
		if e.Check() != nil {
			return
		}
		got, err := DecodeEntry(AppendEntry(nil, &e))
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("%+v comes back as %+v, %v", e, got, err)
		}
	})
}

// FuzzBatchRoundTrip does the same for batches.
func FuzzBatchRoundTrip(f *testing.F) {
	f.Add("a", "north", "b", "south", []byte(`{"id":"a"}`), 1.5, true, "alert", []byte(`{}`), uint64(9), int64(-3), uint16(2))
	f.Fuzz(func(t *testing.T, d1, f1, d2, f2 string, frame []byte, n float64, place bool, name string, data []byte, offset uint64, at int64, p uint16) {
		id := func(d, fl string) (devices.DeviceID, devices.FleetID, bool) {
			dev, err1 := devices.ParseDeviceID(d)
			flt, err2 := devices.ParseFleetID(fl)
			return dev, flt, err1 == nil && err2 == nil
		}
		a, north, ok1 := id(d1, f1)
		b, south, ok2 := id(d2, f2)
		if !ok1 || !ok2 || math.IsNaN(n) || int(p) >= MaxPartitions {
			return
		}
		want := Batch{
			Partition: int(p), Position: Position{Epoch: Epoch(offset * 3), Offset: offset}, Time: at, LagMS: at / 2,
			Floor:   Floor{Tombstones: offset / 2, Events: offset / 3},
			Changes: []Change{{Device: a, Fleet: north}, {Device: b, Fleet: north}, {Device: b, Fleet: south}},
			Events:  []Event{{Name: name, Device: a, Fleet: south, Data: append([]byte(nil), data...)}},
		}
		want.Changes[1].Frame = append([]byte(nil), frame...)
		if place {
			want.Changes[1].HasPosition, want.Changes[1].Lat, want.Changes[1].Lon = true, n, -n
		}
		for i := range want.Changes {
			if CheckChange(&want.Changes[i]) != nil {
				return
			}
		}
		if CheckEvent(&want.Events[0]) != nil {
			return
		}
		got, err := DecodeBatch(AppendBatch(nil, &want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v comes back as %+v, %v", want, got, err)
		}
	})
}
