package trace

import (
	"strings"
	"testing"
	"time"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestTraceparentsAreReadAsTheStandardSays(t *testing.T) {
	for text, want := range map[string]bool{
		parent:                                   true,
		strings.Replace(parent, "00-", "01-", 1): true, // a later version
		strings.Replace(parent, "00-", "01-", 1) + "-more": true,
		strings.Replace(parent, "00-", "01-", 1) + "more":  false,
		parent + "-more":                         false,
		strings.Replace(parent, "00-", "ff-", 1): false,
		strings.ToUpper(parent):                  false,
		parent[:54]:                              false,
		"":                                       false,
		strings.Replace(parent, "b34da6a3ce929d0e0e4736", "x", 1): false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": false,
		"00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01": false,
	} {
		c, ok := Parse(text, "a=b")
		if ok != want {
			t.Errorf("%q: %v", text, ok)
		}
		if ok && (c.String() != parent || !c.IsSampled() || c.State != "a=b") {
			t.Errorf("%q comes back as %s, state %q", text, c.String(), c.State)
		}
	}
	for _, state := range []string{strings.Repeat("x", MaxStateBytes+1), "a=\x00", "a=ü"} {
		if c, ok := Parse(parent, state); !ok || c.State != "" {
			t.Errorf("state %.20q is kept as %q", state, c.State)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(parent, "a=b")
	f.Add("01-"+parent[3:]+"-x", "")
	f.Fuzz(func(t *testing.T, text, state string) {
		c, ok := Parse(text, state)
		if !ok {
			return
		}
		if again, ok := Parse(c.String(), c.State); !ok || again != c {
			t.Errorf("%q comes back as %+v", text, again)
		}
	})
}

// nothing is a backend that keeps nothing.
type nothing struct{}

func (nothing) Start(string, Kind, *Context, time.Time, []Attr) Ongoing { return nothing{} }
func (nothing) Context() Context                                        { return Context{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Flags: 1} }
func (nothing) End(time.Time, string, []Attr)                           {}

func TestWhatIsTraced(t *testing.T) {
	unsampled := parent[:53] + "00"
	none, all := New(Options{Backend: nothing{}}), New(Options{Backend: nothing{}, Ratio: 1, PerSecond: 1 << 30})
	for _, c := range []struct {
		tracer       *Tracer
		parent       string
		traced, from bool
	}{
		{none, parent, true, true},
		{none, unsampled, false, false},
		{none, "", false, false},
		{none, "x", false, false},
		{all, parent, true, true},
		{all, unsampled, false, false},
		{all, "", true, false},
		{all, "x", true, false},
		{nil, parent, false, false},
	} {
		from, traced := c.tracer.Enter(c.parent, "")
		if traced != c.traced || from.IsZero() == c.from {
			t.Errorf("%q: %v, %s", c.parent, traced, from.String())
		}
	}
}

func TestWhoAsksForEachMessageIsBounded(t *testing.T) {
	tracer := New(Options{Backend: nothing{}, PerSecond: 3})
	for range 100 {
		tracer.Enter(parent, "")
	}
	s := tracer.Stats()
	if s.Entered < 3 || s.Entered > 6 || s.Entered+s.Limited != 100 { // the second may turn once
		t.Errorf("%+v", s)
	}
}

func TestTracingThatIsOffAllocatesNothing(t *testing.T) {
	var tracer *Tracer
	allocs := testing.AllocsPerRun(100, func() {
		from, traced := tracer.Enter(parent, "a=b")
		if traced {
			t.Error("it is traced")
		}
		_ = from
		s := tracer.Start("name", Consumer, nil, time.Time{})
		s.Context()
		s.End(time.Time{})
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkOff(b *testing.B) {
	var tracer *Tracer
	b.ReportAllocs()
	for b.Loop() {
		if _, traced := tracer.Enter(parent, ""); traced {
			b.Fatal("it is traced")
		}
	}
}
