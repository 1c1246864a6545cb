package redisbus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// startCluster starts masters that share the slots, each with a replica where that is asked for.
func startCluster(t testing.TB, masters int, replicas bool) []*server {
	t.Helper()
	n := masters
	if replicas {
		n *= 2
	}
	var all []*server
	for range n {
		all = append(all, startServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
			"--cluster-replica-validity-factor", "0", "--repl-ping-replica-period", "1"))
	}
	for i, s := range all {
		s.do(t, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	for i := range masters {
		all[i].do(t, "CLUSTER", "ADDSLOTSRANGE", i*16384/masters, (i+1)*16384/masters-1)
	}
	for _, s := range all[1:] {
		s.do(t, "CLUSTER", "MEET", "127.0.0.1", all[0].port)
	}
	whole := func(s *server) error {
		info := fmt.Sprint(s.do(t, "CLUSTER", "INFO"))
		if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", n)) {
			return errors.New(info)
		}
		return nil
	}
	for _, s := range all {
		eventually(t, "cluster is whole", func() error { return whole(s) })
	}
	for i := masters; i < n; i++ {
		id := all[i-masters].do(t, "CLUSTER", "MYID")
		c := all[i].client()
		eventually(t, "replica begins", func() error { return c.Do(t.Context(), "CLUSTER", "REPLICATE", id).Err() })
		eventually(t, "replica is linked", func() error {
			if info := all[i].do(t, "INFO", "replication").(string); !strings.Contains(info, "master_link_status:up") {
				return errors.New(info)
			}
			return nil
		})
		_ = c.Close()
	}
	return all
}

func clusterURL(servers []*server) string {
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.addr())
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

func TestAClusterKeepsTheContract(t *testing.T) {
	t.Parallel()
	suite(t, clusterURL(startCluster(t, 3, false)))
}

// ownerOf finds the server that has a partition's keys.
func ownerOf(t *testing.T, servers []*server, b *Bus) (at int, slot int64) {
	t.Helper()
	for i, s := range servers {
		if s.cmd == nil {
			continue
		}
		slot = s.do(t, "CLUSTER", "KEYSLOT", b.keys[0].meta).(int64)
		c := s.client()
		err := c.Exists(t.Context(), b.keys[0].meta).Err()
		_ = c.Close()
		if err == nil && strings.Contains(fmt.Sprint(s.do(t, "ROLE")), "master") {
			return i, slot
		}
	}
	t.Fatal("no server has the partition")
	return 0, 0
}

func TestASlotThatMovesTakesItsFeedsAlong(t *testing.T) {
	servers := startCluster(t, 3, false)
	b := open(t, clusterURL(servers), quick, func(o *Options) { o.CallTimeout = 2 * time.Second })
	edge := open(t, clusterURL(servers), quick, sameStore(b))
	f := fleetIn(0, 1)
	o := runOwner(t, b, f)
	o.waitFor(t)
	v := watch(t, edge, 0)
	v.sees(t, o)
	at := v.at
	from, slot := ownerOf(t, servers, b)
	to := (from + 1) % len(servers)
	moveSlot(t, servers, from, to, slot)
	began := time.Now()
	v.sees(t, o)
	t.Logf("current %v after the slot moved, %d snapshots, counts %v", time.Since(began).Round(time.Millisecond), v.snapshots, edge.Stats().Counts)
	if v.at.Epoch != at.Epoch || v.at.Offset <= at.Offset || o.lost.Load() != 0 {
		t.Fatalf("position is %+v, was %+v; leases lost %d", v.at, at, o.lost.Load())
	}
	if err := door(b)(t.Context(), entry(f, 1)); err != nil {
		t.Fatal(err)
	}
}

func moveSlot(t *testing.T, servers []*server, from, to int, slot int64) {
	t.Helper()
	source, target := servers[from], servers[to]
	target.do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", source.do(t, "CLUSTER", "MYID"))
	source.do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", target.do(t, "CLUSTER", "MYID"))
	for {
		names := source.do(t, "CLUSTER", "GETKEYSINSLOT", slot, 100).([]any)
		if len(names) == 0 {
			break
		}
		args := []any{"MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS"}
		source.do(t, append(args, names...)...)
	}
	id := target.do(t, "CLUSTER", "MYID")
	target.do(t, "CLUSTER", "SETSLOT", slot, "NODE", id)
	for _, s := range servers {
		if s != target {
			s.do(t, "CLUSTER", "SETSLOT", slot, "NODE", id)
		}
	}
}

func TestAClusterThatLosesAMasterGoesOn(t *testing.T) {
	soak(t)
	servers := startCluster(t, 3, true)
	b := open(t, clusterURL(servers), func(o *Options) { o.CallTimeout = 20 * time.Second })
	edge := open(t, clusterURL(servers), sameStore(b))
	f := fleetIn(0, 1)
	o := runOwner(t, b, f)
	o.waitFor(t)
	v := watch(t, edge, 0)
	v.sees(t, o)
	kept := appendWhile(t, b, f)
	at, _ := ownerOf(t, servers, b)
	epoch := v.at.Epoch
	eventually(t, "the replica has the state", func() error {
		if info := servers[at+3].do(t, "INFO", "replication").(string); !strings.Contains(info, "master_link_status:up") || servers[at+3].do(t, "DBSIZE") == int64(0) {
			return errors.New(info)
		}
		return nil
	})
	servers[at].kill()
	began := time.Now()
	eventually(t, "a replica takes over", func() error {
		info := fmt.Sprint(servers[(at+1)%3].do(t, "CLUSTER", "INFO"))
		if !strings.Contains(info, "cluster_state:ok") || strings.Contains(info, "cluster_slots_fail:0\r") && strings.Contains(fmt.Sprint(servers[at+3].do(t, "ROLE")), "slave") {
			return errors.New(info)
		}
		return nil
	})
	t.Logf("a replica is master after %v", time.Since(began))
	v.sees(t, o)
	t.Logf("current %v after the master died; epoch kept %v, leases lost %d, %d snapshots, counts %v",
		time.Since(began).Round(time.Millisecond), v.at.Epoch == epoch, o.lost.Load(), v.snapshots, edge.Stats().Counts)
	kept(t)
	if v.at.Epoch == epoch && o.lost.Load() != 0 || v.epochs > 2 {
		t.Fatalf("%d epochs, lost %d", v.epochs, o.lost.Load())
	}
}

// appendWhile appends until the returned function is called, which then wants the appends to work again.
func appendWhile(t *testing.T, b *Bus, f devices.FleetID) func(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	failed := 0
	go func() {
		defer close(done)
		d := door(b)
		for n := 0; pause(ctx, nil, 20*time.Millisecond); n++ {
			if err := d(ctx, entry(f, n)); err != nil && ctx.Err() == nil && !errors.Is(err, bus.ErrInletFull) {
				failed++
			}
		}
	}()
	stop := func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return func(t *testing.T) {
		stop()
		t.Logf("%d appends were given up", failed)
		eventually(t, "append works", func() error { return door(b)(t.Context(), entry(f, 0)) })
	}
}
