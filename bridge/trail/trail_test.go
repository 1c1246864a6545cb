package trail

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/fleetcast/fleetcast/devices"
)

const noon = int64(1780315200000)

func fix(seconds float64, lat, lon float64) devices.Fix {
	return devices.Fix{At: noon + int64(seconds*1000), Lat: lat, Lon: lon}
}

func full(seconds float64, lat, lon float64) devices.Fix {
	f := fix(seconds, lat, lon)
	f.Has = devices.FieldAltitude | devices.FieldSpeed | devices.FieldHeading
	f.Altitude, f.Speed, f.Heading = 167.3, 16.94, 271.5
	return f
}

// The bytes stand in records and blocks: a test that fails here says that a new format is needed.
func TestBytesOfABlockNeverChange(t *testing.T) {
	var tail Tail
	later := full(10, 48.85843, 2.2950)
	later.Altitude = 166
	for _, f := range []devices.Fix{full(0, 48.85833, 2.29513), later, fix(20, 48.85843, 2.2950)} {
		if !tail.Add(&f) {
			t.Fatalf("%+v is not new", f)
		}
	}
	if got := hex.EncodeToString(tail.Bytes()); got != goldenBlock {
		t.Errorf("block is\n%s, want\n%s", got, goldenBlock)
	}
	got, unreadable := Merge([][]byte{tail.Bytes()})
	if unreadable != 0 || !reflect.DeepEqual(got, []devices.Fix{full(0, 48.85833, 2.29513), later, fix(20, 48.85843, 2.2950)}) {
		t.Errorf("read %+v", got)
	}
}

const goldenBlock = "0780b4b898e83388c2f9d10388d6f115921a9e0d9b15" + // at, place, altitude, speed and heading
	"07904ed00fa714199e0d9b15" + // ten seconds and some metres later
	"00904e0000"

func TestFixesStandInTheOrderOfTheirTimesEachOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			tail   Tail
			blocks [][]byte
			model  = map[point]devices.Fix{}
		)
		for range rapid.IntRange(0, 100).Draw(t, "fixes") {
			f := fix(float64(rapid.IntRange(0, 40).Draw(t, "second")), float64(rapid.IntRange(-2, 2).Draw(t, "lat")), float64(rapid.IntRange(-1, 1).Draw(t, "lon"))*180)
			tail.Add(&f)
			p := pointOf(&f)
			model[p] = f
			switch {
			case tail.IsFull():
				blocks = append(blocks, tail.Close())
			case rapid.IntRange(0, 9).Draw(t, "what") == 0: // another owner goes on
				var next Tail
				if err := next.Load(tail.Bytes()); err != nil {
					t.Fatal(err)
				}
				tail = next
			}
		}
		if rapid.Bool().Draw(t, "a block twice") && len(blocks) > 0 {
			blocks = append(blocks, blocks[0])
		}
		got, unreadable := Merge(append(blocks, tail.Bytes()))
		if unreadable > 0 || len(got) != len(model) {
			t.Fatalf("%d fixes, want %d; %d blocks are unreadable", len(got), len(model), unreadable)
		}
		for i := range got {
			if model[pointOf(&got[i])] != got[i] {
				t.Fatalf("%+v is not one that was added", got[i])
			}
			if i > 0 && got[i].At < got[i-1].At {
				t.Fatalf("%+v stands after %+v", got[i], got[i-1])
			}
		}
	})
}

func TestAFixThatCameTwiceIsOne(t *testing.T) {
	var tail Tail
	for _, f := range []devices.Fix{fix(1, 1, 1), fix(3, 1, 1), fix(3, 2, 1), fix(2, 1, 1)} {
		if !tail.Add(&f) {
			t.Errorf("%+v is not new", f)
		}
		if tail.Add(&f) {
			t.Errorf("%+v is new twice", f)
		}
	}
	if again := fix(3, 1, 1); tail.fixes != 4 {
		t.Errorf("%d fixes with %+v", tail.fixes, again)
	}
}

func TestAFixTakesFewBytes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name    string
		seconds float64
		most    float64
	}{{"each second", 1, 14}, {"each ten seconds", 10, 14.5}} {
		var tail Tail
		bytes, fixes := 0, 0
		lat, lon, at := 60.17, 24.94, 0.0
		for range 100 * BlockFixes {
			at += c.seconds
			lat += random.Float64() * 0.00015 * c.seconds
			lon += random.Float64() * 0.0003 * c.seconds
			f := full(at, lat, lon)
			f.Speed, f.Altitude = random.Float64()*30, 20+random.Float64()
			tail.Add(&f)
			if tail.IsFull() {
				bytes, fixes = bytes+len(tail.Close()), fixes+BlockFixes
			}
		}
		got := float64(bytes) / float64(fixes)
		t.Logf("%s: %.1f bytes a fix", c.name, got)
		if got > c.most {
			t.Errorf("%s: %.1f bytes a fix, want at most %v", c.name, got, c.most)
		}
	}
}

func TestAddingAFixAllocatesNothing(t *testing.T) {
	var tail Tail
	at := 0.0
	for range BlockFixes * 2 {
		at++
		f := full(at, 60, 20)
		tail.Add(&f)
		if tail.IsFull() {
			tail.Reset()
		}
	}
	if n := testing.AllocsPerRun(1000, func() {
		at++
		f := full(at, 60, 20+at/1e6)
		tail.Add(&f)
		if tail.IsFull() {
			tail.Reset()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAnUnreadableBlockHarmsNoOther(t *testing.T) {
	var tail Tail
	f := fix(1, 1, 1)
	tail.Add(&f)
	good := tail.Close()
	for name, bad := range map[string][]byte{
		"cut":              good[:len(good)-1],
		"unknown flags":    append([]byte{8}, good[1:]...),
		"a later format":   append([]byte{0x80}, good[1:]...),
		"off the globe":    {0, 1, 0x80, 0xa0, 0xc2, 0xad, 0x0d, 0},
		"time without end": {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0},
		"too many":         bytes.Repeat([]byte{0, 1, 2, 0}, MaxBlockFixes+1),
	} {
		got, unreadable := Merge([][]byte{good, bad, nil})
		if unreadable != 1 || len(got) != 1 || got[0] != f {
			t.Errorf("%s: %+v, %d unreadable", name, got, unreadable)
		}
		if err := tail.Load(bad); err == nil || !tail.IsEmpty() {
			t.Errorf("%s is loaded: %v", name, err)
		}
	}
}

func TestCutTakesTheNewestOfARange(t *testing.T) {
	var fixes []devices.Fix
	for i := range 10 {
		fixes = append(fixes, fix(float64(i), float64(i), 0))
	}
	for _, c := range []struct {
		q    devices.TrailQuery
		want []int
	}{
		{devices.TrailQuery{}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{devices.TrailQuery{From: noon + 3000, To: noon + 5000}, []int{3, 4, 5}},
		{devices.TrailQuery{From: noon + 3001, To: noon + 4999}, []int{4}},
		{devices.TrailQuery{Limit: 2}, []int{8, 9}},
		{devices.TrailQuery{To: noon + 5000, Limit: 2}, []int{4, 5}},
		{devices.TrailQuery{From: noon + 99_000}, nil},
		{devices.TrailQuery{To: 1}, nil},
		{devices.TrailQuery{Simplify: 1}, []int{0, 9}},
	} {
		var got []int
		for _, f := range Cut(fixes, &c.q) {
			got = append(got, int(f.Lat))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v gives %v, want %v", c.q, got, c.want)
		}
	}
}

func TestASimplifiedLineLeavesNoFixFartherThanItsTolerance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		metres := float64(rapid.IntRange(1, 500).Draw(t, "metres"))
		lat, lon := rapid.Float64Range(-80, 80).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon")
		var fixes []devices.Fix
		for i := range rapid.IntRange(0, 60).Draw(t, "fixes") {
			lat += float64(rapid.IntRange(-9, 9).Draw(t, "north")) / 10_000
			lon = math.Remainder(lon+float64(rapid.IntRange(-9, 9).Draw(t, "east"))/10_000, 360)
			fixes = append(fixes, fix(float64(i), lat, lon))
		}
		got := Simplify(fixes, metres)
		if len(fixes) == 0 {
			return
		}
		if got[0] != fixes[0] || got[len(got)-1] != fixes[len(fixes)-1] {
			t.Fatal("an end is missing")
		}
		next := 0
		for i := range got[:len(got)-1] {
			first, last := slices.Index(fixes, got[i]), slices.Index(fixes, got[i+1])
			if first < next || last <= first {
				t.Fatal("the fixes are not in their order")
			}
			next = first
			if _, far := furthest(fixes[first : last+1]); far > metres {
				t.Fatalf("a fix is %.1f m from the line, more than %v", far, metres)
			}
		}
	})
}

func TestATrailOfNothingButCornersStaysWhatItIs(t *testing.T) {
	var fixes []devices.Fix
	for i := range 2000 {
		fixes = append(fixes, fix(float64(i), float64(i%2)/100+float64(i)/1e7, float64(i)/100_000))
	}
	if got := Simplify(fixes, 1); len(got) != len(fixes) {
		t.Errorf("%d of %d corners are left", len(got), len(fixes))
	}
}

func FuzzBlock(f *testing.F) {
	var tail Tail
	for i := range 5 {
		one := full(float64(i), 60+float64(i)/1000, 20)
		tail.Add(&one)
	}
	f.Add(tail.Bytes())
	f.Add(tail.Bytes()[:9])
	f.Add([]byte{0, 1, 2, 0, 7})
	f.Fuzz(func(t *testing.T, data []byte) {
		fixes, unreadable := Merge([][]byte{data})
		if unreadable > 0 && len(fixes) > 0 {
			t.Fatal("an unreadable block has fixes")
		}
		var again Tail
		for i := range fixes {
			if math.Abs(fixes[i].Lat) > 90 || math.Abs(fixes[i].Lon) > 180 || fixes[i].At < 0 {
				t.Fatalf("%+v is nowhere", fixes[i])
			}
			if i < BlockFixes && !again.Add(&fixes[i]) {
				t.Fatalf("%+v cannot be added", fixes[i])
			}
		}
		if len(fixes) > BlockFixes {
			return
		}
		if back, bad := Merge([][]byte{again.Bytes()}); bad > 0 || fmt.Sprint(back) != fmt.Sprint(fixes) {
			t.Fatalf("%+v became %+v", fixes, back)
		}
		var loaded Tail
		if loaded.Load(again.Bytes()) != nil || loaded.last != again.last || loaded.fixes != again.fixes {
			t.Fatal("a tail is not what its bytes make")
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	var tail Tail
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f := full(float64(i), 60, 20+float64(i%1000)/1e5)
		tail.Add(&f)
		if tail.IsFull() {
			tail.Reset()
		}
	}
}

func BenchmarkMerge500(b *testing.B) {
	var (
		tail   Tail
		blocks [][]byte
	)
	for i := range 500 {
		f := full(float64(i), 60, 20+float64(i)/1e4)
		tail.Add(&f)
		if tail.IsFull() {
			blocks = append(blocks, tail.Close())
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if fixes, _ := Merge(blocks); len(fixes) < 490 {
			b.Fatal(len(fixes))
		}
	}
}
