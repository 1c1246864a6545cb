package app

import (
	"net/http"

	"github.com/fleetcast/fleetcast/devices/latency"
	"github.com/fleetcast/fleetcast/gateway/metrics"
)

// The stages of freshness, in the order of a message's way. Each is measured where it ends, so the sum of their percentiles
// is more than that of the way.
const freshnessName = "freshness_seconds"

var freshnessHelp = "How old a device's newest message was, by stage: device (from the time that it claims until the inlet had it), " +
	"owner (from there until its state was published), bus (from there until an edge had it), by fleet."

func (a *App) metricsHandler() (http.Handler, error) {
	return metrics.Handler(metrics.Options{
		Stats: func() any { return a.stats() }, Metrics: metricsTable, Histograms: a.histograms, Version: Version(),
	})
}

// histograms are what the parts of this process count in buckets.
func (a *App) histograms() (all []metrics.Histogram) {
	p := a.parts
	stage := func(name string, byFleet map[string]latency.Snapshot) {
		for fleet, value := range byFleet {
			all = append(all, metrics.Histogram{
				Name: freshnessName, Help: freshnessHelp, Labels: map[string]string{"stage": name, "fleet": fleet}, Value: value,
			})
		}
	}
	one := func(name, help string, value latency.Snapshot) {
		all = append(all, metrics.Histogram{Name: name, Help: help, Value: value})
	}
	if p.door != nil {
		one("mqtt_commit_seconds", "What an append to the inlet took, after which its messages are acknowledged.", p.door.Stats().CommitTime)
	}
	if p.bridge != nil {
		fresh := p.bridge.Stats().Fresh
		stage("device", fresh.Device)
		stage("owner", fresh.Owner)
		one("bridge_publish_seconds", "What the bus took to commit a batch.", fresh.Publish)
	}
	if p.hub != nil {
		stage("bus", p.hub.Stats().Bus)
		one("sse_write_seconds", "What a write to a viewer took.", p.stream.Stats().Write)
	}
	return all
}
