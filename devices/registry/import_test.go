package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

func importAll(t testing.TB, r *Registry, lines iter.Seq[Line], o ImportOptions) (map[int]Outcome, Summary) {
	t.Helper()
	out := map[int]Outcome{}
	sum, err := r.Import(t.Context(), lines, o, func(o Outcome) error {
		if _, twice := out[o.Line]; twice {
			t.Errorf("line %d is told twice", o.Line)
		}
		out[o.Line] = o
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, sum
}

const someCSV = "\ufeffid,fleet,name,messages_per_second,meta.plate,meta.vin\r\n" +
	"truck-1,north,\"Truck, the first\",5,AB 1,\r\n" +
	"truck-2,north\r\n" +
	"tr/uck,north,,,,\r\n" +
	"truck-3,,,,,\r\n" +
	"truck-4,north,,many,,\r\n" +
	"truck-1,north,,,,\r\n" +
	"truck-5,south,\"two\r\nlines\",,,\r\n" +
	"truck-6,south,,,\"x\",y\r\n"

func TestEachWrongRowOfAnImportIsNamedByItsLine(t *testing.T) {
	r := start(t, Options{})
	out, sum := importAll(t, r, ReadCSV(strings.NewReader(someCSV)), ImportOptions{})
	if sum != (Summary{Created: 2, Failed: 6}) {
		t.Errorf("%+v", sum)
	}
	for line, want := range map[int]string{
		2: "", 3: "line: has not as many fields as there are columns", 4: "device: holds '/', which no id may hold", 5: "fleet: is missing",
		6: "messages_per_second: is no whole number", 7: "id: stands in line 2 already", 8: "name: holds a control character", 10: "",
	} {
		if o, told := out[line]; !told || o.Error != want || (want == "") != (o.Token != "") {
			t.Errorf("line %d: %+v, want %q", line, o, want)
		}
	}
	d, _ := r.Device(deviceID(t, "truck-1"))
	if d == nil || d.Name != "Truck, the first" || d.Limits.Messages != 5 || fmt.Sprint(d.Metadata) != "map[plate:AB 1]" {
		t.Errorf("%+v", d)
	}
	if _, err := login(r, "truck-6", out[10].Token); err != nil {
		t.Error(err)
	}
}

func TestAnImportOfAllOrNothingWritesNothingWhereARowIsWrong(t *testing.T) {
	r := start(t, Options{})
	out, sum := importAll(t, r, ReadCSV(strings.NewReader(someCSV)), ImportOptions{All: true})
	if sum != (Summary{Failed: 6}) || len(out) != 6 || out[2].Line != 0 {
		t.Errorf("%+v %v", sum, out)
	}
	if n := r.Stats().Devices; n != 0 {
		t.Errorf("%d devices", n)
	}
	_, sum = importAll(t, r, ReadCSV(strings.NewReader("id,fleet\na,f\nb,f\n")), ImportOptions{All: true})
	if sum != (Summary{Created: 2}) {
		t.Errorf("%+v", sum)
	}
}

func TestAnImportMayUpdateAndThenChangesOnlyWhatDiffers(t *testing.T) {
	r := start(t, Options{})
	_, token := create(t, r, "a", "f")
	create(t, r, "b", "f")
	text := "id,fleet,name\na,f,A\nb,f,\nc,g,C\n"
	out, sum := importAll(t, r, ReadCSV(strings.NewReader(text)), ImportOptions{Update: true})
	if sum != (Summary{Created: 1, Updated: 1, Unchanged: 1}) || out[2].Token != "" || out[4].Token == "" {
		t.Errorf("%+v %v", sum, out)
	}
	if _, err := login(r, "a", token); err != nil {
		t.Errorf("an update took the token: %v", err)
	}
	_, sum = importAll(t, r, ReadCSV(strings.NewReader(text)), ImportOptions{Update: true})
	if sum != (Summary{Unchanged: 3}) {
		t.Errorf("again: %+v", sum)
	}
	_, sum = importAll(t, r, ReadCSV(strings.NewReader(text)), ImportOptions{})
	if sum != (Summary{Failed: 3}) {
		t.Errorf("without update: %+v", sum)
	}
}

func TestWhatARowLeavesEmptyStaysAsItIs(t *testing.T) {
	r := start(t, Options{})
	create(t, r, "a", "f")
	if _, err := r.UpdateDevice(t.Context(), deviceID(t, "a"), []byte(`{"name":"A","status":"disabled","metadata":{"k":"v"},"limits":{"burst_s":3}}`), 0); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"id,meta.l\na,w\n", "id,name,status,fleet\na,,,\n"} {
		importAll(t, r, ReadCSV(strings.NewReader(text)), ImportOptions{Update: true})
	}
	d, _ := r.Device(deviceID(t, "a"))
	if d.Name != "A" || d.Status != Disabled || d.Fleet.String() != "f" || d.Limits.Burst != 3 || fmt.Sprint(d.Metadata) != "map[k:v l:w]" {
		t.Errorf("%+v", d)
	}
}

func TestWhatIsExportedComesBackTheSame(t *testing.T) {
	from := start(t, Options{})
	_, token := create(t, from, "a", "f")
	if _, err := from.UpdateDevice(t.Context(), deviceID(t, "a"), []byte(`{"name":"=1+1, \"x\" </script>","metadata":{"k":"v","é":"ü"},"limits":{"burst_s":3}}`), 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := from.CreateDevice(t.Context(), Device{ID: deviceID(t, "b"), Fleet: fleetID(t, "g"), Status: Disabled}, Secret{None: true}); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"csv", "json"} {
		var text bytes.Buffer
		var err error
		to := start(t, Options{})
		var sum Summary
		if form == "csv" {
			err = from.ExportCSV(&text, Query{}, true)
			_, sum = importAll(t, to, ReadCSV(bytes.NewReader(text.Bytes())), ImportOptions{All: true})
		} else {
			err = from.ExportJSON(&text, Query{}, true)
			_, sum = importAll(t, to, ReadJSON(bytes.NewReader(text.Bytes())), ImportOptions{All: true})
		}
		if err != nil || sum != (Summary{Created: 2}) {
			t.Fatalf("%s: %+v %v\n%s", form, sum, err, text.String())
		}
		for _, id := range []string{"a", "b"} {
			was, _ := from.Device(deviceID(t, id))
			is, ok := to.Device(deviceID(t, id))
			if !ok || !is.equal(was) {
				t.Errorf("%s: %+v became %+v", form, was, is)
			}
		}
		if _, err := login(to, "a", token); err != nil {
			t.Errorf("%s: %v", form, err)
		}
		text.Reset()
		if err := from.ExportCSV(&text, Query{}, false); err != nil || strings.Contains(text.String(), "sha256") {
			t.Errorf("%v: %s", err, text.String())
		}
	}
	var empty bytes.Buffer
	if err := start(t, Options{}).ExportJSON(&empty, Query{}, false); err != nil || strings.TrimSpace(empty.String()) != "[]" {
		t.Errorf("%v %q", err, empty.String())
	}
}

func TestRowsOfJSONComeAsAnArrayOrOneAfterTheOther(t *testing.T) {
	for _, text := range []string{
		"\n[\n{\"id\":\"a\",\"fleet\":\"f\"},\n{\"id\":\"b\",\"fleet\":\"f\",\n\"nam\":1},\n{\"id\":\"c\",\"fleet\":\"f\"}]",
		"\n\n{\"id\":\"a\",\"fleet\":\"f\"}\n{\"id\":\"b\",\"fleet\":\"f\",\n\"nam\":1}\n{\"id\":\"c\",\"fleet\":\"f\"}\n",
	} {
		out, sum := importAll(t, start(t, Options{}), ReadJSON(strings.NewReader(text)), ImportOptions{})
		if sum != (Summary{Created: 2, Failed: 1}) || out[3].ID != "a" || out[4].Error != "nam: is no member of this" || out[6].ID != "c" {
			t.Errorf("%q: %+v %v", text, sum, out)
		}
	}
}

func TestTensOfThousandsOfRowsAreImportedInPieces(t *testing.T) {
	const n = 20_000
	var text strings.Builder
	text.WriteString("id,fleet\n")
	for i := range n {
		fmt.Fprintf(&text, "d%d,f%d\n", i*7919%n, i%10)
	}
	r := start(t, Options{})
	out, sum := importAll(t, r, ReadCSV(strings.NewReader(text.String())), ImportOptions{})
	if sum != (Summary{Created: n}) || len(out) != n || r.Stats().Devices != n {
		t.Fatalf("%+v, %d told, %+v", sum, len(out), r.Stats())
	}
	page, _ := r.Devices(Query{Limit: 3})
	if page[0].ID.String() != "d0" || page[1].ID.String() != "d1" || page[2].ID.String() != "d10" {
		t.Errorf("%v", page)
	}
}

func FuzzRows(f *testing.F) {
	f.Add(someCSV, true)
	f.Add("id,id\n", true)
	f.Add("\"", true)
	f.Add(`[{"id":"a","fleet":"f"},{}]`, false)
	f.Add(`{"id":"a"}{`, false)
	f.Add(`[[[[`, false)
	f.Fuzz(func(t *testing.T, text string, isCSV bool) {
		lines := ReadJSON(strings.NewReader(text))
		if isCSV {
			lines = ReadCSV(strings.NewReader(text))
		}
		ended, last := false, 0
		for line := range lines {
			if ended || line.Number < max(1, last) || line.Number > strings.Count(text, "\n")+1 {
				t.Fatalf("line %d after %d, ended %v", line.Number, last, ended)
			}
			ended, last = line.Ends, line.Number
			if line.Err != nil && devices.KindOf(line.Err) == devices.Internal {
				t.Fatalf("an error that says nothing: %v", line.Err)
			}
			if _, err := json.Marshal(line.Row); err != nil {
				t.Fatal(err)
			}
		}
	})
}
