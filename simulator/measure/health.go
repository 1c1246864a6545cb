package measure

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// probeInterval is how often the probe wants to wake up.
const probeInterval = 10 * time.Millisecond

// Beyond these the generator, not what it measures, may be what a latency shows.
const (
	sickWakeUp = 20 // ms, p99
	sickCPU    = 0.9
)

// Health is how the generator itself did. It stands first in every report, so that a sick generator is not read as a
// slow server.
type Health struct {
	CPU    CPU         `json:"cpu"`
	Cores  int         `json:"cores"`
	Share  float64     `json:"cpu_share"` // of all the cores it may use
	WakeUp Percentiles `json:"wake_up_late"`
	Memory int64       `json:"peak_resident_bytes,omitempty"`
	Notes  []string    `json:"notes,omitempty"`
}

// Probe watches how late this process wakes up and what it uses.
type Probe struct {
	late  *Histogram
	start time.Time
	cpu   CPU
}

// NewProbe starts counting processor time; Run is what watches.
func NewProbe() (*Probe, error) {
	cpu, err := SelfCPU()
	if err != nil {
		return nil, err
	}
	return &Probe{late: NewHistogram(), start: time.Now(), cpu: cpu}, nil
}

// Run watches until ctx ends.
func (p *Probe) Run(ctx context.Context) {
	timer := time.NewTimer(probeInterval)
	defer timer.Stop()
	for want := time.Now().Add(probeInterval); ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		p.late.Record(now.Sub(want))
		want = now.Add(probeInterval)
		timer.Reset(probeInterval)
	}
}

// Health reports what was seen so far.
func (p *Probe) Health() (Health, error) {
	cpu, err := SelfCPU()
	if err != nil {
		return Health{}, err
	}
	h := Health{CPU: cpu.Sub(p.cpu), Cores: runtime.GOMAXPROCS(0), WakeUp: Sum(p.late)}
	if wall := time.Since(p.start).Seconds(); wall > 0 {
		h.Share = h.CPU.Total() / wall / float64(h.Cores)
	}
	if h.Memory, err = SelfPeak(); err != nil {
		return Health{}, err
	}
	h.Notes = h.judge()
	return h, nil
}

// Worst is the health of several generators at its worst: the processor time of the one that used most of its machine, the
// wake-ups of the one that woke up latest, and the memory of the one that took most. Percentiles of several are no sum.
func Worst(all []Health) (worst Health) {
	for _, h := range all {
		if h.Share >= worst.Share {
			worst.Share, worst.CPU, worst.Cores = h.Share, h.CPU, h.Cores
		}
		if h.WakeUp.P99 >= worst.WakeUp.P99 {
			worst.WakeUp = h.WakeUp
		}
		worst.Memory = max(worst.Memory, h.Memory)
	}
	worst.Notes = worst.judge()
	return worst
}

func (h *Health) judge() []string {
	var notes []string
	if h.Share > sickCPU {
		notes = append(notes, fmt.Sprintf("the generator used %.0f %% of its %d cores and may be the bottleneck", h.Share*100, h.Cores))
	}
	if h.WakeUp.P99 > sickWakeUp {
		notes = append(notes, fmt.Sprintf("the generator woke up %.0f ms late at p99: latencies hold that much of its own", h.WakeUp.P99))
	}
	return notes
}

// AppendText writes the health for people.
func (h *Health) AppendText(b *strings.Builder) {
	fmt.Fprintf(b, "%-13s %.2f s of CPU, %.0f %% of %d cores; wakes up late p99 %.3g ms, max %.3g ms\n",
		"generator", h.CPU.Total(), h.Share*100, h.Cores, h.WakeUp.P99, h.WakeUp.Max)
	for _, note := range h.Notes {
		fmt.Fprintf(b, "%-13s %s\n", "  note", note)
	}
}
