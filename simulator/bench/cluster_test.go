package bench

import (
	"maps"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/simulator/size"
)

func TestTransfersAreRead(t *testing.T) {
	got, err := parseTransfers("rchar: 6976\nwchar: 12\nsyscr: 10\n")
	if err != nil || got != (transfers{6976, 12}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "rchar: 5\n", "rchar: x\nwchar: 1\n"} {
		if got, err := parseTransfers(bad); err == nil {
			t.Errorf("%q is %+v", bad, got)
		}
	}
}

func TestNumbersOfRedisAreRead(t *testing.T) {
	got := infoNumbers("# Stats\r\nused_memory_dataset:1024\r\nrole:master\r\ncmdstat_xread:calls=7,usec=12\r\n\r\n")
	if !maps.Equal(got, map[string]float64{"used_memory_dataset": 1024, "cmdstat_xread": 7}) {
		t.Errorf("%v", got)
	}
}

func TestALoadIsReadAsItIsWritten(t *testing.T) {
	var l ClusterLoad
	if err := l.UnmarshalText([]byte("600x30")); err != nil || l != (ClusterLoad{600, 30}) {
		t.Errorf("%v, %v", l, err)
	}
	if text, err := l.MarshalText(); err != nil || string(text) != "600x30" {
		t.Errorf("%s, %v", text, err)
	}
	if err := l.UnmarshalText([]byte("600")); err == nil {
		t.Error("half a load is taken")
	}
}

func TestAClusterStandsBesideTheModel(t *testing.T) {
	usage := func(times float64) size.Usage {
		load := func(cores float64) size.Load { return size.Load{Cores: cores * times, Bytes: 1e6 * times} }
		return size.Usage{Door: load(0.1), Bridge: load(0.2), Redis: load(0.3), Edge: load(0.4), Append: 1000 * times, Read: 1000, Publish: 1000, Follow: 1000, Out: 1000, Calls: 10}
	}
	row := func(each int, cores float64) *ClusterRow {
		r := &ClusterRow{Each: each, Load: ClusterLoad{600, 30}, Model: usage(1), Got: usage(cores), Messages: 1000}
		for i, owns := range []float64{16, 0, 0}[:each] {
			r.Spread = append(r.Spread, ClusterPart{Role: []string{"bridge-1", "bridge-2", "bridge-3"}[i], Cores: owns/16 + 0.5, Partitions: owns})
		}
		return r
	}
	var b strings.Builder
	if err := (&Cluster{Rate: 1, Fleets: 48}).section([]*ClusterRow{row(1, 0.5), row(3, 2)}).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| cores of Redis | 0.150 (2.00) | 0.600 (0.50) |\n", "| kB/s from the door to Redis | 0 (2.00) | 2 (0.50) |\n",
		"+1.500 (4.00 times)", "| 1.80 | 16, 0, 0 |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
