package redistest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// StartCluster starts masters that share the slots, each with a replica where that is asked for: the replica of master i
// is at masters+i. It returns the URL too. args are of every server.
func StartCluster(t testing.TB, masters int, replicas bool, args ...string) ([]*Server, string) {
	t.Helper()
	n := masters
	if replicas {
		n *= 2
	}
	var all []*Server
	var addrs []string
	for range n {
		s := Start(t, append([]string{
			"--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
			"--cluster-replica-validity-factor", "0", "--repl-ping-replica-period", "1",
		}, args...)...)
		all = append(all, s)
		addrs = append(addrs, s.Addr())
	}
	for i, s := range all {
		s.Do(t, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	for i := range masters {
		all[i].Do(t, "CLUSTER", "ADDSLOTSRANGE", i*16384/masters, (i+1)*16384/masters-1)
	}
	for _, s := range all[1:] {
		s.Do(t, "CLUSTER", "MEET", "127.0.0.1", all[0].Port)
	}
	for _, s := range all {
		Eventually(t, "cluster is whole", func() error {
			info := fmt.Sprint(s.Do(t, "CLUSTER", "INFO"))
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", n)) {
				return errors.New(info)
			}
			return nil
		})
	}
	for i := masters; i < n; i++ {
		id := all[i-masters].Do(t, "CLUSTER", "MYID")
		c := all[i].Client()
		Eventually(t, "replica begins", func() error { return c.Do(t.Context(), "CLUSTER", "REPLICATE", id).Err() })
		_ = c.Close()
		all[i].isLinked(t)
	}
	return all, "redis+cluster://" + strings.Join(addrs, ",")
}

func (s *Server) isLinked(t testing.TB) {
	t.Helper()
	Eventually(t, "replica is linked", func() error {
		if info := s.Do(t, "INFO", "replication").(string); !strings.Contains(info, "master_link_status:up") {
			return errors.New(info)
		}
		return nil
	})
}

// StartSentinels starts a master with two replicas, and three Sentinels that watch them under the name fleet.
func StartSentinels(t testing.TB) (master *Server, url string) {
	t.Helper()
	master = Start(t)
	for range 2 {
		Start(t, "--replicaof", "127.0.0.1 "+fmt.Sprint(master.Port)).isLinked(t)
	}
	var sentinels []*Server
	var addrs []string
	for range 3 {
		s := startSentinel(t, master)
		sentinels = append(sentinels, s)
		addrs = append(addrs, s.Addr())
	}
	for _, s := range sentinels {
		Eventually(t, "sentinels know each other", func() error {
			got := fmt.Sprint(s.Do(t, "SENTINEL", "MASTER", "fleet"))
			if !strings.Contains(got, "num-other-sentinels 2") || !strings.Contains(got, "num-slaves 2") {
				return errors.New(got)
			}
			return nil
		})
	}
	return master, "redis+sentinel://" + strings.Join(addrs, ",") + "/fleet"
}

func startSentinel(t testing.TB, master *Server) *Server {
	t.Helper()
	s := &Server{Port: freePort(t), Dir: t.TempDir()}
	config := filepath.Join(s.Dir, "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nlogfile %s\nsentinel monitor fleet 127.0.0.1 %d 2\n"+
		"sentinel down-after-milliseconds fleet 1000\nsentinel failover-timeout fleet 5000\n",
		s.Port, s.Dir, filepath.Join(s.Dir, "log"), master.Port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	s.run(t, config, "--sentinel")
	c := s.Client()
	defer func() { _ = c.Close() }()
	Eventually(t, "sentinel answers", func() error { return c.Do(t.Context(), "PING").Err() })
	return s
}
