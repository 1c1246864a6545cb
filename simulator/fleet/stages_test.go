package fleet

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/simulator/tracker"
)

func TestStagesLeadUpHoldAndDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &pipeBroker{}
		f := newFleet(t, b, Options{Devices: 20, Rate: 1, QoS: 1, Stages: Stages{{10 * time.Second, 10}, {20 * time.Second, 10}, {5 * time.Second, 20}, {60 * time.Second, 20}, {10 * time.Second, 0}}})
		done := make(chan error, 1)
		go func() { done <- f.Run(t.Context()) }()
		at := time.Now()
		for _, look := range []struct {
			seconds float64
			want    int64
		}{{5.05, 6}, {15, 10}, {29, 10}, {32.6, 16}, {60, 20}, {100.1, 10}} {
			<-time.After(time.Until(at.Add(time.Duration(look.seconds * float64(time.Second)))))
			synctest.Wait()
			if got := f.Counts().Connected; got != look.want {
				t.Errorf("after %v s %d are connected, want %d", look.seconds, got, look.want)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the broker has counted what it read
		s := f.Summary()
		balanced(t, s.Whole)
		if s.SteadySeconds < 59 || s.SteadySeconds > 61 || s.Steady.Sent < 1180 || s.Steady.Sent > 1220 || s.DownSeconds < 9 {
			t.Errorf("%+v", s)
		}
		if f.Counts().Connected != 0 || s.Whole.Trouble.Lost != 0 || b.said() != 20 {
			t.Errorf("%+v, %d goodbyes", s.Whole, b.said())
		}
		if p := f.Latencies()["ack"]; p.Copy() == nil || s.Puback.Count < 1180 || s.Puback.Count > 1220 {
			t.Errorf("%+v", s.Puback)
		}
	})
}

func TestDevicesThatWereStoppedComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &pipeBroker{}
		f := newFleet(t, b, Options{Devices: 4, Rate: 1, Stages: Stages{{0, 4}, {10 * time.Second, 4}, {0, 1}, {10 * time.Second, 1}, {0, 4}, {10 * time.Second, 4}}})
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := f.Counts()
		balanced(t, c)
		if c.Connects != 7 || c.Sent < 86 || c.Sent > 94 || c.Skipped.Total() != 0 {
			t.Errorf("%+v", c)
		}
	})
}

func TestStagesAreReadAsTheyAreWritten(t *testing.T) {
	var s Stages
	if err := s.UnmarshalText([]byte("60s:5000, 10m:5000,30s:0")); err != nil || !slices.Equal(s, Stages{{time.Minute, 5000}, {10 * time.Minute, 5000}, {30 * time.Second, 0}}) {
		t.Errorf("%v, %v", s, err)
	}
	if text, _ := s.MarshalText(); string(text) != "1m0s:5000,10m0s:5000,30s:0" {
		t.Errorf("%s", text)
	}
	for _, wrong := range []string{"", "60s", "x:1", "1s:x", "-1s:1", "1s:-1", "1s:99999999", "1s:1,,"} {
		if err := new(Stages).UnmarshalText([]byte(wrong)); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
	if _, err := New(Options{MQTT: "h:1", Devices: 5, Stages: Stages{{time.Second, 6}}}); err == nil {
		t.Error("stages of more devices than there are are accepted")
	}
}

func TestShardsShareTheDevicesOut(t *testing.T) {
	for _, n := range []int{7, 100, 1001} {
		next := 0
		for part := 1; part <= 3; part++ {
			first, count := Shard{part, 3}.Take(n)
			if first != next {
				t.Errorf("part %d of %d begins at %d, and %d is next", part, n, first, next)
			}
			next = first + count
		}
		if next != n {
			t.Errorf("three parts of %d make %d", n, next)
		}
	}
	names := map[string]bool{}
	for part := 1; part <= 2; part++ {
		f, err := New(Options{MQTT: "h:1", Devices: 9, StartIndex: 100, Rate: 1, ConnectRate: 10, Shard: Shard{part, 2}, Stages: Stages{{time.Second, 9}}})
		if err != nil {
			t.Fatal(err)
		}
		if f.options.ConnectRate != 5 || f.options.Stages[0].Devices != len(f.devices) {
			t.Errorf("%+v", f.options)
		}
		for i := range f.devices {
			names[f.devices[i].device.ID] = true
		}
	}
	if len(names) != 9 {
		t.Errorf("%d names of 9 devices: %v", len(names), names)
	}
	for _, wrong := range []string{"", "0/2", "3/2", "1", "a/b", "1/-1"} {
		if err := new(Shard).UnmarshalText([]byte(wrong)); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
	if _, err := New(Options{MQTT: "h:1", Devices: 1, Shard: Shard{1, 2}}); err == nil {
		t.Error("a part without a device is accepted")
	}
}

func TestCredentialsAreReadFromWhatARegistryGives(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []Identity
	}{
		"pairs":         {"truck-1,abc\ntruck-2,def\n", []Identity{{"truck-1", "abc", ""}, {"truck-2", "def", ""}}},
		"a header":      {"fleet,username,password\nnorth,truck-1,abc\n", []Identity{{"truck-1", "abc", "north"}}},
		"three":         {"# made today\ntruck-1, abc, north\n", []Identity{{"truck-1", "abc", "north"}}},
		"JSON":          {`{"id":"t1","fleet":"north","token":"abc"}` + "\n" + `{"id":"t2","fleet":"south","token":"d"}` + "\n" + `{"created":2}`, []Identity{{"t1", "abc", "north"}, {"t2", "d", "south"}}},
		"nothing":       {"", nil},
		"no name":       {",abc\n", nil},
		"half JSON":     {`{"id":"t1"`, nil},
		"a token alone": {`{"token":"t1"}`, nil},
		"other JSON":    {`{"name":"t1"}`, nil},
		"a header only": {"username,password\n", nil},
		"half a quote":  {"\"a,b\n", nil},
	} {
		got, err := parseIdentities(strings.NewReader(c.text))
		if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	f, err := New(Options{MQTT: "h:1", Devices: 2, Fleets: []string{"f"}, Identities: []Identity{{"a", "x", "north"}, {"b", "y", ""}}})
	if err != nil {
		t.Fatal(err)
	}
	o := f.devices[1].connectOptions()
	if f.devices[0].device.Topic != "fleets/north/devices/a/telemetry" || f.devices[1].device.Topic != "fleets/f/devices/b/telemetry" || o.Username != "b" || string(o.Password) != "y" || o.ClientID != "b" {
		t.Errorf("%+v, %+v", f.devices[0].device, o)
	}
	if _, err := New(Options{MQTT: "h:1", Devices: 3, Identities: f.options.Identities}); err == nil {
		t.Error("more devices than credentials are accepted")
	}
}

func FuzzIdentities(f *testing.F) {
	f.Add("username,password\na,b\n")
	f.Add(`{"id":"t1","fleet":"north","token":"abc"}`)
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseIdentities(strings.NewReader(text))
		if (err == nil) != (len(all) > 0) {
			t.Fatalf("%d, %v", len(all), err)
		}
		for _, i := range all {
			if i.Username == "" {
				t.Fatalf("%+v", all)
			}
		}
	})
}

func TestSourcesAreSingleOnesAndRanges(t *testing.T) {
	all, err := ParseSources([]string{"127.0.0.9", "127.0.1.254-127.0.2.1"})
	if err != nil || len(all) != 5 || all[4].String() != "127.0.2.1" {
		t.Errorf("%v, %v", all, err)
	}
	for _, wrong := range []string{"x", "127.0.0.2-127.0.0.1", "127.0.0.1-x", "10.0.0.0-10.255.255.255"} {
		if _, err := ParseSources([]string{wrong}); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
	o := Options{MQTT: "192.0.2.1:1883", Sources: all}
	if a := o.source(6).String(); a != "127.0.1.254:0" {
		t.Errorf("the seventh device leaves from %s", a)
	}
}

func TestATrackersPolicyDecidesWhatIsOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &pipeBroker{}
		f := newFleet(t, b, Options{Devices: 10, Rate: 1, For: 100 * time.Second, Tracker: tracker.Options{Policy: tracker.Policy{Every: 20 * time.Second}}})
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the broker has counted what it read
		c := f.Counts()
		balanced(t, c)
		if c.Sent < 45 || c.Sent > 61 || c.Quiet < 900 || int64(b.telemetry()) != c.Sent {
			t.Errorf("%+v; the broker saw %d", c, b.telemetry())
		}
	})
}
