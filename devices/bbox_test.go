package devices

import (
	"math"
	"testing"
)

func TestABoxIsReadOrRefused(t *testing.T) {
	for in, want := range map[string]string{
		"2.2,48.8,2.4,48.9":        "2.2,48.8,2.4,48.9",
		"170,-10,-170,10":          "170,-10,-170,10", // crosses 180
		"-180,-90,180,90":          "-180,-90,180,90",
		"1,2,1,2":                  "1,2,1,2", // a point
		"-0,0,0,-0.0":              "0,0,0,0",
		"1e1,2,3e1,4":              "10,2,30,4",
		"":                         "",
		"1,2,3":                    "",
		"1,2,3,4,5":                "",
		"1,2,3,":                   "",
		"1,2, 3,4":                 "",
		"NaN,0,1,1":                "",
		"0,0,Inf,1":                "",
		"0,-Inf,1,1":               "",
		"0,5,1,4":                  "", // south above north
		"-181,0,1,1":               "",
		"0,0,180.01,1":             "",
		"0,-91,1,1":                "",
		"0,0,1,90.5":               "",
		"0,0,1,1e400":              "",
		"48.8,2.2;48.9,2.4":        "",
		"left,down,right,up":       "",
		"0x1p-2,0,1,1":             "",
		"1_0,0,11,1":               "",
		"2.2,48.8,2.4,48.9\n":      "",
		"2.2,48.8,2.4,48.9,":       "",
		"179.99999,-1,-179.9999,1": "179.99999,-1,-179.9999,1",
	} {
		b, err := ParseBBox(in)
		if got := b.String(); got != want || (err == nil) != (want != "") || b.IsZero() == (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
		if err != nil && KindOf(err) != Invalid {
			t.Errorf("%q: kind %v", in, KindOf(err))
		}
	}
}

func TestABoxHoldsWhatIsInIt(t *testing.T) {
	for _, c := range []struct {
		box      string
		lat, lon float64
		want     bool
	}{
		{"2,48,3,49", 48.5, 2.5, true},
		{"2,48,3,49", 48, 2, true},
		{"2,48,3,49", 49, 3, true},
		{"2,48,3,49", 49.01, 3, false},
		{"2,48,3,49", 48.5, 1.99, false},
		{"2,48,3,49", 2.5, 48.5, false},
		{"2,48,3,49", math.NaN(), 2.5, false},
		{"2,48,3,49", 48.5, math.NaN(), false},
		{"170,-10,-170,10", 0, 175, true},
		{"170,-10,-170,10", 0, -175, true},
		{"170,-10,-170,10", 0, 180, true},
		{"170,-10,-170,10", 0, -180, true},
		{"170,-10,-170,10", 0, 0, false},
		{"170,-10,-170,10", 11, 175, false},
		{"-180,0,-170,10", 5, 180, true}, // one meridian with two names
		{"170,0,180,10", 5, -180, true},
		{"170,0,179,10", 5, -180, false},
		{"-180,-90,180,90", 90, 12, true},
	} {
		b, err := ParseBBox(c.box)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Contains(c.lat, c.lon); got != c.want {
			t.Errorf("%s holds %v,%v: %t", c.box, c.lat, c.lon, got)
		}
	}
	if (BBox{}).Contains(0, 0) {
		t.Error("no box holds something")
	}
}

func FuzzBBox(f *testing.F) {
	f.Add("2.2,48.8,2.4,48.9", 48.85, 2.3)
	f.Add("170,-10,-170,10", 0.0, 180.0)
	f.Add("0,0,-1,0", 0.0, 1620.0)
	f.Fuzz(func(t *testing.T, s string, lat, lon float64) {
		b, err := ParseBBox(s)
		if err != nil {
			return
		}
		again, err := ParseBBox(b.String())
		if err != nil || again != b {
			t.Errorf("%q is %v, read again %v, %v", s, b, again, err)
		}
		if b.Contains(lat, lon) && (lat < -90 || lat > 90 || lon < -180 || lon > 180) {
			t.Errorf("%v holds %v,%v", b, lat, lon)
		}
	})
}
