package units

import (
	"testing"
	"time"
)

func TestQuantitiesAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1/s": time.Second, "4": 250 * time.Millisecond, "0.5/s": 2 * time.Second, "12/m": 5 * time.Second, "1/10s": 10 * time.Second,
		"2/1m30s": 45 * time.Second, "1/h": time.Hour,
	} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err != nil || r.Interval() != want {
			t.Errorf("%s is %v, %v", text, r.Interval(), err)
		}
	}
	for text, want := range map[string]ByteRate{"1kB/s": 1000, "64KiB": 65536, "500": 500, "1.5MB/s": 1500000, "7B/s": 7, "2 kB/s": 2000} {
		var b ByteRate
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%s is %d, %v", text, b, err)
		}
	}
	for text, want := range map[string]Share{"5%": 0.05, "0.25": 0.25, "0": 0, "100%": 1} {
		var s Share
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s is %v, %v", text, s, err)
		}
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	for _, text := range []string{"", "x", "0/s", "-1/s", "1/", "1/0s", "NaN", "Inf", "1/x", "1e99/s"} {
		if err := new(Rate).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a rate", text)
		}
	}
	for _, text := range []string{"", "kB/s", "0", "-1kB", "NaN", "1e99"} {
		if err := new(ByteRate).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a byte rate", text)
		}
	}
	for _, text := range []string{"", "%", "101%", "-1%", "2", "NaN"} {
		if err := new(Share).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a share", text)
		}
	}
}

func TestAShareIsSpread(t *testing.T) {
	for _, s := range []Share{0, 0.05, 0.3, 1} {
		n := 0
		for i := range 1000 {
			if s.Has(i) {
				n++
			}
		}
		if n != int(float64(s)*1000+0.5) {
			t.Errorf("share %v has %d of 1000", s, n)
		}
	}
}
