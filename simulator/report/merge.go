package report

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/prove"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// maxShardExamples bounds the examples of one kind in a merged report.
const maxShardExamples = 10

// Source is a report to be merged, and the file that it is of.
type Source struct {
	File   string
	Report *Report
}

// Merge adds the reports of the shards of one run. It refuses what is not of one run. A shard that is missing is no error
// here: the report says so, and Complete. Thresholds are those of the reports and the given ones, judged over the sums.
func Merge(sources []Source, thresholds []string) (*Report, error) {
	if err := checkSources(sources); err != nil {
		return nil, err
	}
	sources = slices.Clone(sources)
	slices.SortFunc(sources, func(a, b Source) int { return a.Report.Run.Shard.Part - b.Report.Run.Shard.Part })
	var parts []*Report
	groups := byGroup{}
	for _, s := range sources {
		of, err := s.Report.groupHistograms()
		if err != nil {
			return nil, fmt.Errorf("merge %s: %w", s.File, err)
		}
		addGroups(groups, of)
		parts = append(parts, s.Report)
	}
	first := parts[0]
	out := &Report{Version: Version, Name: first.Name, Began: first.Began, Host: mergedHost(parts)}
	run := *first.Run
	run.Shard = fleet.Shard{}
	out.Run = &run
	end := time.Time{}
	for _, p := range parts {
		if p.Began.Before(out.Began) {
			out.Began = p.Began
		}
		if e := p.ended(); e.After(end) {
			end = e
		}
	}
	out.Seconds = end.Sub(out.Began).Seconds()
	out.Merged = newMerged(sources)
	out.mergeHealth(parts)
	out.Series, out.Events = mergedSeries(parts, out.Began), mergedEvents(parts, out.Began)
	out.mergeGroups(parts, groups)
	out.mergeLedgers(parts)
	out.mergeProxies(parts)
	out.Notes = append(out.Merged.notes(out.Seconds), mergedNotes(parts)...)
	out.measured(groups)
	out.Values["faults"] = faultsOf(parts)
	return out, out.judgeAgain(parts, thresholds)
}

// checkSources refuses reports that are not those of different shards of one run.
func checkSources(sources []Source) error {
	if len(sources) == 0 {
		return errors.New("merge reports: there is none")
	}
	first, files := sources[0], map[fleet.Shard]string{}
	for _, s := range sources {
		r := s.Report
		switch {
		case r.Merged != nil:
			return fmt.Errorf("merge %s: it is merged already; give the reports of all its shards at once", s.File)
		case r.Run == nil:
			return fmt.Errorf("merge %s: %w", s.File, errNoHistograms)
		case r.Name != first.Report.Name:
			return fmt.Errorf("merge %s: it is a report of %s, and %s one of %s", s.File, r.Name, first.File, first.Report.Name)
		}
		if why := first.Report.Run.differs(r.Run); why != "" {
			return fmt.Errorf("merge %s: it is not of the same run as %s: %s", s.File, first.File, why)
		}
		if file, twice := files[r.Run.Shard]; twice {
			return fmt.Errorf("merge %s: it is shard %s, and so is %s", s.File, shardName(r.Run.Shard), file)
		}
		files[r.Run.Shard] = s.File
	}
	return nil
}

func (r *Report) ended() time.Time {
	return r.Began.Add(time.Duration(r.Seconds * float64(time.Second)))
}

func (r *Report) mergeHealth(parts []*Report) {
	var all []measure.Health
	for _, p := range parts {
		all = append(all, p.Health)
	}
	r.Health = measure.Worst(all)
	r.Health.Notes = nil
	for _, p := range parts {
		for _, n := range p.Health.Notes {
			r.Health.Notes = append(r.Health.Notes, "shard "+shardName(p.Run.Shard)+": "+n)
		}
	}
}

// addGroups adds histograms to those of the same group and stage.
func addGroups(groups, of byGroup) {
	for group, stages := range of {
		if groups[group] == nil {
			groups[group] = byStage{}
		}
		for name, h := range stages {
			if sum := groups[group][name]; sum != nil {
				h = measure.Merge(sum, h)
			}
			groups[group][name] = h
		}
	}
}

// mergeGroups adds groups by their names; a shard may have none of a small group.
func (r *Report) mergeGroups(parts []*Report, groups byGroup) {
	devices, viewers := map[string][]fleet.Summary{}, map[string][]watch.Report{}
	examples := map[string][]string{}
	for _, p := range parts {
		for i := range p.Devices {
			d := &p.Devices[i]
			if devices[d.Name] == nil {
				r.Devices = append(r.Devices, Devices{Name: d.Name})
			}
			devices[d.Name] = append(devices[d.Name], d.Summary)
		}
		for i := range p.Viewers {
			v := &p.Viewers[i]
			if viewers[v.Name] == nil {
				r.Viewers = append(r.Viewers, Viewers{Name: v.Name})
			}
			viewers[v.Name] = append(viewers[v.Name], v.Report)
			examples[v.Name] = append(examples[v.Name], p.ofShard(v.Examples)...)
		}
	}
	for i := range r.Devices {
		d := &r.Devices[i]
		d.Summary = fleet.Merge(devices[d.Name])
		d.SetLatencies(groups[d.Name])
	}
	for i := range r.Viewers {
		v := &r.Viewers[i]
		v.Report = watch.Merge(viewers[v.Name])
		v.SetLatencies(groups[v.Name])
		v.Examples = some(examples[v.Name])
	}
}

// ofShard names the shard before each text.
func (r *Report) ofShard(texts []string) (out []string) {
	for _, text := range texts {
		out = append(out, "shard "+shardName(r.Run.Shard)+": "+text)
	}
	return out
}

func some(texts []string) []string { return texts[:min(len(texts), maxShardExamples)] }

func (r *Report) mergeLedgers(parts []*Report) {
	var ledgers []*prove.Report
	var ledgerExamples, auditExamples []string
	for _, p := range parts {
		if p.Ledger != nil {
			ledgers = append(ledgers, p.Ledger)
			ledgerExamples = append(ledgerExamples, p.ofShard(p.Ledger.Examples)...)
		}
		if a := p.Audit; a != nil {
			if r.Audit == nil {
				r.Audit = &Audit{}
			}
			r.Audit.Owed, r.Audit.Kept, r.Audit.Missing = r.Audit.Owed+a.Owed, r.Audit.Kept+a.Kept, r.Audit.Missing+a.Missing
			r.Audit.Seconds = max(r.Audit.Seconds, a.Seconds)
			auditExamples = append(auditExamples, p.ofShard(a.Of)...)
		}
	}
	if len(ledgers) > 0 {
		ledger := prove.Merge(ledgers)
		ledger.Examples = some(ledgerExamples)
		r.Ledger = &ledger
	}
	if r.Audit != nil {
		r.Audit.Of = some(auditExamples)
	}
}

// mergeProxies adds what passed through the bad networks of one name: each shard has its own.
func (r *Report) mergeProxies(parts []*Report) {
	for _, p := range parts {
		for _, x := range p.Proxies {
			i := slices.IndexFunc(r.Proxies, func(sum Proxy) bool { return sum.Name == x.Name })
			if i < 0 {
				r.Proxies = append(r.Proxies, x)
				continue
			}
			measure.Add(&r.Proxies[i].Counts, x.Counts)
		}
	}
}

// mergedNotes are those of the parts; what all of them say is said once.
func mergedNotes(parts []*Report) (notes []string) {
	said := map[string]int{}
	for _, p := range parts {
		for _, n := range p.Notes {
			said[n]++
		}
	}
	for _, p := range parts {
		for _, n := range p.Notes {
			switch {
			case said[n] < len(parts):
				notes = append(notes, p.ofShard([]string{n})...)
			case !slices.Contains(notes, n):
				notes = append(notes, n)
			}
		}
	}
	builds := map[string]bool{}
	for _, p := range parts {
		builds[p.Host.Simulator] = true
	}
	if len(builds) > 1 {
		notes = append(notes, "the shards ran different builds of the simulator: "+strings.Join(slices.Sorted(maps.Keys(builds)), ", "))
	}
	return notes
}

// mergedHost is the first shard's, with the cores of all machines.
func mergedHost(parts []*Report) Host {
	out, seen := parts[0].Host, map[string]bool{}
	out.Cores = 0
	for _, p := range parts {
		if p.Host.Name == "" || !seen[p.Host.Name] {
			out.Cores += p.Host.Cores
		}
		seen[p.Host.Name] = true
	}
	if len(seen) > 1 {
		out.Name = ""
	}
	return out
}

// faultsOf is how many faults the run made: each shard does its part of every one, so they are no sum.
func faultsOf(parts []*Report) (most float64) {
	for _, p := range parts {
		most = max(most, p.Values["faults"])
	}
	return most
}

// judgeAgain judges the thresholds of the parts, each once, and more.
func (r *Report) judgeAgain(parts []*Report, more []string) error {
	var texts []string
	for _, p := range parts {
		for _, o := range p.Thresholds {
			texts = append(texts, o.Threshold)
		}
	}
	var groups []string
	for i := range r.Devices {
		groups = append(groups, r.Devices[i].Name)
	}
	for i := range r.Viewers {
		groups = append(groups, r.Viewers[i].Name)
	}
	var all []Threshold
	seen := map[string]bool{}
	for _, text := range append(texts, more...) {
		if seen[text] {
			continue
		}
		seen[text] = true
		t, err := ParseThreshold(text, groups)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrWrongThreshold, err)
		}
		all = append(all, t)
	}
	r.judge(all)
	return nil
}
