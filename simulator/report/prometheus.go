package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// prefix of all names; units are base units, as Prometheus wants it.
const prefix = "fleetcast_simulator_"

// WritePrometheus writes the values in the text format: values without a group, with those of groups under a label, and
// the latencies as summaries in seconds.
func (r *Report) WritePrometheus(w io.Writer) error {
	var b strings.Builder
	byName := map[string][]string{} // lines by the metric's name, since a metric's lines stand together
	for _, name := range slices.Sorted(maps.Keys(r.Values)) {
		group, bare, found := strings.Cut(name, ".")
		if !found {
			group, bare = "", name
		}
		v, known := allValues[bare]
		if !known || isLatency(bare) {
			continue
		}
		metric, scale := prefix+bare, 1.0
		switch v.unit {
		case milliseconds:
			metric, scale = metric+"_seconds", 1e-3
		case share:
			metric += "_ratio"
		case perSecond:
			metric += "_per_second"
		case count:
		}
		byName[metric] = append(byName[metric], fmt.Sprintf("%s%s %s\n", metric, label(group), number(r.Values[name]*scale)))
	}
	for _, metric := range slices.Sorted(maps.Keys(byName)) {
		fmt.Fprintf(&b, "# TYPE %s gauge\n%s", metric, strings.Join(byName[metric], ""))
	}
	r.latencySummaries(&b)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

func isLatency(name string) bool {
	return slices.ContainsFunc(latencies, func(l struct{ name, about string }) bool {
		return strings.HasPrefix(name, l.name+"_") && allValues[name].about == l.about
	})
}

func label(group string) string {
	if group == "" {
		return ""
	}
	return fmt.Sprintf("{group=%q}", group)
}

func number(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }

func (r *Report) latencySummaries(b *strings.Builder) {
	const metric = prefix + "latency_seconds"
	fmt.Fprintf(b, "# HELP %s From and to what a stage is, simulator values says.\n# TYPE %s summary\n", metric, metric)
	for _, stage := range slices.Sorted(maps.Keys(r.Latencies)) {
		p := r.Latencies[stage]
		for _, q := range []struct {
			name string
			ms   float64
		}{{"0.5", p.P50}, {"0.9", p.P90}, {"0.95", p.P95}, {"0.99", p.P99}, {"0.999", p.P999}, {"1", p.Max}} {
			if p.Count > 0 {
				fmt.Fprintf(b, "%s{stage=%q,quantile=%q} %s\n", metric, stage, q.name, number(q.ms/1000))
			}
		}
		fmt.Fprintf(b, "%s_sum{stage=%q} %s\n%s_count{stage=%q} %d\n", metric, stage, number(p.Mean*float64(p.Count)/1000), metric, stage, p.Count)
	}
}

// Serve answers GET /metrics at an address with what was measured so far, until ctx ends.
func (r *Recorder) Serve(ctx context.Context, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_ = r.Report(nil, nil).WritePrometheus(w) // whoever asked may be gone
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}
