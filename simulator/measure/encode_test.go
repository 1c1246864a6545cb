package measure

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latency is spread over all that a histogram holds, and beyond.
func latency(r *rand.Rand) time.Duration {
	return time.Duration(r.ExpFloat64() * float64(time.Microsecond) * float64(int64(1)<<r.IntN(31)))
}

func TestPartsOfAStreamMakeTheHistogramOfTheWhole(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0))
		whole, parts := NewHistogram(), make([]*Histogram, 1+r.IntN(9))
		for i := range parts {
			parts[i] = NewHistogram()
		}
		for range r.IntN(20_000) {
			d := latency(r)
			whole.Record(d)
			parts[r.IntN(len(parts))].Record(d)
		}
		for i := range parts {
			text, err := parts[i].Encode()
			if err != nil {
				t.Fatal(err)
			}
			if parts[i], err = Decode(text); err != nil {
				t.Fatal(err)
			}
		}
		merged := Merge(parts...)
		if got, want := Sum(merged), Sum(whole); got != want {
			t.Errorf("seed %d: %d parts give %+v, the whole %+v", seed, len(parts), got, want)
		}
		if !merged.h.Equals(whole.h) {
			t.Errorf("seed %d: the counts of %d parts are not those of the whole", seed, len(parts))
		}
		var a, b bytes.Buffer
		if merged.WriteHGRM(&a) != nil || whole.WriteHGRM(&b) != nil || a.String() != b.String() {
			t.Errorf("seed %d: the percentile files differ", seed)
		}
	}
}

// golden is what testdata/histogram.txt holds.
func golden() *Histogram {
	h := NewHistogram()
	for i := 1; i <= 1000; i++ {
		h.Record(time.Duration(i*i) * 10 * time.Microsecond)
	}
	h.Record(time.Hour)
	return h
}

func TestTheEncodedFormIsTheStandardOne(t *testing.T) {
	const file = "testdata/histogram.txt"
	got, err := golden().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("FLEETCAST_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got, "HISTFAA") { // as the histogram logs of every implementation begin their lines
		t.Errorf("it begins with %.10q", got)
	}
	// The bytes of zlib may change with a release of Go; what they hold may not.
	h, err := Decode(strings.TrimSpace(string(want)))
	if err != nil || !h.h.Equals(golden().h) {
		t.Fatalf("%v: the golden form is another histogram: %+v", err, Sum(h))
	}
	if p := Sum(h); p.Count != 1001 || p.Max < 600e3 || p.P50 < 2499 || p.P50 > 2520 {
		t.Errorf("%+v", p)
	}
}

func TestAForeignHistogramIsRefused(t *testing.T) {
	other := hdrhistogram.New(1, 1000, 2)
	text, err := other.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	good, err := golden().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string]string{
		"another range": string(text), "nothing": "", "no base64": "?", "a part": good[:len(good)/2], "an older form": "HISTEwAAAA==",
	} {
		if _, err := Decode(wrong); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, h := range []*Histogram{NewHistogram(), golden()} {
		text, err := h.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add("HISTFAAAAAA=")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := Decode(text)
		if err != nil {
			return
		}
		again, err := h.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(again)
		if err != nil || Sum(back) != Sum(h) {
			t.Errorf("%v: %+v becomes %+v", err, Sum(h), Sum(back))
		}
	})
}

func TestCountersAreAddedAndTakenAway(t *testing.T) {
	type counters struct {
		A int64
		B struct{ C, D int64 }
	}
	a, b := counters{A: 1}, counters{A: 2}
	b.B.D = 5
	Add(&a, b)
	if a.A != 3 || a.B.C != 0 || a.B.D != 5 {
		t.Errorf("%+v", a)
	}
	Subtract(&a, b)
	if a.A != 1 || a.B.D != 0 {
		t.Errorf("%+v", a)
	}
	var sum map[string]int64
	AddMap(&sum, nil)
	if sum != nil {
		t.Error("of nothing something was made")
	}
	AddMap(&sum, map[string]int64{"x": 2})
	AddMap(&sum, map[string]int64{"x": 3, "y": 1})
	if sum["x"] != 5 || sum["y"] != 1 {
		t.Error(sum)
	}
}

func TestTheWorstGeneratorIsShown(t *testing.T) {
	late := func(p99 float64) Percentiles { return Percentiles{Count: 1, P99: p99} }
	worst := Worst([]Health{
		{CPU: CPU{User: 1}, Cores: 2, Share: 0.2, WakeUp: late(30), Memory: 5},
		{CPU: CPU{User: 9}, Cores: 4, Share: 0.8, WakeUp: late(1), Memory: 9},
		{},
	})
	if worst.Share != 0.8 || worst.Cores != 4 || worst.CPU.User != 9 || worst.WakeUp.P99 != 30 || worst.Memory != 9 || len(worst.Notes) != 1 {
		t.Errorf("%+v", worst)
	}
	if Worst(nil).Cores != 0 {
		t.Error("nobody has cores")
	}
}
