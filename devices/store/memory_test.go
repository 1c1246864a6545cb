package store_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/devices/store"
	"github.com/fleetcast/fleetcast/devices/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, o storetest.Options) store.Store {
		m := store.NewMemory(store.MemoryOptions{MaxRecords: o.MaxRecords})
		t.Cleanup(func() { _ = m.Close() })
		return m
	})
}
