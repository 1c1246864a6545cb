package redisbus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startSentinels starts a master with two replicas, and three Sentinels that watch them.
func startSentinels(t *testing.T) (master *server, url string) {
	t.Helper()
	master = startServer(t)
	for range 2 {
		replica := startServer(t, "--replicaof", "127.0.0.1 "+fmt.Sprint(master.port))
		eventually(t, "replica is linked", func() error {
			if info := replica.do(t, "INFO", "replication").(string); !strings.Contains(info, "master_link_status:up") {
				return errors.New(info)
			}
			return nil
		})
	}
	var addrs []string
	for range 3 {
		s := &server{port: freePort(t), dir: t.TempDir()}
		config := filepath.Join(s.dir, "sentinel.conf")
		text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nlogfile %s\nsentinel monitor fleet 127.0.0.1 %d 2\n"+
			"sentinel down-after-milliseconds fleet 1000\nsentinel failover-timeout fleet 5000\n",
			s.port, s.dir, filepath.Join(s.dir, "log"), master.port)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.cmd = exec.Command(needRedis(t), config, "--sentinel")
		if err := s.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.kill)
		c := s.client()
		eventually(t, "sentinel answers", func() error { return c.Do(t.Context(), "PING").Err() })
		_ = c.Close()
		addrs = append(addrs, s.addr())
	}
	for _, addr := range addrs {
		s := &server{}
		_, _ = fmt.Sscanf(addr, "127.0.0.1:%d", &s.port)
		eventually(t, "sentinels know each other", func() error {
			got := fmt.Sprint(s.do(t, "SENTINEL", "MASTER", "fleet"))
			if !strings.Contains(got, "num-other-sentinels 2") || !strings.Contains(got, "num-slaves 2") {
				return errors.New(got)
			}
			return nil
		})
	}
	return master, "redis+sentinel://" + strings.Join(addrs, ",") + "/fleet"
}

func TestAFailoverBySentinelIsSurvived(t *testing.T) {
	soak(t)
	master, url := startSentinels(t)
	b := open(t, url)
	edge := open(t, url, sameStore(b))
	f := fleetIn(0, 1)
	o := runOwner(t, b, f)
	o.waitFor(t)
	v := watch(t, edge, 0)
	v.sees(t, o)
	kept := appendWhile(t, b, f)
	epoch := v.at.Epoch
	master.kill()
	began := time.Now()
	v.sees(t, o)
	t.Logf("current %v after the master died; epoch kept %v, leases lost %d, %d snapshots, counts %v",
		time.Since(began).Round(time.Millisecond), v.at.Epoch == epoch, o.lost.Load(), v.snapshots, edge.Stats().Counts)
	kept(t)
	if err := b.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestABlackHoleOfThirtySecondsIsSurvived(t *testing.T) {
	soak(t)
	s := startServer(t)
	way := startProxy(t, s.addr())
	b := open(t, way.url())
	f := fleetIn(0, 1)
	o := runOwner(t, b, f)
	o.waitFor(t)
	v := watch(t, b, 0)
	v.sees(t, o)
	epoch := v.at.Epoch
	kept := appendWhile(t, b, f)
	way.blackHole.Store(true)
	pause(t.Context(), nil, 30*time.Second)
	way.blackHole.Store(false)
	began := time.Now()
	v.sees(t, o)
	t.Logf("current %v after thirty seconds; leases lost %d, %d snapshots, counts %v",
		time.Since(began).Round(time.Millisecond), o.lost.Load(), v.snapshots, b.Stats().Counts)
	kept(t)
	if v.at.Epoch != epoch || o.lost.Load() != 0 {
		t.Fatalf("epoch kept %v, leases lost %d", v.at.Epoch == epoch, o.lost.Load())
	}
}

func TestACloseInABlackHoleIsBounded(t *testing.T) {
	s := startServer(t)
	way := startProxy(t, s.addr())
	b := open(t, way.url(), quick)
	l := own(t, b, 0)
	watch(t, b, 0)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reading := make(chan error, 1)
	go func() {
		_, err := l.Read(ctx, 1)
		reading <- err
	}()
	way.blackHole.Store(true)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-reading; err == nil || ctx.Err() != nil {
		t.Fatalf("Read ends with %v", err)
	}
}
