package redis

import (
	"fmt"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/devices/redisconn/redistest"
	"github.com/fleetcast/fleetcast/devices/store"
	"github.com/fleetcast/fleetcast/devices/store/storetest"
)

func TestMain(m *testing.M) {
	// The library's own: where dials failed it tries once a second, until it sees that its pool was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

var opened atomic.Int64

// open returns a store with keys of its own.
func open(t testing.TB, url string, change ...func(*Options)) *Store {
	t.Helper()
	o := Options{URL: url, Prefix: fmt.Sprint("test", opened.Add(1))}
	for _, c := range change {
		c(&o)
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sameStore lets a store share another's keys, as another process would.
func sameStore(s *Store) func(*Options) { return func(o *Options) { o.Prefix = s.opts.Prefix } }

func suite(t *testing.T, url string) {
	t.Helper()
	storetest.Run(t, func(t *testing.T, o storetest.Options) store.Store {
		return open(t, url, func(mine *Options) { mine.MaxRecords = o.MaxRecords })
	})
}

func TestOneServerKeepsTheContract(t *testing.T) { suite(t, redistest.Start(t).URL()) }

func TestAClusterKeepsTheContract(t *testing.T) {
	_, url := redistest.StartCluster(t, 3, false)
	suite(t, url)
}
