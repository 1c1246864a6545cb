package bridge

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// What hostile and faulty devices send, and what must be true after it, from the reading to what people see. That each
// value is judged right is tested beside the rules.

func TestNullIslandAndSentinelsLeaveTheLastGoodValues(t *testing.T) {
	m := newOnMemory(t, nil)
	m.time = noon
	m.read(*m.at(0))
	good := m.frame()
	m.time += second
	m.read(devices.Reading{At: m.time, Satellites: 0, Measures: devices.Measures{
		Has:     devices.FieldPosition | devices.FieldSatellites | devices.FieldSpeed | devices.FieldHeading | devices.FieldBattery | devices.FieldAccuracy,
		Heading: 511, Battery: 101, Accuracy: -1, Speed: 102.3 * 20,
	}})
	if got := strings.Replace(m.frame(), `"received":1780315201000`, `"received":1780315200000`, 1); got != good {
		t.Errorf("the asset is %s, was %s", got, good)
	}
	m.publish(t)
	m.wantSeconds(t, devices.TrailQuery{}, 0, 0)
	m.wantCounts(t, map[reason]uint64{reasonNullIsland: 1, reasonOutOfRange: 3})
}

func TestTextsThatAreMarkupStayTexts(t *testing.T) {
	m := newOnMemory(t, nil)
	m.read(devices.Reading{Metrics: numbers("note", "</script>\r\n\u2028\x00data: x")})
	got := m.frame()
	for _, bad := range []string{"<", "\r", "\n", "\u2028", "\x00"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q is in the frame %q", bad, got)
		}
	}
}

func TestOneClockThatIsWrongNeitherFreezesADeviceNorEndsItsTrail(t *testing.T) {
	for name, wrong := range map[string]int64{
		"1970":             1,
		"the GPS epoch":    time.Date(1980, 1, 6, 0, 0, 0, 0, time.UTC).UnixMilli(),
		"2004":             time.Date(2004, 5, 1, 0, 0, 0, 0, time.UTC).UnixMilli(),
		"a week too early": noon - 1024*7*day,
		"2036":             time.Date(2036, 2, 7, 6, 28, 16, 0, time.UTC).UnixMilli(),
		"2038":             1 << 31 * second,
		"an hour ahead":    noon + hour,
		"none":             0,
	} {
		t.Run(name, func(t *testing.T) {
			m := newOnMemory(t, nil)
			for i := range 10 {
				m.time = noon + int64(i)*second
				r := m.at(i)
				if i == 5 {
					r.At = wrong
				}
				m.read(*r)
				if !strings.Contains(m.frame(), `"received":`+strconv.FormatInt(m.time, 10)) || m.truck().times[0] > m.time {
					t.Fatalf("after fix %d the asset is %s", i, m.frame())
				}
			}
			if d := m.truck(); d.times[0] != m.time || d.asset.Lat != m.at(9).Lat {
				t.Errorf("the device is frozen at %s", m.frame())
			}
			m.publish(t)
			if got := m.seconds(t, devices.TrailQuery{}); len(got) != 10 {
				t.Errorf("the trail has %v", got)
			}
		})
	}
}

// The inlet's time does not go back with the server's clock, so the same time comes again: nothing is lost and nobody goes
// offline.
func TestAServerClockThatStandsStillLosesNothing(t *testing.T) {
	m := newOnMemory(t, nil)
	m.time = noon
	for i := range 20 {
		m.read(devices.Reading{At: noon - hour + int64(i)*second, Measures: at(60+float64(i)/10_000, 20)})
	}
	if d := m.truck(); d.asset.Lat != 60+19.0/10_000 || d.asset.Status != devices.Online {
		t.Errorf("the asset is %s", m.frame())
	}
	m.publish(t)
	if got := m.seconds(t, devices.TrailQuery{}); len(got) != 20 {
		t.Errorf("the trail has %d places", len(got))
	}
}

func TestOneMessageOverTwoGatewaysIsOneEverywhere(t *testing.T) {
	m := newOnMemory(t, nil)
	m.time = noon + 60*second
	for i := range 20 {
		r := m.at(i)
		r.Key = uint64(1000 + i)
		r.Metrics = numbers("rssi", -70)
		m.read(*r)
		again := *r // heard by another one, which adds what it measured itself
		again.Metrics = numbers("rssi", -110)
		m.time += second / 10
		m.read(again)
	}
	m.publish(t)
	m.wantSeconds(t, devices.TrailQuery{}, 0, 19)
	m.wantCounts(t, map[reason]uint64{reasonDuplicate: 20})
	if !strings.Contains(m.frame(), `"rssi":-70`) {
		t.Errorf("the copy won: %s", m.frame())
	}
}

// A whole history that comes again after the record of duplicates has forgotten it: by a backup of a device, or an owner
// that reads the inlet from further back than it must.
func TestAHistoryThatComesAgainIsTheSameHistory(t *testing.T) {
	m := newOnMemory(t, nil)
	m.time = noon + 300*second
	for range 3 {
		for i := range 100 {
			m.read(*m.at(i))
		}
		m.publish(t)
	}
	m.wantSeconds(t, devices.TrailQuery{}, 0, 99)
	if d := m.truck(); d.times[0] != noon+99*second {
		t.Errorf("the device is at %d", d.times[0])
	}
}

func TestALastYearsRetainedMessageMakesNobodyAlive(t *testing.T) {
	m := newOnMemory(t, nil)
	m.read(retained(devices.Reading{At: noon - 365*day, Measures: at(60, 20)}))
	m.put(bus.Entry{Kind: bus.KindReading, Device: deviceID(t, "known"), Reading: &devices.Reading{At: noon, Measures: at(1, 2)}})
	m.put(bus.Entry{Kind: bus.KindConnection, Device: deviceID(t, "known"), Connection: bus.Connection{Door: 1, Conn: 1}})
	m.expireBefore(noon + hour)
	m.put(bus.Entry{Kind: bus.KindReading, Device: deviceID(t, "known"), Reading: &devices.Reading{At: noon - 365*day, Retained: true, Measures: at(60, 20)}})
	if d := m.truck(); d.asset.Status != devices.Unknown {
		t.Errorf("the device is %v", d.asset.Status)
	}
	if d := m.live[deviceID(t, "known")]; d.asset.Status != devices.Offline || d.asset.Lat != 1 || d.asset.Received != noon {
		t.Errorf("the device is %+v", d.asset)
	}
	m.publish(t)
	if got := m.seconds(t, devices.TrailQuery{}); len(got) != 0 {
		t.Errorf("the trail has %v", got)
	}
}
