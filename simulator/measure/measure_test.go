package measure

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPercentilesOfSeveralHistograms(t *testing.T) {
	a, b := NewHistogram(), NewHistogram()
	for i := 1; i <= 500; i++ {
		a.Record(time.Duration(i) * time.Millisecond)
		b.RecordAll([]time.Duration{time.Duration(i+500) * time.Millisecond})
	}
	p := Sum(a, b)
	near := func(got, want float64) bool { return got > want*0.999 && got < want*1.001+1 }
	if p.Count != 1000 || !near(p.P50, 500) || !near(p.P99, 990) || !near(p.Max, 1000) || !near(p.Mean, 500.5) {
		t.Errorf("%+v", p)
	}
	a.Reset()
	if got := Sum(a); got.Count != 0 || got.P99 != 0 {
		t.Errorf("after a reset: %+v", got)
	}
}

func TestDurationsBeyondTheBoundsAreKept(t *testing.T) {
	h := NewHistogram()
	h.RecordAll([]time.Duration{-time.Second, time.Hour})
	if p := Sum(h); p.Count != 2 || p.Max < 599e3 {
		t.Errorf("%+v", p)
	}
}

func TestTheProbeSeesNothingLateInFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewProbe()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p.Run(ctx)
		h, err := p.Health()
		if err != nil || h.WakeUp.Count < 98 || h.WakeUp.Max != 0 {
			t.Errorf("%+v, %v", h, err)
		}
	})
}

func TestASickGeneratorSaysSo(t *testing.T) {
	for _, c := range []struct {
		h    Health
		want int
	}{
		{Health{Share: 0.2, WakeUp: Percentiles{P99: 1}}, 0},
		{Health{Share: 0.95, WakeUp: Percentiles{P99: 1}}, 1},
		{Health{Share: 0.95, WakeUp: Percentiles{P99: 50}}, 2},
	} {
		if got := c.h.judge(); len(got) != c.want {
			t.Errorf("%+v: %q", c.h, got)
		}
	}
}

func TestProgressInAFileIsLines(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b)
	p.Line("one")
	p.Line("two")
	p.Done()
	if b.String() != "one\ntwo\n" {
		t.Errorf("%q", b.String())
	}
	NewProgress(nil).Line("nobody reads this")
}

func TestProgressOnATerminalIsOneLine(t *testing.T) {
	var b bytes.Buffer
	p := &Progress{w: &b, tty: true}
	p.Line("longer")
	p.Line("short")
	p.Done()
	if b.String() != "\rlonger\rshort \n" {
		t.Errorf("%q", b.String())
	}
}

func TestWhatCameSinceTheLookBefore(t *testing.T) {
	h, s := NewHistogram(), Since{}
	h.Record(10 * time.Millisecond)
	if p := s.Look(h); p.Count != 1 {
		t.Errorf("%+v", p)
	}
	h.Record(50 * time.Millisecond)
	h.Record(50 * time.Millisecond)
	if p := s.Look(h); p.Count != 2 || p.P50 < 49 || p.Max > 51 {
		t.Errorf("%+v", p)
	}
	if p := s.Look(h); p.Count != 0 || p.P99 != 0 {
		t.Errorf("%+v", p)
	}
	h.Reset()
	h.Record(time.Second)
	if p := s.Look(h); p.Count != 1 || p.P50 < 900 {
		t.Errorf("after a reset: %+v", p)
	}
}

func TestACurveRises(t *testing.T) {
	h := NewHistogram()
	if len(h.Curve()) != 0 {
		t.Error("nothing has a curve")
	}
	for i := range 10_000 {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	points := h.Curve()
	for i := 1; i < len(points); i++ {
		if points[i].Quantile < points[i-1].Quantile || points[i].Value < points[i-1].Value {
			t.Errorf("%+v after %+v", points[i], points[i-1])
		}
	}
	if n := len(points); n < 20 || n > 200 || points[n-1].Quantile != 1 {
		t.Errorf("%d points", n)
	}
	var b bytes.Buffer
	if err := h.WriteHGRM(&b); err != nil || !bytes.Contains(b.Bytes(), []byte("1/(1-Percentile)")) {
		t.Errorf("%v: %s", err, &b)
	}
}

func TestAScreenIsWrittenAnewInItsPlace(t *testing.T) {
	var b bytes.Buffer
	s := &Screen{w: &b, tty: true, width: 6}
	s.Show([]string{"one", "two-long"})
	s.Show([]string{"three"})
	if want := "\x1b[2Kone\n\x1b[2Ktwo-l\n\x1b[2A\x1b[2Kthree\n\x1b[2K\n"; b.String() != want {
		t.Errorf("%q", b.String())
	}
	b.Reset()
	file := NewScreen(&b)
	file.Show([]string{"one", "two"})
	if b.String() != "one\n" || file.Every() != 5*time.Second {
		t.Errorf("%q", b.String())
	}
	NewScreen(nil).Show([]string{"nobody reads this"})
}

func TestALineOfTheLogStandsAboveTheBlock(t *testing.T) {
	var b bytes.Buffer
	s := &Screen{w: &b, tty: true, width: 80}
	s.Show([]string{"one", "two"})
	b.Reset()
	if n, err := NewScreen(s).Write([]byte("trouble\n")); n != 8 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	s.Show([]string{"three"})
	if want := "\x1b[2A\x1b[Jtrouble\n\x1b[2Kthree\n"; b.String() != want {
		t.Errorf("%q", b.String())
	}
	if n, err := NewScreen(nil).Write([]byte("nobody")); n != 6 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestALineThatIsTooLongIsFoldedBetweenItsFields(t *testing.T) {
	for line, want := range map[string][]string{
		"1s  devices 5  sent 3/s": {"1s  devices 5", foldIndent + "sent 3/s"},
		"  short":                 {"  short"}, "  one-field-that-is-longer": {"  one-field-that-is-longer"}, "": {""},
	} {
		if got := fold(line, 20); !slices.Equal(got, want) {
			t.Errorf("%q becomes %q", line, got)
		}
	}
}
