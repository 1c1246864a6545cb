package report

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/measure"
)

// ErrIncomplete says that a merged report is not of the whole run. It comes wrapped.
var ErrIncomplete = errors.New("the run is not whole")

// Merged says of what a report was merged.
type Merged struct {
	Of     int    `json:"of"` // shards that the run had
	Shards []Part `json:"shards"`
	// Missing are those of which there is no report, and Idle those in which too little happened to show anything.
	Missing []fleet.Shard `json:"missing,omitempty"`
	Idle    []fleet.Shard `json:"idle,omitempty"`
	// Common is how long all that are there ran at the same time; at most 0, they never did.
	Common float64 `json:"common_seconds"`
	CPU    float64 `json:"cpu_seconds"` // of all generators together
	Memory int64   `json:"peak_resident_bytes"`
}

// Part is a shard of a merged report. Of several generators each is shown, since one that is sick makes the whole sick.
type Part struct {
	Shard   fleet.Shard    `json:"shard"`
	File    string         `json:"file"`
	Health  measure.Health `json:"generator"`
	Began   time.Time      `json:"began"`
	Seconds float64        `json:"seconds"`
	Host    Host           `json:"host"`
	Command []string       `json:"command,omitempty"`
}

func newMerged(sources []Source) *Merged {
	m := &Merged{Of: max(sources[0].Report.Run.Shard.Of, 1)}
	there := map[int]bool{}
	var began, ended time.Time
	for i, s := range sources {
		r := s.Report
		there[r.Run.Shard.Part] = true
		m.Shards = append(m.Shards, Part{r.Run.Shard, s.File, r.Health, r.Began, r.Seconds, r.Host, r.Command})
		if r.isIdle() {
			m.Idle = append(m.Idle, r.Run.Shard)
		}
		if i == 0 || r.Began.After(began) {
			began = r.Began
		}
		if i == 0 || r.ended().Before(ended) {
			ended = r.ended()
		}
		m.CPU, m.Memory = m.CPU+r.Health.CPU.Total(), m.Memory+r.Health.Memory
	}
	for part := 1; part <= m.Of; part++ {
		if !there[part] {
			m.Missing = append(m.Missing, fleet.Shard{Part: part, Of: m.Of})
		}
	}
	m.Common = ended.Sub(began).Seconds()
	return m
}

// isIdle tells whether too little happened to show anything.
func (r *Report) isIdle() bool {
	if l := r.Ledger; l != nil && (l.Acked == 0 || l.Delivered == 0) {
		return true
	}
	var connects, opened int64
	for i := range r.Devices {
		connects += r.Devices[i].Whole.Connects
	}
	for i := range r.Viewers {
		opened += r.Viewers[i].Opened
	}
	return len(r.Devices) > 0 && connects == 0 || len(r.Viewers) > 0 && opened == 0
}

// Complete is ErrIncomplete where a merged report lacks a shard, or its shards never ran at the same time.
func (r *Report) Complete() error {
	switch m := r.Merged; {
	case m == nil:
		return nil
	case len(m.Missing) > 0:
		return fmt.Errorf("%w: %s", ErrIncomplete, m.missing())
	case m.Common <= 0:
		return fmt.Errorf("%w: the shards never ran all at the same time", ErrIncomplete)
	}
	return nil
}

func (m *Merged) missing() string {
	var names []string
	for _, s := range m.Missing[:min(len(m.Missing), maxShardExamples)] {
		names = append(names, shardName(s))
	}
	if more := len(m.Missing) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	if len(names) == 1 {
		return "shard " + names[0] + " is missing"
	}
	return "shards " + strings.Join(names, ", ") + " are missing"
}

func (m *Merged) notes(seconds float64) (notes []string) {
	if len(m.Missing) > 0 {
		notes = append(notes, fmt.Sprintf("NOT WHOLE: %s of %d: every count and rate lacks its part", m.missing(), m.Of))
	}
	switch {
	case m.Common <= 0:
		notes = append(notes, fmt.Sprintf("NOT WHOLE: the shards never ran all at the same time, by their clocks; rates are sums of times that lie up to %.0f s apart", -m.Common))
	case len(m.Shards) > 1:
		notes = append(notes, fmt.Sprintf("the shards ran all at the same time for %.1f s of %.1f s", m.Common, seconds))
	}
	for _, s := range m.Idle {
		notes = append(notes, fmt.Sprintf("too little happened in shard %s to show anything", shardName(s)))
	}
	return notes
}

// appendText writes the shards for people.
func (m *Merged) appendText(b *strings.Builder) {
	fmt.Fprintf(b, "%-13s %d of %d merged; all generators together %.2f s of CPU, %.0f MB; the worst stands above\n",
		"shards", len(m.Shards), m.Of, m.CPU, float64(m.Memory)/1e6)
	for i := range m.Shards {
		p := &m.Shards[i]
		fmt.Fprintf(b, "%-13s from %s for %.1f s, %s; %.2f s of CPU, %.0f %% of %d cores; wakes up late p99 %.3g ms, max %.3g ms\n", "  "+shardName(p.Shard),
			p.Began.Format("15:04:05"), p.Seconds, p.machine(), p.Health.CPU.Total(), p.Health.Share*100, p.Health.Cores, p.Health.WakeUp.P99, p.Health.WakeUp.Max)
	}
}

func (p *Part) machine() string {
	if p.Host.Name == "" {
		return p.Host.OS + "/" + p.Host.Arch
	}
	return "on " + p.Host.Name
}

// processes is how many processes the load came from.
func (r *Report) processes() int {
	if r.Merged == nil {
		return 1
	}
	return len(r.Merged.Shards)
}
