package main

import (
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/redisbus"
)

func TestOwnersAreTold(t *testing.T) {
	now := time.UnixMilli(100_000)
	got := ownersText([]redisbus.Owner{
		{Partition: 0, Bridge: "00000000000000aa", Held: true, Offset: 12, Published: now.UnixMilli() - 400},
		{Partition: 1, Held: true, Unread: 3, Published: now.UnixMilli() - 90_000},
		{Partition: 2},
	}, []redisbus.Bridge{{Name: "00000000000000aa", Owns: 1, Able: true}, {Name: "00000000000000bb"}}, now)
	const want = "partition  bridge                offset      unread  published\n" +
		"        0  00000000000000aa          12           0  0.4 s ago\n" +
		"        1  without a name             0           3  90.0 s ago\n" +
		"        2  nobody                     0           0  never\n" +
		"bridge 00000000000000aa has 1\n" +
		"bridge 00000000000000bb has 0, and is passed over: it could not go on with what it took"
	if got != want {
		t.Errorf("%s", got)
	}
	if got := ownersText(nil, nil, now); got != "partition  bridge                offset      unread  published\nno bridge lives" {
		t.Errorf("%s", got)
	}
}
