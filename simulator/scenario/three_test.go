package scenario

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices/redisconn/redistest"
	"github.com/fleetcast/fleetcast/simulator/bench"
	"github.com/fleetcast/fleetcast/simulator/prove"
)

// owned is how many partitions a bridge says that it owns; none where it does not answer.
func owned(ctx context.Context, admin string) (n int) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		return 0
	}
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0
	}
	_, value, _ := strings.Cut(string(text), "\nfleetcast_bridge_partitions_owned ")
	_, _ = fmt.Sscan(value, &n) // what is not there is 0
	return n
}

// takeOver kills whichever bridge owns the most, and starts it again only when the others own every partition.
func takeOver(bridges []*prove.Gateway, admins []string) prove.Fault {
	killed := 0
	return prove.Fault{
		Name: "a bridge that is killed and stays away", Loses: true,
		Break: func(ctx context.Context) error {
			most := 0
			for i, admin := range admins {
				if n := owned(ctx, admin); n > most {
					most, killed = n, i
				}
			}
			return bridges[killed].Kill(ctx)
		},
		Mend: func(ctx context.Context) error {
			err := until(ctx, "the other bridges to own every partition", func() bool {
				all := 0
				for i, admin := range admins {
					if i != killed {
						all += owned(ctx, admin)
					}
				}
				return all == 16
			})
			if err != nil {
				return err
			}
			return bridges[killed].Restart(ctx)
		},
	}
}

func TestNothingAcknowledgedIsLostWhereThreeOfEachTakeOver(t *testing.T) {
	t.Parallel()
	_, url := redistest.StartCluster(t, 3, false)
	door := startGateway(t, "--roles=broker", "--redis="+url)
	var bridges, edges []*prove.Gateway
	var admins, urls []string
	for range 3 {
		admin := freeAddress(t)
		bridges = append(bridges, startGateway(t, "--roles=bridge", "--redis="+url, "--admin-listen="+admin))
		edge := startGateway(t, "--roles=edge", "--redis="+url)
		admins, edges, urls = append(admins, admin), append(edges, edge), append(urls, edge.URL())
	}
	o := durable([]string{door.MQTT()}, urls)
	o.Viewers = 9
	o.Faults = []prove.Fault{inTurn(takeOver(bridges, admins), edges[0].KillFault(), takeOver(bridges, admins), edges[1].KillFault())}
	o.FaultCount = times(2, 20)
	r := run(t, o)
	if r.Streams <= int64(r.Viewers) {
		t.Errorf("%d viewers opened %d streams: nobody resumed at another edge", r.Viewers, r.Streams)
	}
}

// The bench of a cluster in its small form: everything is found that the model is compared in. What the numbers are is no matter.
func TestTheClusterIsMeasuredBesideTheModel(t *testing.T) {
	find(t, "redis-server")
	r, err := bench.Run(t.Context(), bench.Options{Gateway: gatewayProgram(t), Window: 100 * time.Millisecond, Small: true, Out: t.TempDir()}, &bench.Cluster{Rate: 2})
	if err != nil {
		t.Fatal(err)
	}
	rows, ok := r.Sections[0].Result.([]*bench.ClusterRow)
	if !ok || len(rows) != 1 || rows[0].Each != 3 || rows[0].Partitions < 2 || len(rows[0].Spread) != 10 {
		t.Fatalf("%+v", r.Sections[0].Result)
	}
	partitions, devices := 0.0, 0.0
	for _, p := range rows[0].Spread {
		partitions, devices = partitions+p.Partitions, devices+p.Devices
	}
	if partitions != 16 || devices != float64(rows[0].Load.Devices) || rows[0].Viewers.Violations != 0 || rows[0].Viewers.Updates == 0 {
		t.Errorf("%v partitions with %v devices; %+v", partitions, devices, rows[0].Viewers)
	}
	for _, line := range bench.Compared(rows[0]) {
		if line.Got <= 0 || line.Model <= 0 {
			t.Errorf("%s: measured %v, by the model %v", line.Name, line.Got, line.Model)
		}
	}
}
