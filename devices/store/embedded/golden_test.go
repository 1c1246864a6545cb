package embedded

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/fleetcast/fleetcast/devices/store"
)

// golden is a file that the first release wrote. It is made by FLEETCAST_UPDATE=1 where there is none, and never again.
const golden = "testdata/format1.db"

// Every later release reads it, and sees the same.
func TestAFileOfTheFirstFormatIsRead(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(golden); errors.Is(err, os.ErrNotExist) && os.Getenv("FLEETCAST_UPDATE") != "" {
		makeGolden(t)
	}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if has, err := Restore(dir, bytes.NewReader(b)); err != nil || has.Revision != 3 || has.Records != 3 {
		t.Fatalf("%+v, %v", has, err)
	}
	s := openIn(t, dir)
	for id, want := range map[string]store.Record{
		"truck-17": {Kind: "device", ID: "truck-17", Revision: 2, Value: []byte(`{"id":"truck-17","fleet":"north"}`)},
		"truck-18": {Kind: "device", ID: "truck-18", Revision: 1, Value: []byte{0, 1, 2}},
	} {
		if r, err := s.Get(t.Context(), "device", id); err != nil || r.Revision != want.Revision || !bytes.Equal(r.Value, want.Value) {
			t.Errorf("%s is %+v, %v", id, r, err)
		}
	}
}

func makeGolden(t *testing.T) {
	t.Helper()
	s := openIn(t, t.TempDir())
	commitAll(t, s, op("truck-17", "first"), op("truck-18", "\x00\x01\x02"), op("gone", "x"))
	commitAll(t, s, op("truck-17", `{"id":"truck-17","fleet":"north"}`))
	commitAll(t, s, store.Op{Kind: "device", ID: "gone"}, store.Op{Kind: "fleet", ID: "north", Value: []byte(`{}`)})
	b, _ := backupOf(t, s)
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(golden, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
