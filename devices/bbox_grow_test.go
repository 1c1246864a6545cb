package devices

import (
	"testing"

	"pgregory.net/rapid"
)

// A box that grew holds what it held, around the back of the Earth too.
func TestABoxThatGrowsHoldsWhatItHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		west, east := rapid.Float64Range(-180, 180).Draw(t, "west"), rapid.Float64Range(-180, 180).Draw(t, "east")
		south, north := rapid.Float64Range(-90, 90).Draw(t, "south"), rapid.Float64Range(-90, 90).Draw(t, "north")
		b, err := NewBBox(west, min(south, north), east, max(south, north))
		if err != nil {
			t.Fatal(err)
		}
		lat, lon := rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon")
		g := b.Grow(1.0 / 64)
		if b.Contains(lat, lon) && !g.Contains(lat, lon) {
			t.Fatalf("%v holds %v,%v and %v does not", b, lat, lon, g)
		}
		if _, err := ParseBBox(g.String()); err != nil {
			t.Fatal(err)
		}
	})
	for in, want := range map[string]string{
		"0,0,64,64": "-1,-1,65,65", "179,0,-179,64": "178.96875,-1,-178.96875,65", "-180,-90,180,90": "-180,-90,180,90",
		"-180,89,-116,90": "179,88.984375,-115,90", "": "",
	} {
		b, _ := ParseBBox(in)
		if got := b.Grow(1.0 / 64).String(); got != want {
			t.Errorf("%s grows to %s, want %s", in, got, want)
		}
	}
}
