package bus

import (
	"context"
	"errors"
	"testing"
)

// heldLog admits and leaves the rest to the test.
type heldLog struct{ admitted []*Pending }

var errHeld = errors.New("held")

func (l *heldLog) Append(_ context.Context, p *Pending) error  { return l.hold(p) }
func (l *heldLog) Publish(_ context.Context, p *Pending) error { return l.hold(p) }

func (l *heldLog) hold(p *Pending) error {
	if err := p.Admit(); err != nil {
		return err
	}
	l.admitted = append(l.admitted, p)
	return errHeld
}

func newLogged(t *testing.T, o MemoryOptions) (*Memory, *heldLog) {
	t.Helper()
	log := new(heldLog)
	m, err := NewLogged(o, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m, log
}

func TestNothingIsSeenBeforeItIsApplied(t *testing.T) {
	m, log := newLogged(t, MemoryOptions{})
	l := own(t, m, 0)
	if err := m.Append(t.Context(), Append{Door: 1, Seq: 1, Entries: removals(t, 3)}); !errors.Is(err, errHeld) {
		t.Fatal(err)
	}
	if got := m.Stats().InletEntries; got != 0 {
		t.Fatalf("the inlet shows %d entries that are not kept yet", got)
	}
	log.admitted[0].Apply()
	if got, err := l.Read(t.Context(), 9); err != nil || len(got) != 3 || got[0].ID != log.admitted[0].Shares[0].First {
		t.Fatal(got, err)
	}
	f := Flush{Consumed: 3, Changes: []Change{{Device: device(t, "a"), Fleet: fleet(t, "north"), Frame: []byte("{}")}}}
	if _, err := l.Publish(t.Context(), &f); !errors.Is(err, errHeld) {
		t.Fatal(err)
	}
	if at := m.Position(0).Offset; at != 0 {
		t.Fatalf("the offset is %d before the flush is kept", at)
	}
	log.admitted[1].Apply()
	if at := m.Position(0); at != log.admitted[1].Position || at.Offset != 1 {
		t.Fatal(at)
	}
}

func TestWhatIsPendingHoldsItsPlaceUntilItIsDropped(t *testing.T) {
	m, log := newLogged(t, MemoryOptions{MaxInletEntries: 4})
	appendN := func(door DoorID, seq uint64, n int) error {
		return m.Append(t.Context(), Append{Door: door, Seq: seq, Entries: removals(t, n)})
	}
	for _, c := range []struct {
		door DoorID
		seq  uint64
		n    int
		want error
	}{
		{1, 1, 3, errHeld},
		{1, 1, 3, ErrPending}, // a repetition: what becomes of the first is not known yet
		{2, 1, 2, ErrInletFull},
		{3, 1, 1, errHeld},
	} {
		if err := appendN(c.door, c.seq, c.n); !errors.Is(err, c.want) {
			t.Fatalf("append of door %d: %v, want %v", c.door, err, c.want)
		}
	}
	log.admitted[0].Drop()
	log.admitted[1].Drop()
	if err := appendN(1, 1, 4); !errors.Is(err, errHeld) {
		t.Fatalf("what was dropped still takes place: %v", err)
	}
}

func TestAnImageHoldsAllOfAPartition(t *testing.T) {
	m := newMemory(t, MemoryOptions{MaxEvents: 2})
	l := own(t, m, 0)
	if err := m.Append(t.Context(), Append{Door: 7, Seq: 5, Entries: removals(t, 4)}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	north := fleet(t, "north")
	publish(t, l, Flush{Time: 1, Consumed: 2, Changes: []Change{
		{Device: device(t, "a"), Fleet: north, Frame: []byte("{}"), Record: []byte("ra")},
		{Device: device(t, "b"), Fleet: north, Record: []byte("rb")},
	}})
	for range 3 {
		publish(t, l, Flush{Time: 2, Events: []Event{{Name: "alert", Device: device(t, "a"), Fleet: north, Data: []byte("{}")}}})
	}
	other := newMemory(t, MemoryOptions{MaxEvents: 2})
	if err := other.Restore(m.Image(0)); err != nil {
		t.Fatal(err)
	}
	got, want := other.Image(0), m.Image(0)
	if len(want.Devices) != 2 || len(want.Events) != 2 || len(want.Inlet) != 2 || want.Floor.Events == 0 || len(want.Doors) != 1 {
		t.Fatalf("the image lacks something: %+v", want)
	}
	assertSameImage(t, got, want)
	// What was kept before is known for a repetition, and what was not consumed is read again.
	if err := other.Append(t.Context(), Append{Door: 7, Seq: 5, Entries: removals(t, 4)}); err != nil || other.Stats().AppendsRepeated != 1 {
		t.Fatal(err, other.Stats())
	}
	if again, err := own(t, other, 0).Read(t.Context(), 9); err != nil || len(again) != 2 || again[0].ID != 3 {
		t.Fatal(again, err)
	}
	image := m.Image(0)
	image.Last++
	if err := newMemory(t, MemoryOptions{}).Restore(image); err == nil {
		t.Fatal("an image with a hole in its inlet is taken")
	}
}

func assertSameImage(t *testing.T, got, want *Image) {
	t.Helper()
	if got.Position != want.Position || got.Floor != want.Floor || got.Consumed != want.Consumed || got.Last != want.Last ||
		got.LastTime != want.LastTime || got.Time != want.Time || len(got.Devices) != len(want.Devices) || len(got.Events) != len(want.Events) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
	for i := range want.Devices {
		g, w := &got.Devices[i], &want.Devices[i]
		if g.Device != w.Device || g.Offset != w.Offset || string(g.Record) != string(w.Record) || g.RemovedAt != w.RemovedAt {
			t.Fatalf("device %d: got %+v, want %+v", i, g, w)
		}
	}
}
