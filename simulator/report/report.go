package report

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/prove"
	"github.com/fleetcast/fleetcast/simulator/proxy"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Version is that of the report's JSON. It grows when a member changes its meaning.
const Version = 1

// Report is what a run found. The generator's health stands first, so that a sick generator is not read as a slow server.
type Report struct {
	Version int            `json:"version"`
	Health  measure.Health `json:"generator"`

	// Run is nil in a report of an older simulator; Merged is nil unless it was merged of several.
	Run    *Run    `json:"run,omitempty"`
	Merged *Merged `json:"merged,omitempty"`

	Name    string    `json:"name"`
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	Command []string  `json:"command,omitempty"`
	Host    Host      `json:"host"`
	Notes   []string  `json:"notes,omitempty"`

	Thresholds []Outcome          `json:"thresholds"`
	Values     map[string]float64 `json:"values"`

	Latencies map[string]measure.Percentiles `json:"latencies"`
	Curves    map[string][]measure.Point     `json:"curves"`
	Series    []Sample                       `json:"series"`
	Events    []Event                        `json:"events,omitempty"`

	Devices []Devices     `json:"devices,omitempty"`
	Viewers []Viewers     `json:"viewers,omitempty"`
	Ledger  *prove.Report `json:"ledger,omitempty"`
	Audit   *Audit        `json:"audit,omitempty"`
	Proxies []Proxy       `json:"proxies,omitempty"`

	// Histograms are nil as Run, and in a report that was not written yet: MarshalJSON makes them of held.
	Histograms *Histograms `json:"histograms,omitempty"`
	held       byGroup
}

// Proxy is what passed through a bad network.
type Proxy struct {
	Name string `json:"name"`
	proxy.Counts
}

// Devices are a group of devices.
type Devices struct {
	Name string `json:"name"`
	fleet.Summary
}

// Viewers are a group of viewers.
type Viewers struct {
	Name string `json:"name"`
	watch.Report
}

// Audit is what was found of the devices' last acknowledged messages when the run was over.
type Audit struct {
	Owed    int      `json:"owed"`    // devices of which something was acknowledged
	Kept    int      `json:"kept"`    // of those, that are as new as that
	Missing int      `json:"missing"` // and those that are not
	Seconds float64  `json:"seconds"` // that it took until all was there, or was given up
	Of      []string `json:"examples,omitempty"`
}

// Event is something that was done to the installation.
type Event struct {
	At   float64 `json:"at_seconds"`
	Name string  `json:"name"`
}

// Sample is a second of a run. Rates are of that second; latencies in ms.
type Sample struct {
	At        float64 `json:"at_seconds"`
	Connected int64   `json:"connected"`
	Offered   float64 `json:"offered_per_second"`
	Sent      float64 `json:"sent_per_second"`
	Acked     float64 `json:"acked_per_second"`
	Skipped   float64 `json:"skipped_per_second"`
	Live      int64   `json:"live"`
	Updates   float64 `json:"updates_per_second"`
	Resets    int64   `json:"resets"`
	Fresh50   float64 `json:"fresh_p50_ms"`
	Fresh99   float64 `json:"fresh_p99_ms"`
	Ack99     float64 `json:"ack_p99_ms"`
	CPU       float64 `json:"generator_cores"`
}

// Host is the machine that the load came from.
type Host struct {
	Name      string `json:"name,omitempty"`
	OS        string `json:"os"`
	Arch      string `json:"arch"`
	Kernel    string `json:"kernel,omitempty"`
	Cores     int    `json:"cores"`
	Go        string `json:"go"`
	Simulator string `json:"simulator"`
	OpenFiles uint64 `json:"open_files"`
	Ports     string `json:"ports,omitempty"`
}

// ThisHost asks the kernel.
func ThisHost() Host {
	h := Host{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(), Simulator: "unknown"}
	if b, ok := debug.ReadBuildInfo(); ok {
		h.Simulator = b.Main.Version
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				h.Simulator = s.Value
			}
		}
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		h.OpenFiles = limit.Cur
	}
	h.Name, _ = os.Hostname() // a machine may have none
	h.Kernel, h.Ports = line("/proc/sys/kernel/osrelease"), line("/proc/sys/net/ipv4/ip_local_port_range")
	return h
}

// line is a file's text in one line, "" where there is no such file.
func line(file string) string {
	text, err := os.ReadFile(file) //nolint:gosec // one of two files of the kernel's
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(text)), " ")
}
