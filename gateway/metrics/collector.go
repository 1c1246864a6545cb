package metrics

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fleetcast/fleetcast/devices/latency"
)

// Namespace begins every name.
const Namespace = "fleetcast"

// Kind is what a number does over time.
type Kind uint8

// The kinds.
const (
	Counter Kind = iota // only grows, while the process lives; its name ends in _total
	Gauge               // is how it is now
)

// Metric says what a number of the tree is to Prometheus.
type Metric struct {
	// Path are the names of the levels as in JSON, joined with dots. A last level * is a map, whose keys become the values
	// of Label.
	Path  string
	Name  string // without the namespace and without _total
	Kind  Kind
	Help  string
	Label string
	// Scale brings the number to a base unit, such as 0.001 for what is in ms; 0 is 1.
	Scale float64
	// Key takes one entry of a map as a metric of its own, and away from that of the map.
	Key string
}

// Histogram is what a part has counted in buckets.
type Histogram struct {
	Name   string // without the namespace
	Help   string
	Labels map[string]string // of one name, every histogram has the same ones
	Value  latency.Snapshot
}

// Options of a Handler. All must be set.
type Options struct {
	Stats      func() any // the tree
	Metrics    []Metric
	Histograms func() []Histogram
	Version    string
}

// Handler answers with all metrics, those of the Go runtime and of the process among them.
func Handler(o Options) (http.Handler, error) {
	c, err := newCollector(&o)
	if err != nil {
		return nil, fmt.Errorf("make metrics: %w", err)
	}
	registry := prometheus.NewRegistry()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: Namespace, Name: "build_info", Help: "1, with the version of the program as a label.",
	}, []string{"version"})
	build.WithLabelValues(o.Version).Set(1)
	for _, each := range []prometheus.Collector{
		c, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(each); err != nil {
			return nil, fmt.Errorf("make metrics: %w", err)
		}
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2}), nil
}

// Missing are the paths of a tree that the metrics do not name, each once.
func Missing(stats any, metrics []Metric) (paths []string) {
	named := map[string]bool{}
	for _, m := range metrics {
		named[m.Path] = true
	}
	walk(stats, func(l leaf) {
		if !named[l.path] {
			named[l.path] = true
			paths = append(paths, l.path)
		}
	})
	return paths
}

// Idle are the names of metrics for which a tree has nothing, each once.
func Idle(stats any, metrics []Metric) (names []string) {
	there := map[string]bool{}
	walk(stats, func(l leaf) { there[l.path] = true })
	fed := map[string]bool{}
	for _, m := range metrics {
		fed[m.Name] = fed[m.Name] || there[m.Path]
	}
	for _, m := range metrics {
		if !fed[m.Name] {
			fed[m.Name] = true
			names = append(names, m.Name)
		}
	}
	return names
}

// Doc is a metric as documents list it.
type Doc struct {
	Name, Kind, Label, Help string
}

// Docs lists the metrics of a table by name. Several that have the same name are one.
func Docs(metrics []Metric) []Doc {
	all := make([]Doc, 0, len(metrics))
	for _, m := range metrics {
		d := Doc{Namespace + "_" + m.name(), "counter", m.Label, m.Help}
		if m.Kind == Gauge {
			d.Kind = "gauge"
		}
		if !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b Doc) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// name is the metric's without the namespace.
func (m *Metric) name() string {
	if m.Kind == Counter && !strings.HasSuffix(m.Name, "_total") {
		return m.Name + "_total"
	}
	return m.Name
}

// place is where a number of the tree is looked up: of a key of a map first by the key, then without one.
type place struct{ path, key string }

type collector struct {
	options *Options
	metrics map[place]*described
}

type described struct {
	Metric
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newCollector(o *Options) (*collector, error) {
	c := &collector{options: o, metrics: map[place]*described{}}
	for _, m := range o.Metrics {
		at := place{m.Path, m.Key}
		if c.metrics[at] != nil {
			return nil, fmt.Errorf("%s has two metrics", m.Path)
		}
		if m.Scale == 0 {
			m.Scale = 1
		}
		d := &described{Metric: m, kind: prometheus.CounterValue}
		if m.Kind == Gauge {
			d.kind = prometheus.GaugeValue
		}
		var labels []string
		if m.Label != "" {
			labels = []string{m.Label}
		}
		d.desc = prometheus.NewDesc(prometheus.BuildFQName(Namespace, "", m.name()), m.Help, labels, nil)
		c.metrics[at] = d
	}
	return c, nil
}

// Describe says nothing: which metrics there are depends on the roles of the process. What is collected is still checked
// to be consistent.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect walks the tree.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	walk(c.options.Stats(), func(l leaf) {
		m := c.metrics[place{l.path, l.key}]
		if m == nil {
			if m = c.metrics[place{path: l.path}]; m == nil {
				return
			}
		}
		var values []string
		if m.Label != "" {
			values = []string{l.key}
		}
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, l.value*m.Scale, values...)
	})
	for _, h := range c.options.Histograms() {
		out <- h.metric()
	}
}

func (h *Histogram) metric() prometheus.Metric {
	below, buckets := uint64(0), make(map[float64]uint64, len(latency.Bounds))
	for i, bound := range latency.Bounds {
		below += h.Value.Counts[i]
		buckets[bound.Seconds()] = below
	}
	desc := prometheus.NewDesc(prometheus.BuildFQName(Namespace, "", h.Name), h.Help, nil, h.Labels)
	return prometheus.MustNewConstHistogram(desc, h.Value.Count(), h.Value.Sum.Seconds(), buckets)
}
